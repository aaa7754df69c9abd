-- A part of the survey's and the batch's conditions: row t, rule h.
{part} AS MATERIALIZED (SELECT * FROM holds h WHERE {names})
