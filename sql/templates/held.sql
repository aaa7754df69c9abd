-- Whether a rule keeps row t.
EXISTS (SELECT 1 FROM holds h WHERE {matches})
