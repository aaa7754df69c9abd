-- One row by its key, and the first rule that keeps it.
WITH {holds}
SELECT nullif({at}, '-infinity') AS dated, {holder} AS held_by FROM {table} t WHERE {is_key}
