-- The rules in the types of the columns, parted by what they name: each part is joined by it, so that thousands of
-- rules cost about as much as ten. A value that is none of the column's type is an error, never "no match".
holds AS MATERIALIZED (SELECT r.hold_id, {tenant} AS tenant, {subject} AS subject, r.start_at, r.end_at FROM {rules} r),
{parts}
