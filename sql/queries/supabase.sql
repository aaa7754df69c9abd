-- Questions to a Supabase project through the read-only query of its Management API.

-- name: audit_log_is_empty
-- Whether Supabase Auth has left no event in PostgreSQL: only then does a switched-off copy mean that
-- there is nothing to keep, or to trim.
SELECT NOT EXISTS (SELECT 1 FROM auth.audit_log_entries) AS empty
