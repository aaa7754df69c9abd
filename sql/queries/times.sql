-- How a column says when, in expressions over {value}. Named by kind and by type where that matters.
-- at_…: as an instant; dated_…: whether it says one; edge_…: an instant {value} in the column's own type.

-- name: at_instant
{value}::timestamptz

-- name: at_local
({value} AT TIME ZONE {zone})

-- name: at_date
({value}::timestamp AT TIME ZONE {zone})

-- name: at_epoch
-- What lies beyond year 9999 counts as never.
(CASE WHEN {value} > 253402300799 * {unit} THEN 'infinity'::timestamptz
      WHEN {value} > 0 THEN to_timestamp({value}::float8 / {unit}) END)

-- name: at_uuid
(CASE WHEN {dated} THEN
    to_timestamp(('x' || translate(substr({value}::text, 1, 13), '-', ''))::bit(48)::bigint / 1000.0) END)

-- name: at_text
(CASE WHEN {dated} THEN to_timestamp((
    SELECT sum((strpos('0123456789ABCDEFGHJKMNPQRSTVWXYZ', substr({value}::text, n, 1)) - 1)::bigint << (50 - 5 * n))
      FROM generate_series(1, 10) n) / 1000.0) END)

-- name: dated_instant
({value} > '-infinity')

-- name: dated_epoch
({value} > 0)

-- name: dated_uuid_v7
(substr({value}::text, 15, 1) = '7')

-- name: dated_uuid
({value} IS NOT NULL)

-- name: dated_text
({value}::text ~ '^[0-7][0-9A-HJKMNP-TV-Z]{{25}}$')

-- name: edge_instant
{value}

-- name: edge_local
({value} AT TIME ZONE {zone})

-- name: edge_date
({value} AT TIME ZONE {zone})::date

-- name: edge_epoch
(extract(epoch FROM {value}) * {unit})::{type}

-- name: edge_uuid
(lpad(to_hex((extract(epoch FROM {value}) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid

-- name: edge_text
(SELECT string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ',
            (((extract(epoch FROM {value}) * 1000)::bigint >> (5 * n)) & 31)::integer + 1, 1), '' ORDER BY n DESC)
        || repeat('0', 16) FROM generate_series(0, 9) n)::{type}

-- name: past
{value} < {edge} AND {dated}

-- name: past_text
-- The first comparison is for the index; letters and digits may have another order in its collation.
{value} < {edge} AND {dated} AND ({value}::text COLLATE "C") < ({edge}::text COLLATE "C")
