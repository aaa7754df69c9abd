-- The facts of one table, where an index leads with its time column: only what has expired is walked.
WITH holds AS MATERIALIZED (SELECT * FROM {rules}),
past AS (
    SELECT count(*) FILTER (WHERE NOT x.held) AS expired, count(*) FILTER (WHERE x.held) AS held,
           min(x.at) FILTER (WHERE NOT x.held) AS oldest_expired
      FROM (SELECT {at} AS at, {held} AS held FROM {table} t WHERE {past_cutoff} OFFSET 0) x),
others AS (
    SELECT (SELECT count(*) FROM {table} t WHERE t.{time} IS NULL)
         + (SELECT count(*) FROM {table} t WHERE t.{time} = '-infinity') AS undated,
           (SELECT count(*) FROM {table} t WHERE t.{time} > {now}) AS future,
           (SELECT min({at}) FROM {table} t WHERE t.{time} <= {now} AND t.{time} > '-infinity') AS oldest,
           (SELECT max({at}) FROM {table} t WHERE t.{time} <= {now} AND t.{time} > '-infinity') AS newest),
