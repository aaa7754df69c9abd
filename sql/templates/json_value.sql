-- A value in JSON, which has no type of its own: a number by its value, anything else whatever its capitals. A UUID or
-- an address may be spelled with capitals or without, and 1 is 1.0: that keeps too much rather than too little.
(CASE WHEN {value} OPERATOR(pg_catalog.~) '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9][0-9]?[0-9]?)?$'
           AND pg_catalog.length({value}) < 1000
      THEN pg_catalog.trim_scale({value}::pg_catalog.numeric)::pg_catalog.text
      ELSE pg_catalog.lower({value}) END)
