CREATE OR REPLACE FUNCTION {survey}(p_cutoff timestamptz, p_holds jsonb)
RETURNS TABLE (
    expired bigint, expired_bytes bigint, population bigint, population_exact boolean, held bigint, locked bigint,
    undated bigint, future bigint, oldest timestamptz, oldest_expired timestamptz, newest timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off SET enable_nestloop = off AS $$
{body}
$$;
REVOKE ALL ON FUNCTION {survey}(timestamptz, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {survey}(timestamptz, jsonb) TO {role};

-- One row by its key, and the hold that keeps it.
CREATE OR REPLACE FUNCTION {explain}(p_key text[], p_cutoff timestamptz, p_holds jsonb)
RETURNS TABLE (dated timestamptz, held_by text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
{one}
$$;
REVOKE ALL ON FUNCTION {explain}(text[], timestamptz, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {explain}(text[], timestamptz, jsonb) TO {role};
