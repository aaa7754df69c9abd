-- What no foreign key needs.
SELECT count(*) AS items, min({at}) AS oldest FROM {table} t WHERE {past_cutoff} AND {free} AND {unreferenced}
