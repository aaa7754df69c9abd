-- The functions of one table as PostgREST may call them: thin wrappers in a schema of their own, which is
-- the only one that has to be exposed. What is deleted is decided by retention.prune_… alone; nothing
-- here holds a second implementation of it. Applied by an owner, after the table's own functions.
CREATE SCHEMA IF NOT EXISTS retention_api;
REVOKE ALL ON SCHEMA retention_api FROM PUBLIC;
GRANT USAGE ON SCHEMA retention_api TO {role};

-- Which table this is, and how far the newest run came. With p_settle the call waits until a batch that is
-- still at work has ended, so that a second call can tell whether it took effect: a STABLE function sees
-- the table as it was when the call began.
CREATE OR REPLACE FUNCTION {state}(p_settle boolean DEFAULT false)
RETURNS TABLE (
    policy text, floor_days integer, system_identifier text, database text, relation oid,
    store_clock timestamptz, run_id uuid, batches bigint, items bigint, batch_items bigint,
    batch_first timestamptz, batch_last timestamptz, done boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_settle THEN
        PERFORM pg_advisory_xact_lock_shared(hashtextextended('retention.rest:' || {target}, 0));
    END IF;
    RETURN QUERY
    SELECT t.policy, t.floor_days, t.system_identifier,
           (SELECT d.oid::text FROM pg_database d WHERE d.datname = current_database()), t.relation,
           clock_timestamp(), j.run_id, j.batches, j.items, j.batch_items,
           j.batch_first, j.batch_last, j.done
      FROM retention.target t LEFT JOIN retention.journal j USING (target)
     WHERE t.target = {target};
END $$;

-- The survey. STABLE, so PostgREST runs it in a read-only transaction, whatever it is called with.
CREATE OR REPLACE FUNCTION {preview}(p_cutoff timestamptz, p_holds jsonb)
RETURNS TABLE (
    expired bigint, expired_bytes bigint, population bigint, population_exact boolean, held bigint, locked bigint,
    undated bigint, future bigint, oldest timestamptz, oldest_expired timestamptz, newest timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET statement_timeout = '60s' AS $$
    SELECT * FROM {survey}(p_cutoff, p_holds)
$$;

-- One row by its key, and the hold that keeps it.
CREATE OR REPLACE FUNCTION {explained}(p_key text[], p_cutoff timestamptz, p_holds jsonb)
RETURNS TABLE (dated timestamptz, held_by text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM {explain}(p_key, p_cutoff, p_holds)
$$;

-- One batch, and one row about it. The batch has a number within its run: asked for again, after an answer
-- that was lost, it does nothing and tells what it did. Calls wait for nobody: 55P03 means try again.
CREATE OR REPLACE FUNCTION {trim}(
    p_run uuid, p_token bigint, p_batch bigint, p_cutoff timestamptz, p_limit integer, p_holds jsonb)
RETURNS TABLE (batch bigint, items bigint, first_at timestamptz, last_at timestamptz,
               done boolean, repeated boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET statement_timeout = '20s' SET lock_timeout = '2s' SET row_security = off AS $$
DECLARE
    before retention.journal;
    token  bigint;
    gone   bigint;
BEGIN
    IF p_limit NOT BETWEEN 1 AND 5000 THEN
        RAISE EXCEPTION 'a batch takes 1 to 5000 rows, not %', p_limit USING ERRCODE = '22023';
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('retention.rest:' || {target}, 0)) THEN
        RAISE EXCEPTION 'another batch of this table is at work' USING ERRCODE = '55P03';
    END IF;
    SELECT * INTO before FROM retention.journal j WHERE j.target = {target};
    IF before.run_id = p_run AND before.batches = p_batch THEN
        RETURN QUERY SELECT before.batches, before.batch_items, before.batch_first, before.batch_last,
                            before.done, true;
        RETURN;
    END IF;
    IF p_batch <> 1 + (CASE WHEN before.run_id = p_run THEN before.batches ELSE 0 END) THEN
        RAISE EXCEPTION 'batch % of this run cannot be next', p_batch USING ERRCODE = '22023';
    END IF;
    -- The lease itself is in the ledger's database; here whoever began last has the token.
    token := before.token;
    IF before.run_id IS DISTINCT FROM p_run THEN
        token := retention.take_lease({target}, 'PostgREST, token ' || p_token);
    END IF;
    SELECT count(*) INTO gone FROM {prune}(p_run, token, p_cutoff, p_limit, p_holds);
    RETURN QUERY
    SELECT j.batches, gone, j.batch_first, j.batch_last, j.done, false
      FROM retention.journal j WHERE j.target = {target};
END $$;

-- A function is everybody's until that is revoked.
REVOKE ALL ON FUNCTION {state}(boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION {preview}(timestamptz, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION {explained}(text[], timestamptz, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION {trim}(uuid, bigint, bigint, timestamptz, integer, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {state}(boolean) TO {role};
GRANT EXECUTE ON FUNCTION {preview}(timestamptz, jsonb) TO {role};
GRANT EXECUTE ON FUNCTION {explained}(text[], timestamptz, jsonb) TO {role};
GRANT EXECUTE ON FUNCTION {trim}(uuid, bigint, bigint, timestamptz, integer, jsonb) TO {role};
