CREATE OR REPLACE FUNCTION {survey}(p_cutoff timestamptz, p_holds jsonb)
RETURNS TABLE (
    expired bigint, expired_bytes bigint, population bigint, population_exact boolean, held bigint, locked bigint,
    undated bigint, future bigint, oldest timestamptz, oldest_expired timestamptz, newest timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off SET enable_nestloop = off AS $$
{body}
$$;
REVOKE ALL ON FUNCTION {survey}(timestamptz, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {survey}(timestamptz, jsonb) TO {role};

-- How many dated rows these rules keep, expired or not.
CREATE OR REPLACE FUNCTION {keeps}(p_holds jsonb)
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
WITH {given}
SELECT count(*) FROM {table} t WHERE {dated} AND NOT ({free})
$$;
REVOKE ALL ON FUNCTION {keeps}(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {keeps}(jsonb) TO {role};

-- One row by its key, and the hold that keeps it.
CREATE OR REPLACE FUNCTION {explain}(p_key text[], p_cutoff timestamptz, p_holds jsonb)
RETURNS TABLE (dated timestamptz, held_by text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
{one}
$$;
REVOKE ALL ON FUNCTION {explain}(text[], timestamptz, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {explain}(text[], timestamptz, jsonb) TO {role};
