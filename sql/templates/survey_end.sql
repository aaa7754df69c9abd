-- What is free of holds, and of that, what no foreign key needs; counted only where there is a difference.
free AS (
    SELECT CASE WHEN EXISTS (SELECT 1 FROM holds) THEN f.items ELSE e.items END AS items,
           CASE WHEN EXISTS (SELECT 1 FROM holds) THEN f.oldest ELSE e.oldest END AS oldest
      FROM every e, (SELECT count(*) AS items, min({at}) AS oldest FROM {table} t
                      WHERE (SELECT EXISTS (SELECT 1 FROM holds)) AND {past_cutoff} AND {free}) f),
loose AS ({loose}),
past AS (
    SELECT l.items AS expired, l.oldest AS oldest_expired, e.items - f.items AS held, f.items - l.items AS locked
      FROM every e, free f, loose l),
-- Size and number of all rows: counted in a small table, else from the statistics, per leaf of a partitioned one.
leaves AS (
    SELECT c.oid, c.reltuples, c.relpages, pg_relation_size(c.oid) / current_setting('block_size')::bigint AS pages
      FROM pg_class c
     WHERE c.relkind = 'r'
       AND (c.oid = {table_name}::regclass
            OR c.oid IN (SELECT p.relid FROM pg_partition_tree({table_name}::regclass) p WHERE p.isleaf))),
sizes AS (
    SELECT coalesce(sum(pages), 0) AS pages,
           coalesce(sum(pg_total_relation_size(oid)), 0) AS bytes,
           coalesce(sum(CASE WHEN relpages > 0 AND reltuples > 0 THEN reltuples / relpages * pages
                             ELSE pages * 40 END), 0)::bigint AS estimate
      FROM leaves),
whole AS (
    SELECT CASE WHEN s.pages <= 4096 THEN (SELECT count(*) FROM {table})
                ELSE greatest(s.estimate, p.expired + p.held + p.locked + o.undated + o.future) END AS population,
           s.pages <= 4096 AS population_exact, s.bytes
      FROM sizes s, past p, others o)
SELECT p.expired,
       CASE WHEN w.population > 0 THEN (w.bytes * (p.expired::numeric / w.population))::bigint ELSE 0 END
           AS expired_bytes,
       w.population, w.population_exact, p.held, p.locked, o.undated, o.future, o.oldest, p.oldest_expired, o.newest
  FROM past p, others o, whole w
