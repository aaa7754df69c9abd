-- The facts of one table without a usable index: everything in one pass. Names as in survey_keyset.sql.
WITH holds AS MATERIALIZED (SELECT * FROM {rules}),
pass AS (
    SELECT count(*) FILTER (WHERE x.past AND NOT x.held) AS expired,
           count(*) FILTER (WHERE x.past AND x.held) AS held,
           min(x.at) FILTER (WHERE x.past AND NOT x.held) AS oldest_expired,
           count(*) FILTER (WHERE x.at IS NULL) AS undated,
           count(*) FILTER (WHERE x.future) AS future,
           min(x.at) FILTER (WHERE NOT x.future) AS oldest,
           max(x.at) FILTER (WHERE NOT x.future) AS newest
      FROM (SELECT nullif({at}, '-infinity') AS at, {past_cutoff} AS past, t.{time} > {now} AS future,
                   {past_cutoff} AND {held} AS held
              FROM {table} t OFFSET 0) x),
past AS (SELECT expired, held, oldest_expired FROM pass),
others AS (SELECT undated, future, oldest, newest FROM pass),
