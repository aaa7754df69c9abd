-- What the table store asks and sets; the table itself is only touched by its generated functions.

-- name: clock
SELECT clock_timestamp()

-- name: relation
SELECT to_regclass(%(table)s)::oid::bigint

-- name: functions
-- Whether the table's functions are there, this role may call the one that deletes, and what they were made for.
SELECT f.oid IS NOT NULL, coalesce(has_function_privilege(f.oid, 'EXECUTE'), false),
       coalesce(obj_description(f.oid, 'pg_proc'), '')
FROM (SELECT to_regprocedure(%(prune)s) AS oid) f

-- name: target
SELECT policy, floor_days, time_column, coalesce(time_zone, ''), key_columns, coalesce(tenant_column, ''),
       coalesce(subject_column, ''), strategy, relation::bigint, system_identifier, holds_source
FROM retention.target WHERE target = %(target)s

-- name: journal
SELECT batch_items, batch_first, batch_last, done FROM retention.journal WHERE target = %(target)s

-- name: local
-- For one batch. Dates, intervals and floats in the form that restores exactly.
SELECT set_config('lock_timeout', %(lock_timeout)s, true),
       set_config('statement_timeout', %(statement_timeout)s, true),
       set_config('idle_in_transaction_session_timeout', '300s', true),
       set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO, YMD', true),
       set_config('intervalstyle', 'postgres', true), set_config('extra_float_digits', '1', true),
       set_config('bytea_output', 'hex', true), set_config('client_encoding', 'UTF8', true)

-- name: immediate
-- What a deletion violates is to be said by the batch, not by its commit.
SET CONSTRAINTS ALL IMMEDIATE

-- name: counting
-- A survey may take its time whatever the role's statement timeout is, but waits for a lock as long as a batch may take.
SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', %(lock_timeout)s, true)

-- name: survey
SELECT * FROM {survey}(%(p_cutoff)s, %(p_holds)s)

-- name: survey_text
-- The query that the survey is, as this database holds it.
SELECT prosrc FROM pg_proc WHERE oid = to_regprocedure(%(survey)s)

-- name: explain
SELECT * FROM {explain}(%(p_key)s, %(p_cutoff)s, %(p_holds)s)

-- name: prune
SELECT count(*) FROM {prune}(%(run)s, %(token)s, %(cutoff)s, %(limit)s, %(holds)s, false)

-- name: prune_rows
COPY (SELECT * FROM {prune}(%(run)s, %(token)s, %(cutoff)s, %(limit)s, %(holds)s, true))
TO STDOUT WITH (FORMAT csv, HEADER true)

-- name: wal
SELECT pg_current_wal_insert_lsn()::text

-- name: wal_since
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %(since)s::pg_lsn)::bigint

-- name: lag
-- Seconds of the standby that is farthest behind; NULL where none is, or none may be seen.
SELECT extract(epoch FROM max(coalesce(replay_lag, write_lag)))::float8 FROM pg_stat_replication

-- name: headroom
-- Bytes that the slot with the least has left before its WAL is removed; NULL where no slot is limited.
SELECT min(safe_wal_size) FROM pg_replication_slots WHERE wal_status IS NOT NULL

-- name: columns
SELECT a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a
WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum

-- name: traits
-- What bites: standby, row-level security that the functions' owner does not bypass, rights beyond need,
-- a time index, whether lag can be seen.
SELECT pg_is_in_recovery(), pg_backend_pid(),
       c.relrowsecurity AND NOT coalesce(
           o.rolsuper OR o.rolbypassrls OR (c.relowner = o.oid AND NOT c.relforcerowsecurity), false),
       has_table_privilege(c.oid, 'DELETE'), has_table_privilege(c.oid, 'TRUNCATE'),
       has_table_privilege(c.oid, 'SELECT'),
       EXISTS (SELECT 1 FROM pg_index i
                 JOIN pg_class x ON x.oid = i.indexrelid
                 JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = %(column)s),
       EXISTS (SELECT 1 FROM pg_stat_replication) AND NOT pg_has_role('pg_monitor', 'USAGE'),
       current_setting('server_version')
FROM pg_class c
LEFT JOIN pg_proc f ON f.oid = to_regprocedure(%(prune)s)
LEFT JOIN pg_roles o ON o.oid = coalesce(f.proowner, (SELECT oid FROM pg_roles WHERE rolname = current_user))
WHERE c.oid = to_regclass(%(table)s)

-- name: references
-- Foreign keys that point at the table: name, table, whether an index helps, what happens on a deletion.
SELECT k.conname, k.conrelid::regclass::text, k.confdeltype::text,
       EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indkey[0] = k.conkey[1])
FROM pg_constraint k
WHERE k.contype = 'f' AND k.confrelid = to_regclass(%(table)s) AND k.conparentid = 0

-- name: rules
SELECT rulename FROM pg_rewrite WHERE ev_class = to_regclass(%(table)s) AND ev_type = '4' AND ev_enabled <> 'D'

-- name: triggers
SELECT tgname FROM pg_trigger
WHERE tgrelid = to_regclass(%(table)s) AND NOT tgisinternal AND (tgtype & 8) <> 0 AND tgenabled <> 'D'
