-- The functions of one table change hands: from who ran migrate to the role that has just the rights on it.
GRANT CREATE ON SCHEMA retention TO {owner};
ALTER FUNCTION {survey}(timestamptz, jsonb) OWNER TO {owner};
ALTER FUNCTION {keeps}(jsonb) OWNER TO {owner};
ALTER FUNCTION {explain}(text[], timestamptz, jsonb) OWNER TO {owner};
ALTER FUNCTION {prune}(uuid, bigint, timestamptz, integer, jsonb, boolean) OWNER TO {owner};
REVOKE CREATE ON SCHEMA retention FROM {owner};
