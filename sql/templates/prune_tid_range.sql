-- One batch of a table without a usable index: one pass over its pages, as many as the limit's rows fill. Where
-- they hold more expired rows than that, the batch takes the first of them and the next one begins after the
-- last of those, whether or not they went: a trigger may have kept them.
CREATE OR REPLACE FUNCTION {prune}(
    p_run uuid, p_token bigint, p_cutoff timestamptz, p_limit integer, p_holds jsonb, p_rows boolean DEFAULT true)
RETURNS SETOF {table}
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET row_security = off SET enable_seqscan = off SET enable_nestloop = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_variable -- columns are always named with their table, so none can stand for a variable
DECLARE
    j        retention.journal;
    edge     {time_type} := {cutoff};
    start    bigint;
    stop     bigint;
    pages    bigint;
    per_page bigint;
    expired  bigint;
    chosen   tid[];
    first    timestamptz;
    final    timestamptz;
    gone     bigint;
    low      tid;
    high     tid;
    latest   tid;
    next     text;
    counted  jsonb;
BEGIN
    j := retention.batch_begin({target}, p_run, p_token, p_cutoff, p_limit, p_holds);
    counted := retention.counted({table_name}::regclass);
    IF j.done THEN  -- the pass is over, and this is another one
        j.page := NULL;
        j.after_key := NULL;
    END IF;
    start := coalesce(j.page, 0);
    SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint,
           CASE WHEN c.relpages > 0 AND c.reltuples > 0 THEN ceil(c.reltuples / c.relpages) ELSE 40 END
      INTO pages, per_page FROM pg_class c WHERE c.oid = {table_name}::regclass;
    -- Pages without a single expired row cost a look and no batch.
    LOOP
        stop := least(pages, start + greatest(1, p_limit / per_page));
        low := coalesce(j.after_key[1], format('(%s,0)', start))::tid;
        high := format('(%s,0)', stop)::tid;
        WITH {holds}
        SELECT count(*), min({at}), max({at}) INTO expired, first, final FROM {table} t
         WHERE t.ctid >= low AND t.ctid < high AND {past} AND {free} AND {unreferenced};
        EXIT WHEN expired > 0 OR stop >= pages;
        start := stop;
        j.after_key := NULL;
    END LOOP;
    IF expired > p_limit THEN
        WITH {holds},
        found AS (
            SELECT t.ctid AS place FROM {table} t
             WHERE t.ctid >= low AND t.ctid < high AND {past} AND {free} AND {unreferenced}
             ORDER BY t.ctid LIMIT p_limit)
        SELECT array_agg(f.place), max(f.place) INTO chosen, latest FROM found f;
        stop := (latest::text::point)[0]::bigint;
        next := format('(%s,%s)', stop, (latest::text::point)[1]::bigint + 1);
    END IF;
    IF p_rows AND chosen IS NULL THEN
        RETURN QUERY
        WITH {holds}
        DELETE FROM {table} t
         WHERE t.ctid >= low AND t.ctid < high AND {past} AND {free} AND {unreferenced} RETURNING t.*;
    ELSIF p_rows THEN
        RETURN QUERY
        WITH {holds}
        DELETE FROM {table} t WHERE t.ctid = ANY (chosen) AND {past} AND {free} AND {unreferenced} RETURNING t.*;
    ELSIF chosen IS NULL THEN
        WITH {holds}
        DELETE FROM {table} t WHERE t.ctid >= low AND t.ctid < high AND {past} AND {free} AND {unreferenced};
    ELSE
        WITH {holds}
        DELETE FROM {table} t WHERE t.ctid = ANY (chosen) AND {past} AND {free} AND {unreferenced};
    END IF;
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM retention.check_counted({table_name}::regclass, counted, gone);
    PERFORM retention.batch_end(
        {target}, p_token, p_limit, gone, first, final, NULL, ARRAY[next], stop, stop >= pages AND chosen IS NULL);
END $$;
