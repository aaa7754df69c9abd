-- The rules that the caller knows of, for a database that has no register yet.
(SELECT h.hold_id, h.tenant, h.subject, h.start_at, h.end_at
   FROM jsonb_to_recordset({holds}::jsonb)
        AS h (hold_id text, tenant text, subject text, start_at timestamptz, end_at timestamptz))
