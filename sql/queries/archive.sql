-- name: exact
-- Makes dates and intervals mean what the archive wrote, for this transaction.
SELECT set_config('datestyle', 'ISO, YMD', true), set_config('intervalstyle', 'postgres', true),
       set_config('client_encoding', 'UTF8', true);

-- name: table_exists
SELECT to_regclass(%(table)s) IS NOT NULL;

-- name: type_exists
-- A text that is not the name of a type, and of one only, is refused before it can stand in a statement.
SELECT to_regtype(%(type)s) IS NOT NULL;

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS {schema};

-- name: create_table
CREATE TABLE {table} ({columns});

-- name: copy_in
COPY {table} ({columns}) FROM STDIN WITH (FORMAT csv, HEADER true);
