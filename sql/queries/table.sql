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
       coalesce(subject_column, ''), strategy, relation::bigint, system_identifier, holds_source, catalogue
FROM retention.target WHERE target = %(target)s

-- name: counters
-- What the server counts of deletions from the table and its partitions, rolled-back ones included, and in which file each
-- lies. The epoch is another one after a reset of the counters and on a server that was promoted.
WITH RECURSIVE family (member) AS (
    SELECT to_regclass(%(table)s)::oid
    UNION
    SELECT i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.member)
SELECT concat_ws('/', CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
                 (SELECT extract(epoch FROM d.stats_reset) FROM pg_stat_database d WHERE d.datname = current_database())),
       jsonb_object_agg(c.oid, pg_stat_get_tuples_deleted(c.oid)),
       jsonb_object_agg(c.oid, c.relfilenode::text)
FROM family f JOIN pg_class c ON c.oid = f.member
WHERE c.relkind = 'r'

-- name: journal
SELECT batch_items, batch_first, batch_last, done FROM retention.journal WHERE target = %(target)s

-- name: local
-- For one batch. Dates, intervals and floats in the form that restores exactly. Rows that go to the archive are collected
-- by the function before the first is sent: memory for as many as a batch has as a rule keeps them off the disk.
SELECT set_config('lock_timeout', %(lock_timeout)s, true),
       set_config('statement_timeout', %(statement_timeout)s, true),
       set_config('idle_in_transaction_session_timeout', '300s', true),
       set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO, YMD', true),
       set_config('intervalstyle', 'postgres', true), set_config('extra_float_digits', '1', true),
       set_config('bytea_output', 'hex', true), set_config('client_encoding', 'UTF8', true),
       set_config('work_mem', '64MB', true)

-- name: immediate
-- What a deletion violates is to be said by the batch, not by its commit; that the batch has its entry, by the commit.
SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS retention.batch_has_entry DEFERRED

-- name: register
SELECT retention.take_lease(%(lease)s, %(holder)s)

-- name: counting
-- A survey may take its time whatever the role's statement timeout is, but waits for a lock as long as a batch may take.
SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', %(lock_timeout)s, true)

-- name: survey
SELECT * FROM {survey}(%(p_cutoff)s, %(p_holds)s)

-- name: survey_text
-- The query that the survey is, as this database holds it.
SELECT prosrc FROM pg_proc WHERE oid = to_regprocedure(%(survey)s)

-- name: keeps
SELECT {keeps}(%(p_holds)s)

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
-- Bytes that the slot with the least has left before its WAL is removed; NULL where no slot is limited. And how far
-- behind the worst of those is that keep WAL without a limit.
SELECT min(safe_wal_size) FILTER (WHERE wal_status IS NOT NULL),
       max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) FILTER (WHERE safe_wal_size IS NULL)
FROM pg_replication_slots WHERE restart_lsn IS NOT NULL

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
       current_setting('server_version'), current_setting('track_counts')::boolean
FROM pg_class c
LEFT JOIN pg_proc f ON f.oid = to_regprocedure(%(prune)s)
LEFT JOIN pg_roles o ON o.oid = coalesce(f.proowner, (SELECT oid FROM pg_roles WHERE rolname = current_user))
WHERE c.oid = to_regclass(%(table)s)

-- name: references
-- Foreign keys that point at the table, at a partition of it, or at what inherits from it; and what those reach that
-- change more on a deletion. Name, table, what it points at, what happens on a deletion, whether an index helps, level.
WITH RECURSIVE family (member) AS (
    SELECT to_regclass(%(table)s)::oid
    UNION
    SELECT i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.member),
reached (key, child, target, level) AS (
    SELECT k.oid, k.conrelid, k.confrelid, 1
      FROM pg_constraint k LEFT JOIN pg_constraint p ON p.oid = k.conparentid
     WHERE k.contype = 'f' AND k.confrelid IN (SELECT f.member FROM family f)
       AND (p.oid IS NULL OR p.confrelid NOT IN (SELECT f.member FROM family f) AND p.conrelid = k.conrelid)
    UNION
    SELECT k.oid, k.conrelid, k.confrelid, r.level + 1
      FROM reached r
      JOIN pg_constraint b ON b.oid = r.key AND b.confdeltype IN ('c', 'n', 'd')
      JOIN pg_constraint k ON k.contype = 'f' AND k.confrelid = r.child AND k.conparentid = 0
     WHERE r.level < 16)
SELECT DISTINCT ON (r.key) k.conname, r.child::regclass::text, r.target::regclass::text, k.confdeltype::text,
       EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indkey[0] = k.conkey[1]), r.level
FROM reached r JOIN pg_constraint k ON k.oid = r.key
ORDER BY r.key, r.level

-- name: rules
SELECT rulename || ' of ' || ev_class::regclass FROM pg_rewrite
WHERE ev_type = '4' AND ev_enabled <> 'D'
  AND ev_class IN (WITH RECURSIVE family (member) AS (
      SELECT to_regclass(%(table)s)::oid
      UNION
      SELECT i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.member)
      SELECT f.member FROM family f)

-- name: triggers
-- On deletions from the table or any partition of it; those of partitions that only repeat the table's are left out.
-- Name, table, whose rights it runs with when its function is SECURITY DEFINER, whether he is a superuser.
WITH RECURSIVE family (member) AS (
    SELECT to_regclass(%(table)s)::oid
    UNION
    SELECT i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.member)
SELECT g.tgname, g.tgrelid::regclass::text, CASE WHEN p.prosecdef THEN r.rolname END, p.prosecdef AND r.rolsuper
FROM pg_trigger g
JOIN family f ON f.member = g.tgrelid
JOIN pg_proc p ON p.oid = g.tgfoid
JOIN pg_roles r ON r.oid = p.proowner
WHERE NOT g.tgisinternal AND (g.tgtype & 8) <> 0 AND g.tgenabled <> 'D'
  AND (g.tgrelid = to_regclass(%(table)s)
       OR NOT EXISTS (SELECT 1 FROM pg_trigger o
                       WHERE o.tgrelid = to_regclass(%(table)s) AND o.tgname = g.tgname AND o.tgfoid = g.tgfoid))

-- name: trigger_sources
-- Of triggers that run with the rights of the functions' role: name, text, that role.
WITH RECURSIVE family (member) AS (
    SELECT to_regclass(%(table)s)::oid
    UNION
    SELECT i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.member)
SELECT DISTINCT g.tgname, p.prosrc, d.rolname
FROM pg_trigger g
JOIN family f ON f.member = g.tgrelid
JOIN pg_proc p ON p.oid = g.tgfoid AND NOT p.prosecdef
JOIN pg_proc b ON b.oid = to_regprocedure(%(prune)s)
JOIN pg_roles d ON d.oid = b.proowner
WHERE NOT g.tgisinternal AND (g.tgtype & 8) <> 0 AND g.tgenabled <> 'D'

-- name: lacks
-- Whether a role lacks a right on a table of this name; no row for a name that is no table.
SELECT NOT has_table_privilege(%(role)s, c.oid, %(right)s)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = replace(%(table)s, '"', '')

-- name: foreign
-- Partitions that lie on another server.
SELECT c.oid::regclass::text FROM pg_partition_tree(to_regclass(%(table)s)) p JOIN pg_class c ON c.oid = p.relid
WHERE c.relkind = 'f'
