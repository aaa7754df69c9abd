-- What migrate asks and does besides the numbered migrations.

-- name: lock
-- 1280664911: 'LUXO', our third class of advisory locks: one migrate at a time.
SELECT pg_advisory_lock(1280664911, 1)

-- name: unlock
SELECT pg_advisory_unlock(1280664911, 1)

-- name: bookkeeping
CREATE SCHEMA IF NOT EXISTS retention;
CREATE TABLE IF NOT EXISTS retention.migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,                         -- of the file, so that a changed one is noticed
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- name: applied
SELECT number, sha256 FROM retention.migration ORDER BY number

-- name: record
INSERT INTO retention.migration (number, name, sha256) VALUES (%(number)s, %(name)s, %(sha256)s)

-- name: role_exists
SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = %(role)s)

-- name: create_role
CREATE ROLE {role} LOGIN

-- name: plain_path
-- For this transaction: types are written with their schema then, without needless quotes, and nobody's function is
-- taken for a built-in.
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
       pg_catalog.set_config('quote_all_identifiers', 'off', true),
       pg_catalog.set_config('statement_timeout', '0', true)

-- name: relation
-- With the tables that inherit from it: partitions are none of them.
SELECT c.oid::bigint, c.relkind::text,
       CASE WHEN c.relkind = 'r' THEN
           (SELECT string_agg(i.inhrelid::regclass::text, ', ') FROM pg_inherits i WHERE i.inhparent = c.oid) END
FROM pg_class c WHERE c.oid = to_regclass(%(table)s)

-- name: columns
-- Name, type, and whether a walk in its order is safe: never NULL, and ordered by operators of pg_catalog, since
-- the functions see no others. -1: without it, character would mean one character.
SELECT a.attname, format_type(a.atttypid, -1),
       a.attnotnull AND EXISTS (
           SELECT 1 FROM pg_type y JOIN pg_proc o ON o.oid = y.typoutput  -- a domain's is that of its base
            WHERE y.oid = a.atttypid AND o.pronamespace = 'pg_catalog'::regnamespace)
FROM pg_attribute a
WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum

-- name: unique_keys
-- The columns of each unique index that covers all rows; what an index only INCLUDEs is not unique.
SELECT array_agg(a.attname ORDER BY a.attname)
FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
WHERE i.indrelid = to_regclass(%(table)s) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
  AND i.indexprs IS NULL
GROUP BY i.indexrelid

-- name: time_indexes
-- Usable btree indexes over all rows whose first column is the time column.
SELECT count(*)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = to_regclass(%(table)s) AND i.indisvalid AND i.indpred IS NULL AND a.attname = %(column)s

-- name: system
SELECT system_identifier::text FROM pg_control_system()

-- name: target
-- A table that was dropped took its functions with it, and its definition is as good as unknown then.
SELECT floor_days,
       CASE WHEN to_regprocedure('retention.prune_' || function_name
                                 || '(uuid,bigint,timestamptz,integer,jsonb,boolean)') IS NOT NULL
            THEN definition ELSE '' END,
       policy
FROM retention.target WHERE target = %(target)s

-- name: former_name
-- The end of its functions' names until now.
SELECT function_name FROM retention.target WHERE target = %(target)s

-- name: set_target
INSERT INTO retention.target (target, policy, relation, function_name, floor_days, time_column, time_zone,
                              key_columns, tenant_column, subject_column, strategy, holds_source,
                              system_identifier, definition)
VALUES (%(target)s, %(policy)s, %(relation)s, %(function_name)s, %(floor_days)s, %(time_column)s, %(time_zone)s,
        %(key_columns)s, %(tenant_column)s, %(subject_column)s, %(strategy)s, %(holds_source)s,
        %(system_identifier)s, %(definition)s)
ON CONFLICT (target) DO UPDATE
SET policy = excluded.policy, relation = excluded.relation, function_name = excluded.function_name,
    floor_days = excluded.floor_days, time_column = excluded.time_column, time_zone = excluded.time_zone,
    key_columns = excluded.key_columns, tenant_column = excluded.tenant_column,
    subject_column = excluded.subject_column, strategy = excluded.strategy, holds_source = excluded.holds_source,
    system_identifier = excluded.system_identifier, definition = excluded.definition,
    applied_at = clock_timestamp()

-- name: drop_functions
-- Names are the same, but a changed table changes the type that they return.
DROP FUNCTION IF EXISTS {prune}(uuid, bigint, timestamptz, integer, jsonb, boolean);
DROP FUNCTION IF EXISTS {survey}(timestamptz, jsonb);
DROP FUNCTION IF EXISTS {explain}(text[], timestamptz, jsonb);
