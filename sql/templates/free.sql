-- A part of the survey's and the batch's conditions: row t, rule h.
NOT EXISTS (SELECT 1 FROM {part} h WHERE {matches})
