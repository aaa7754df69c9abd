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

-- name: equality
-- The operator that a column's own type compares with (of a domain: that of its base), and the column's collation.
WITH RECURSIVE base (oid) AS (
    SELECT a.atttypid FROM pg_attribute a
     WHERE a.attrelid = to_regclass(%(table)s) AND a.attname = %(column)s AND NOT a.attisdropped
    UNION
    SELECT y.typbasetype FROM base b JOIN pg_type y ON y.oid = b.oid AND y.typbasetype <> 0)
SELECT coalesce(
           (SELECT format('OPERATOR(%%I.%%s)', n.nspname, o.oprname)
              FROM base b
              JOIN pg_opclass c ON c.opcintype = b.oid AND c.opcdefault
              JOIN pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
              JOIN pg_amop s ON s.amopfamily = c.opcfamily AND s.amopstrategy = 3
                            AND s.amoplefttype = c.opcintype AND s.amoprighttype = c.opcintype
              JOIN pg_operator o ON o.oid = s.amopopr
              JOIN pg_namespace n ON n.oid = o.oprnamespace
             LIMIT 1), 'OPERATOR(pg_catalog.=)'),
       coalesce((SELECT format('%%I.%%I', n.nspname, l.collname)
                   FROM pg_attribute a
                   JOIN pg_collation l ON l.oid = a.attcollation
                   JOIN pg_namespace n ON n.oid = l.collnamespace
                  WHERE a.attrelid = to_regclass(%(table)s) AND a.attname = %(column)s), '')

-- name: schemas
-- Of the types of the table's columns, and of the tables that need its rows; quoted, besides the table's own.
SELECT DISTINCT quote_ident(n.nspname)
FROM pg_namespace n
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND (n.oid IN (SELECT y.typnamespace FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
                  WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped)
       OR n.oid IN (SELECT c.relnamespace FROM unnest(%(children)s::text[]) x (name)
                      JOIN pg_class c ON c.oid = to_regclass(x.name)))
ORDER BY 1

-- name: needed_by
-- Foreign keys that forbid deleting what they need: the table, its columns, ours, the operators, whether it is ours.
-- Those of partitions are left out where they repeat that of their table.
WITH RECURSIVE family (member) AS (
    SELECT to_regclass(%(table)s)::oid
    UNION
    SELECT i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.member)
SELECT k.conrelid::regclass::text,
       (SELECT array_agg(a.attname::text ORDER BY x.place)
          FROM unnest(k.conkey) WITH ORDINALITY x (number, place)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.number),
       (SELECT array_agg(a.attname::text ORDER BY x.place)
          FROM unnest(k.confkey) WITH ORDINALITY x (number, place)
          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = x.number),
       (SELECT array_agg(format('OPERATOR(%%I.%%s)', n.nspname, o.oprname) ORDER BY x.place)
          FROM unnest(k.conpfeqop) WITH ORDINALITY x (operator, place)
          JOIN pg_operator o ON o.oid = x.operator
          JOIN pg_namespace n ON n.oid = o.oprnamespace),
       k.conrelid IN (SELECT f.member FROM family f)
FROM pg_constraint k
LEFT JOIN pg_constraint p ON p.oid = k.conparentid
WHERE k.contype = 'f' AND k.confrelid IN (SELECT f.member FROM family f) AND k.confdeltype IN ('a', 'r')
  AND (p.oid IS NULL OR p.confrelid NOT IN (SELECT f.member FROM family f))
ORDER BY 1, 2

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
                              time_kind, skip_referenced, key_columns, tenant_column, subject_column, strategy,
                              holds_source, system_identifier, definition)
VALUES (%(target)s, %(policy)s, %(relation)s, %(function_name)s, %(floor_days)s, %(time_column)s, %(time_zone)s,
        %(time_kind)s, %(skip_referenced)s, %(key_columns)s, %(tenant_column)s, %(subject_column)s, %(strategy)s, %(holds_source)s,
        %(system_identifier)s, %(definition)s)
ON CONFLICT (target) DO UPDATE
SET policy = excluded.policy, relation = excluded.relation, function_name = excluded.function_name,
    floor_days = excluded.floor_days, time_column = excluded.time_column, time_zone = excluded.time_zone,
    time_kind = excluded.time_kind, skip_referenced = excluded.skip_referenced, key_columns = excluded.key_columns, tenant_column = excluded.tenant_column,
    subject_column = excluded.subject_column, strategy = excluded.strategy, holds_source = excluded.holds_source,
    system_identifier = excluded.system_identifier, definition = excluded.definition,
    applied_at = clock_timestamp()

-- name: drop_functions
-- Names are the same, but a changed table changes the type that they return.
DROP FUNCTION IF EXISTS {prune}(uuid, bigint, timestamptz, integer, jsonb, boolean);
DROP FUNCTION IF EXISTS {survey}(timestamptz, jsonb);
DROP FUNCTION IF EXISTS {explain}(text[], timestamptz, jsonb);
DROP FUNCTION IF EXISTS {keeps}(jsonb);
