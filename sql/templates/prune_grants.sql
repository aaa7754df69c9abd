REVOKE ALL ON FUNCTION {prune}(uuid, bigint, timestamptz, integer, jsonb, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {prune}(uuid, bigint, timestamptz, integer, jsonb, boolean) TO {role};
-- What they were written for: a table that changed since is noticed by it.
COMMENT ON FUNCTION {prune}(uuid, bigint, timestamptz, integer, jsonb, boolean) IS {digest};
-- To see the table in the catalogue; a schema is no right to any table in it.
GRANT USAGE ON SCHEMA {schema} TO {role};
