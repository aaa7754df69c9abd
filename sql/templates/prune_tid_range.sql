-- One batch of a table without a usable index: one pass over its pages. As many pages as the limit's rows fill;
-- where they hold more expired rows than that, the batch ends inside the last page and the next one begins there.
CREATE OR REPLACE FUNCTION {prune}(
    p_run uuid, p_token bigint, p_cutoff timestamptz, p_limit integer, p_holds jsonb, p_rows boolean DEFAULT true)
RETURNS SETOF {table}
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET row_security = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    j      retention.journal;
    edge   {time_type} := {cutoff};
    start  bigint;
    stop   bigint;
    pages  bigint;
    chosen tid[];
    first  timestamptz;
    final  timestamptz;
    gone   bigint;
BEGIN
    j := retention.batch_begin({target}, p_run, p_token, p_cutoff, p_limit, p_holds);
    start := coalesce(j.page, 0);
    pages := pg_relation_size({table_name}::regclass) / current_setting('block_size')::bigint;
    -- Pages without a single expired row cost a look and no batch.
    LOOP
        stop := least(pages, start + greatest(1, p_limit / {rows_per_page}));
        WITH holds AS MATERIALIZED (SELECT * FROM {rules}),
        found AS (
            SELECT t.ctid AS place, {at} AS at FROM {table} t
             WHERE t.ctid >= format('(%s,0)', start)::tid AND t.ctid < format('(%s,0)', stop)::tid
               AND t.{time} < edge AND NOT {held} LIMIT p_limit)
        SELECT array_agg(f.place), min(f.at), max(f.at) INTO chosen, first, final FROM found f;
        EXIT WHEN chosen IS NOT NULL OR stop >= pages;
        start := stop;
    END LOOP;
    IF p_rows THEN
        RETURN QUERY
        WITH holds AS MATERIALIZED (SELECT * FROM {rules})
        DELETE FROM {table} t WHERE t.ctid = ANY (chosen) AND t.{time} < edge AND NOT {held} RETURNING t.*;
    ELSE
        WITH holds AS MATERIALIZED (SELECT * FROM {rules})
        DELETE FROM {table} t WHERE t.ctid = ANY (chosen) AND t.{time} < edge AND NOT {held};
    END IF;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF cardinality(chosen) >= p_limit THEN
        stop := (SELECT max((place::text::point)[0])::bigint FROM unnest(chosen) AS place);
    END IF;
    PERFORM retention.batch_end(
        {target}, p_token, p_limit, gone, first, final, NULL, NULL, stop,
        stop >= pages AND coalesce(cardinality(chosen), 0) < p_limit);
END $$;
