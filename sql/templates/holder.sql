-- The first rule that keeps row t.
(SELECT min(h.hold_id) FROM holds h WHERE {matches})
