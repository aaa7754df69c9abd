-- One batch, oldest first, by the order of (time, key). The last key of the batch is looked up first; what is
-- deleted is the range up to it, which is twice as fast as deleting a list of keys. Rows that are held stay
-- behind; the next batch begins after them.
CREATE OR REPLACE FUNCTION {prune}(
    p_run uuid, p_token bigint, p_cutoff timestamptz, p_limit integer, p_holds jsonb, p_rows boolean DEFAULT true)
RETURNS SETOF {table}
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET row_security = off SET enable_seqscan = off SET enable_nestloop = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_variable -- columns are always named with their table, so none can stand for a variable
DECLARE
    j     retention.journal;
    edge  {time_type} := {cutoff};
    gone  bigint;
    more  boolean := true;
    first timestamptz;
    final timestamptz;
    counted jsonb;
    {declare}
BEGIN
    j := retention.batch_begin({target}, p_run, p_token, p_cutoff, p_limit, p_holds);
    counted := retention.counted({table_name}::regclass);
    IF j.done THEN  -- the walk is over, and this is another one
        j.after_at := NULL;
        j.after_key := NULL;
    END IF;
    {read_cursor}
    SELECT {at} INTO first FROM {table} t WHERE {past} AND {after} ORDER BY {order} LIMIT 1;
    IF first IS NULL THEN
        PERFORM retention.batch_end({target}, p_token, p_limit, 0, NULL, NULL, j.after_at, j.after_key, NULL, true);
        RETURN;
    END IF;
    SELECT {key_list} INTO {last_list} FROM {table} t WHERE {past} AND {after}
     ORDER BY {order} OFFSET p_limit - 1 LIMIT 1;
    IF NOT FOUND THEN
        more := false;
        SELECT {key_list} INTO {last_list} FROM {table} t WHERE {past} AND {after}
         ORDER BY {order_desc} LIMIT 1;
    END IF;
    final := {last_at};
    IF p_rows THEN
        RETURN QUERY
        WITH {holds}
        DELETE FROM {table} t WHERE {past} AND {after} AND {upto} AND {free} AND {unreferenced} RETURNING t.*;
    ELSE
        WITH {holds}
        DELETE FROM {table} t WHERE {past} AND {after} AND {upto} AND {free} AND {unreferenced};
    END IF;
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM retention.check_counted({table_name}::regclass, counted, gone);
    PERFORM retention.batch_end(
        {target}, p_token, p_limit, gone, first, final, {last_at}, ARRAY[{last_key}], NULL, NOT more);
END $$;
