-- The facts of one table without a usable index: everything in one pass. Names as in survey_keyset.sql.
WITH {holds},
pass AS (
    SELECT count(*) FILTER (WHERE x.past) AS items, min(x.at) FILTER (WHERE x.past) AS expired,
           count(*) FILTER (WHERE x.at IS NULL) AS undated,
           count(*) FILTER (WHERE x.future) AS future,
           min(x.at) FILTER (WHERE NOT x.future) AS oldest,
           max(x.at) FILTER (WHERE NOT x.future) AS newest
      FROM (SELECT nullif({at}, '-infinity') AS at, {past_cutoff} AS past, t.{time} > {now} AS future
              FROM {table} t OFFSET 0) x),
every AS (SELECT items, expired AS oldest FROM pass),
others AS (SELECT undated, future, oldest, newest FROM pass),
