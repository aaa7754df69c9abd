-- What every batch function shares: which holds count, and what must be true before a row may go.

-- The rules that keep rows: those that the caller knows of, and where the register lives in this database,
-- those of the register at this very moment. NULL does not restrict.
CREATE FUNCTION retention.rules(p_policy text, p_holds jsonb, p_register boolean)
RETURNS TABLE (hold_id text, tenant text, subject text, start_at timestamptz, end_at timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.hold_id, h.tenant, h.subject, h.start_at, h.end_at
      FROM jsonb_to_recordset(coalesce(p_holds, '[]'))
           AS h (hold_id text, tenant text, subject text, start_at timestamptz, end_at timestamptz)
    UNION
    SELECT h.hold_id, h.tenant, h.subject, h.start_at, h.end_at
      FROM retention.hold h
     WHERE p_register AND h.released_at IS NULL AND (h.policy IS NULL OR h.policy = p_policy)
$$;

-- Whether a batch may begin, and where: floor, fencing token, cutoff, holds. Locks the journal's row, so that
-- two batches of one table never overlap, and the register, so that no hold can become valid between the
-- reading of the register and the commit of the batch.
--   LX001: the lease went to somebody else. LX002: refused. LX003: migrate has to be run.
CREATE FUNCTION retention.batch_begin(
    p_target text, p_run uuid, p_token bigint, p_cutoff timestamptz, p_limit integer, p_holds jsonb)
RETURNS retention.journal
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t retention.target;
    j retention.journal;
    held_token bigint;
    unmapped text;
BEGIN
    SELECT * INTO t FROM retention.target WHERE target = p_target;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is not set up for retention', p_target USING ERRCODE = 'LX003';
    END IF;
    IF p_limit IS NULL OR p_limit < 1 THEN
        RAISE EXCEPTION 'a batch takes at least one row, not %', p_limit USING ERRCODE = '22023';
    END IF;
    IF p_cutoff IS NULL OR p_cutoff > date_trunc('day', clock_timestamp(), 'UTC') - t.floor_days * interval '24 hours' THEN
        RAISE EXCEPTION 'the cutoff % is younger than the floor of % days of %', p_cutoff, t.floor_days, p_target
            USING ERRCODE = 'LX002', HINT = 'an owner can lower the floor: migrate --lower-floor';
    END IF;
    IF t.holds_source = 'register' THEN
        LOCK TABLE retention.hold IN SHARE MODE;
    END IF;
    SELECT string_agg(DISTINCT r.hold_id, ', ') INTO unmapped
      FROM retention.rules(t.policy, p_holds, t.holds_source = 'register') r
     WHERE (r.tenant IS NOT NULL AND t.tenant_column IS NULL)
        OR (r.subject IS NOT NULL AND t.subject_column IS NULL);
    IF unmapped IS NOT NULL THEN
        RAISE EXCEPTION 'hold % names a column that is not mapped for %', unmapped, p_target
            USING ERRCODE = 'LX002', HINT = 'map the column in the settings and run migrate';
    END IF;
    SELECT l.token INTO held_token FROM retention.lease l WHERE l.policy = t.policy;
    INSERT INTO retention.journal AS o (target, run_id, token, cutoff)
    VALUES (p_target, p_run, p_token, p_cutoff) ON CONFLICT (target) DO NOTHING;
    SELECT * INTO j FROM retention.journal o WHERE o.target = p_target FOR UPDATE;
    IF p_token < greatest(j.token, held_token) THEN
        RAISE EXCEPTION 'token % is older than %: another run has the lease', p_token, greatest(j.token, held_token)
            USING ERRCODE = 'LX001';
    END IF;
    IF j.run_id <> p_run THEN
        UPDATE retention.journal o
           SET run_id = p_run, token = p_token, cutoff = p_cutoff, after_at = NULL, after_key = NULL,
               page = NULL, items = 0, batches = 0, batch_items = 0, batch_first = NULL, batch_last = NULL,
               done = false, updated_at = clock_timestamp()
         WHERE o.target = p_target
        RETURNING o.* INTO j;
    ELSIF j.cutoff <> p_cutoff THEN
        RAISE EXCEPTION 'run % has the cutoff %, not %', p_run, j.cutoff, p_cutoff USING ERRCODE = 'LX002';
    END IF;
    RETURN j;
END $$;

-- Where the batch ended, in its own transaction.
CREATE FUNCTION retention.batch_end(
    p_target text, p_token bigint, p_limit integer, p_items bigint, p_first timestamptz, p_last timestamptz,
    p_after_at timestamptz, p_after_key text[], p_page bigint, p_done boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_items > p_limit THEN
        -- Rows came into the range while it was being deleted; the caller tries again.
        RAISE EXCEPTION 'the batch found % rows where % were allowed', p_items, p_limit
            USING ERRCODE = 'serialization_failure';
    END IF;
    UPDATE retention.journal j
       SET token = p_token, after_at = p_after_at, after_key = p_after_key, page = p_page,
           items = j.items + p_items, batches = j.batches + 1, batch_items = p_items,
           batch_first = p_first, batch_last = p_last, done = p_done, updated_at = clock_timestamp()
     WHERE j.target = p_target;
END $$;

REVOKE ALL ON FUNCTION retention.rules(text, jsonb, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION retention.batch_begin(text, uuid, bigint, timestamptz, integer, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION retention.batch_end(text, bigint, integer, bigint, timestamptz, timestamptz, timestamptz, text[], bigint, boolean) FROM PUBLIC;
