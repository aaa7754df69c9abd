-- The facts of one table, where an index leads with its time column: only what has expired is walked.
WITH {holds},
every AS (SELECT count(*) AS items, min({at}) AS oldest FROM {table} t WHERE {past_cutoff}),
others AS (
    SELECT (SELECT count(*) FROM {table} t WHERE {without_date}) AS undated,
           (SELECT count(*) FROM {table} t WHERE t.{time} > {now} AND {dated}) AS future,
           (SELECT {at} FROM {table} t WHERE t.{time} <= {now} AND {dated} ORDER BY t.{time} LIMIT 1) AS oldest,
           (SELECT {at} FROM {table} t WHERE t.{time} <= {now} AND {dated} ORDER BY t.{time} DESC LIMIT 1) AS newest),
