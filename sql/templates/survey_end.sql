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
                ELSE greatest(s.estimate, p.expired + p.held + o.undated + o.future) END AS population,
           s.pages <= 4096 AS population_exact, s.bytes
      FROM sizes s, past p, others o)
SELECT p.expired,
       CASE WHEN w.population > 0 THEN (w.bytes * (p.expired::numeric / w.population))::bigint ELSE 0 END
           AS expired_bytes,
       w.population, w.population_exact, p.held, o.undated, o.future, o.oldest, p.oldest_expired, o.newest
  FROM past p, others o, whole w
