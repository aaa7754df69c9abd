-- Partitions of a table that is partitioned by range of its time column, and those in the trash. All of it runs as
-- the owner: detaching and dropping need ownership.

-- name: patience
-- Copying and counting take their time; a lock, and the end of transactions that see the partition, are not waited for
-- without end.
SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', %(lock_timeout)s, false),
       set_config('enable_nestloop', 'off', false)   -- thousands of holds are joined by hashing

-- name: key
-- The partition key, if it is the one column by range; and whether there is a DEFAULT partition.
SELECT pg_get_partkeydef(c.oid), d.partdefid <> 0
FROM pg_class c JOIN pg_partitioned_table d ON d.partrelid = c.oid
WHERE c.oid = to_regclass(%(table)s)

-- name: partitions
-- Leaf partitions of the first level, with their bounds; pending: half detached.
SELECT c.oid::bigint, n.nspname, c.relname, pg_get_expr(c.relpartbound, c.oid), i.inhdetachpending,
       pg_total_relation_size(c.oid)
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = to_regclass(%(table)s) AND c.relkind = 'r'
ORDER BY pg_get_expr(c.relpartbound, c.oid)

-- name: count
-- What a partition holds: rows, the oldest, the newest, and how many must stay: held by a rule, undated,
-- or needed by a foreign key.
WITH {holds}
SELECT count(*), min({at}), max({at}),
       count(*) - (SELECT count(*) FROM {table} t WHERE {dated} AND {free} AND {unreferenced}) FROM {table} t

-- name: rows
COPY (SELECT * FROM {table}) TO STDOUT WITH (FORMAT csv, HEADER true)

-- name: detached
SELECT relation::bigint, partition, bound, items, first_at, last_at, size_bytes, archived, due_at,
       detached_at IS NOT NULL,
       to_regclass(quote_ident(n.nspname) || '.' || quote_ident(c.relname)) IS NOT NULL, n.nspname, c.relname,
       EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = d.relation)
FROM retention.detached d
LEFT JOIN pg_class c ON c.oid = d.relation
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE target = %(target)s
ORDER BY first_at

-- name: announce
INSERT INTO retention.detached (relation, target, partition, bound, items, first_at, last_at, size_bytes, archived,
                                run_id, due_at)
VALUES (%(relation)s, %(target)s, %(partition)s, %(bound)s, %(items)s, %(first)s, %(last)s, %(size)s, %(archived)s,
        %(run_id)s, %(due)s)

-- name: forget
DELETE FROM retention.detached WHERE relation = %(relation)s

-- name: done
UPDATE retention.detached SET detached_at = clock_timestamp() WHERE relation = %(relation)s

-- name: detach
ALTER TABLE {parent} DETACH PARTITION {partition} CONCURRENTLY

-- name: finalize
ALTER TABLE {parent} DETACH PARTITION {partition} FINALIZE

-- name: attach
ALTER TABLE {parent} ATTACH PARTITION {partition} {bound}

-- name: rename
ALTER TABLE {partition} RENAME TO {to}

-- name: move
ALTER TABLE {partition} SET SCHEMA retention_trash

-- name: drop
DROP TABLE {partition}

-- name: upper
SELECT %(text)s::timestamptz

-- name: upper_in_zone
SELECT %(text)s::timestamp AT TIME ZONE %(zone)s
