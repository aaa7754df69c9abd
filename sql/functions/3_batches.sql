-- What every batch function shares: the lease's token, which holds count, what must be true before a row may go,
-- and what may have changed once it has gone.

-- Raises the token of a lease by one and returns it; a batch needs the newest. Named after a policy where the
-- ledger is in this database: the caller has the policy's advisory lock then. Elsewhere named after a table,
-- by the run that is about to begin there.
CREATE OR REPLACE FUNCTION retention.take_lease(p_name text, p_holder text) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO retention.lease AS l (policy, token, holder, taken_at)
    VALUES (p_name, 1, p_holder, clock_timestamp())
    ON CONFLICT (policy) DO UPDATE SET token = l.token + 1, holder = excluded.holder, taken_at = excluded.taken_at
    RETURNING token
$$;

-- The rules that keep rows: those that the caller knows of, and where the register lives in this database,
-- those of the register at this very moment. NULL does not restrict.
CREATE OR REPLACE FUNCTION retention.rules(p_policy text, p_holds jsonb, p_register boolean)
RETURNS TABLE (hold_id text, tenant text, subject text, start_at timestamptz, end_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
--   LX004: something else happened than was asked. LX005: nobody can tell what happened.
CREATE OR REPLACE FUNCTION retention.batch_begin(
    p_target text, p_run uuid, p_token bigint, p_cutoff timestamptz, p_limit integer, p_holds jsonb)
RETURNS retention.journal
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
    SELECT l.token INTO held_token FROM retention.lease l
     WHERE l.policy = CASE t.holds_source WHEN 'register' THEN t.policy ELSE t.target END;
    IF p_token IS DISTINCT FROM held_token THEN
        RAISE EXCEPTION 'token % is not that of the lease (%): another run has it', p_token, held_token
            USING ERRCODE = 'LX001';
    END IF;
    INSERT INTO retention.journal AS o (target, run_id, token, cutoff)
    VALUES (p_target, p_run, p_token, p_cutoff) ON CONFLICT (target) DO NOTHING;
    SELECT * INTO j FROM retention.journal o WHERE o.target = p_target FOR UPDATE;
    IF j.transaction = pg_current_xact_id() THEN
        RAISE EXCEPTION 'a transaction takes one batch of %', p_target USING ERRCODE = 'LX002';
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
CREATE OR REPLACE FUNCTION retention.batch_end(
    p_target text, p_token bigint, p_limit integer, p_items bigint, p_first timestamptz, p_last timestamptz,
    p_after_at timestamptz, p_after_key text[], p_page bigint, p_done boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_items > p_limit THEN
        -- Rows came into the range while it was being deleted; the caller tries again.
        RAISE EXCEPTION 'the batch found % rows where % were allowed', p_items, p_limit
            USING ERRCODE = 'serialization_failure';
    END IF;
    UPDATE retention.journal j
       SET token = p_token, after_at = p_after_at, after_key = p_after_key, page = p_page,
           items = j.items + p_items, batches = j.batches + 1, batch_items = p_items,
           batch_first = p_first, batch_last = p_last, done = p_done, transaction = pg_current_xact_id(),
           updated_at = clock_timestamp()
     WHERE j.target = p_target;
END $$;

-- A batch commits only together with its entry. Where the ledger is in another database nobody can tell here.
CREATE OR REPLACE FUNCTION retention.batch_has_entry() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM retention.target t WHERE t.target = NEW.target AND t.holds_source = 'register')
       AND NOT retention.appended('batch', jsonb_build_object(
           'run_id', NEW.run_id, 'target', NEW.target, 'items', NEW.batch_items, 'token', NEW.token)) THEN
        RAISE EXCEPTION '% rows of % have no entry in the ledger in this transaction', NEW.batch_items, NEW.target
            USING ERRCODE = 'LX004', HINT = 'only a run of luxima-retention deletes here';
    END IF;
    RETURN NULL;
END $$;

-- A table with its partitions and those that inherit from it, at every level.
CREATE OR REPLACE FUNCTION retention.family(p_table oid) RETURNS TABLE (member oid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE tree (member) AS (
        SELECT p_table
        UNION
        SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.member)
    SELECT t.member FROM tree t
$$;

-- What this transaction has deleted and changed until now, by the server's own counters, table by table:
-- deletions everywhere, and updates where foreign keys bring them, or in the catalogue. Tables of this schema are
-- left out, and temporary ones. Earlier batches of the session may still be in the figures: only what they grow by
-- tells. Where foreign keys lead is looked up only when something was updated: it costs more than all the rest.
-- The planner's settings are those of the server again: the function that deletes has its own.
CREATE OR REPLACE FUNCTION retention.counted(p_table oid) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = on SET enable_nestloop = on AS $$
DECLARE
    found   jsonb;
    updated oid[];
BEGIN
    IF NOT current_setting('track_counts')::boolean THEN
        RAISE EXCEPTION 'track_counts is off: what a deletion does to other tables cannot be seen'
            USING ERRCODE = 'LX005', HINT = 'set track_counts = on, for the server or the job''s role';
    END IF;
    WITH figures AS MATERIALIZED (
        SELECT c.oid, c.relnamespace = (SELECT to_regnamespace('pg_catalog')) AS catalogue,
               pg_stat_get_xact_tuples_deleted(c.oid) AS deleted, pg_stat_get_xact_tuples_updated(c.oid) AS updated
          FROM pg_class c
         WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
           AND c.relnamespace <> (SELECT to_regnamespace('retention')))
    SELECT coalesce(jsonb_object_agg(f.oid, jsonb_build_array(f.deleted, CASE WHEN f.catalogue THEN f.updated ELSE 0 END))
                        FILTER (WHERE f.deleted > 0 OR f.catalogue), '{}'),
           array_agg(f.oid) FILTER (WHERE f.updated > 0 AND NOT f.catalogue)
      INTO found, updated FROM figures f WHERE f.deleted > 0 OR f.updated > 0;
    IF updated IS NULL THEN
        RETURN found;
    END IF;
    RETURN (
        WITH RECURSIVE reached (member) AS (
            SELECT f.member FROM retention.family(p_table) f
            UNION
            SELECT f.member FROM reached r
              JOIN pg_constraint k ON k.contype = 'f' AND k.confrelid = r.member
                   AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))
             CROSS JOIN LATERAL retention.family(k.conrelid) f)
        SELECT found || coalesce(jsonb_object_agg(r.member, jsonb_build_array(
                   pg_stat_get_xact_tuples_deleted(r.member), pg_stat_get_xact_tuples_updated(r.member))), '{}')
          FROM reached r WHERE r.member = ANY (updated));
END $$;

-- Makes sure that p_items rows of the table went and nothing else, since p_before was counted.
CREATE OR REPLACE FUNCTION retention.check_counted(p_table oid, p_before jsonb, p_items bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = on SET enable_nestloop = on SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    own   bigint;
    other text;
BEGIN
    WITH grown AS (
        SELECT n.key::oid AS member,
               (n.value->>0)::bigint - coalesce((p_before->n.key->>0)::bigint, 0) AS deleted,
               (n.value->>1)::bigint - coalesce((p_before->n.key->>1)::bigint, 0) AS updated
          FROM jsonb_each(retention.counted(p_table)) n)
    SELECT coalesce(sum(g.deleted) FILTER (WHERE f.member IS NOT NULL), 0),
           string_agg(format('%s deleted and %s changed in %s', g.deleted, g.updated, g.member::regclass), ', ')
               FILTER (WHERE (f.member IS NULL AND g.deleted > 0) OR g.updated > 0)
      INTO own, other
      FROM grown g
      LEFT JOIN (SELECT m.member FROM retention.family(p_table) m JOIN pg_class c ON c.oid = m.member
                  WHERE m.member = p_table OR c.relispartition) f USING (member);  -- not what only inherits
    IF other IS NOT NULL THEN
        RAISE EXCEPTION 'a deletion from % changes more than it: %', p_table::regclass, other
            USING ERRCODE = 'LX004', HINT = 'look for foreign keys with ON DELETE and for triggers';
    ELSIF own <> p_items THEN
        RAISE EXCEPTION '% rows of % went where the batch took %', own, p_table::regclass, p_items
            USING ERRCODE = 'LX004', HINT = 'look for triggers that take rows of the same table';
    END IF;
END $$;

REVOKE ALL ON FUNCTION retention.take_lease(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION retention.rules(text, jsonb, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION retention.batch_begin(text, uuid, bigint, timestamptz, integer, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION retention.batch_end(text, bigint, integer, bigint, timestamptz, timestamptz, timestamptz, text[], bigint, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION retention.family(oid) FROM PUBLIC;
REVOKE ALL ON FUNCTION retention.counted(oid) FROM PUBLIC;
REVOKE ALL ON FUNCTION retention.check_counted(oid, jsonb, bigint) FROM PUBLIC;

DROP TRIGGER IF EXISTS batch_has_entry ON retention.journal;
CREATE CONSTRAINT TRIGGER batch_has_entry AFTER INSERT OR UPDATE ON retention.journal
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.batch_items > 0)
    EXECUTE FUNCTION retention.batch_has_entry();
ALTER TABLE retention.journal ENABLE ALWAYS TRIGGER batch_has_entry;
