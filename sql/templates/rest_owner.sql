-- The same of what PostgREST calls.
GRANT CREATE ON SCHEMA retention_api TO {owner};
ALTER FUNCTION {state}(boolean) OWNER TO {owner};
ALTER FUNCTION {preview}(timestamptz, jsonb) OWNER TO {owner};
ALTER FUNCTION {explained}(text[], timestamptz, jsonb) OWNER TO {owner};
ALTER FUNCTION {trim}(uuid, bigint, bigint, timestamptz, integer, jsonb) OWNER TO {owner};
REVOKE CREATE ON SCHEMA retention_api FROM {owner};
