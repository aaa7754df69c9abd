-- name: exact
-- Makes dates and intervals mean what the archive wrote, for this transaction.
SELECT set_config('datestyle', 'ISO, YMD', true), set_config('intervalstyle', 'postgres', true),
       set_config('client_encoding', 'UTF8', true);

-- name: written
-- Makes values read as the archive's writer wrote them (queries/table.sql, "exact"), for this transaction.
SELECT set_config('datestyle', 'ISO, YMD', true), set_config('intervalstyle', 'postgres', true),
       set_config('timezone', 'UTC', true), set_config('extra_float_digits', '1', true),
       set_config('bytea_output', 'hex', true), set_config('client_encoding', 'UTF8', true);

-- name: table_exists
SELECT to_regclass(%(table)s) IS NOT NULL;

-- name: type_exists
-- A text that is not the name of a type, and of one only, is refused before it can stand in a statement.
SELECT to_regtype(%(type)s) IS NOT NULL;

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS {schema};

-- name: create_table
CREATE TABLE {table} ({columns});

-- name: copy_out
-- In the form in which the batches of tables are archived, after "written".
COPY {table} ({columns}) TO STDOUT WITH (FORMAT csv, HEADER true);

-- name: drop_sample
-- The rows of a drill, in the session's own temporary schema.
DROP TABLE pg_temp.retention_drill;

-- name: copy_in
COPY {table} ({columns}) FROM STDIN WITH (FORMAT csv, HEADER true);
