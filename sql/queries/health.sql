-- What whoever runs the server asks first, before a table is emptied. Each query gives one row for each thing found.

-- name: old_snapshots
-- Transactions that keep dead rows from being cleaned, for an hour or longer; of other roles only with pg_monitor.
SELECT pid, coalesce(usename, ''), extract(epoch FROM clock_timestamp() - xact_start)::bigint
FROM pg_stat_activity
WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND xact_start < clock_timestamp() - interval '1 hour'
  AND datname = current_database()
ORDER BY xact_start LIMIT 3

-- name: prepared
SELECT gid, owner, extract(epoch FROM clock_timestamp() - prepared)::bigint
FROM pg_prepared_xacts WHERE database = current_database() AND prepared < clock_timestamp() - interval '1 hour'
ORDER BY prepared LIMIT 3

-- name: leaves
-- Partitions with data, or the table itself: dead rows, live rows, whether autovacuum works on it.
WITH RECURSIVE family (member) AS (
    SELECT to_regclass(%(table)s)::oid
    UNION
    SELECT i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.member)
SELECT c.oid::regclass::text, coalesce(pg_stat_get_dead_tuples(c.oid), 0), coalesce(pg_stat_get_live_tuples(c.oid), 0),
       current_setting('autovacuum')::boolean
           AND coalesce((SELECT o.option_value::boolean FROM pg_options_to_table(c.reloptions) o
                          WHERE o.option_name = 'autovacuum_enabled'), true)
FROM family f JOIN pg_class c ON c.oid = f.member AND c.relkind = 'r'

-- name: publications
-- Publications of deletions whose tables have nothing that tells a row apart: PostgreSQL refuses to delete there.
WITH RECURSIVE family (member) AS (
    SELECT to_regclass(%(table)s)::oid
    UNION
    SELECT i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.member)
SELECT DISTINCT p.pubname, c.oid::regclass::text
FROM pg_publication p
JOIN pg_publication_tables x ON x.pubname = p.pubname
JOIN pg_namespace n ON n.nspname = x.schemaname
JOIN pg_class o ON o.relnamespace = n.oid AND o.relname = x.tablename
JOIN family f ON true
JOIN pg_class c ON c.oid = f.member AND c.relkind = 'r'
WHERE p.pubdelete
  AND o.oid IN (c.oid, to_regclass(%(table)s)::oid)
  AND (c.relreplident = 'n'
       OR c.relreplident = 'd' AND NOT EXISTS (
           SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate))

-- name: other_owners
-- Where others keep what they do to tables; whether this role may read it.
SELECT n.nspname, c.relname,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (c.relname = 'part_config' AND EXISTS (SELECT 1 FROM pg_attribute a
                                              WHERE a.attrelid = c.oid AND a.attname = 'parent_table'))
   OR (n.nspname = 'cron' AND c.relname = 'job')
   OR (n.nspname = 'timescaledb_information' AND c.relname IN ('jobs', 'continuous_aggregates'))

-- name: part_config
-- pg_partman, up to 5.5.
SELECT 'pg_partman keeps ' || retention FROM {name} WHERE parent_table = %(plain)s AND retention IS NOT NULL

-- name: job
-- pg_cron.
SELECT 'pg_cron runs: ' || left(regexp_replace(command, '\s+', ' ', 'g'), 60) FROM {name}
WHERE command ~* ('(delete\s+from|truncate|drop_partition|detach)[^;]*\m' || %(pattern)s || '\M')

-- name: jobs
-- TimescaleDB.
SELECT 'TimescaleDB drops chunks: ' || coalesce(config->>'drop_after', 'job ' || job_id) FROM {name}
WHERE proc_name = 'policy_retention' AND hypertable_schema = %(schema)s AND hypertable_name = %(relation)s

-- name: continuous_aggregates
SELECT 'TimescaleDB keeps copies in ' || view_schema || '.' || view_name FROM {name}
WHERE hypertable_schema = %(schema)s AND hypertable_name = %(relation)s
