-- Partitions that were taken off their table and wait for the end of the undo window, and those that are just
-- being taken off: a row is written before the partition is touched, so a killed run leaves no stray table.
CREATE SCHEMA IF NOT EXISTS retention_trash;
REVOKE ALL ON SCHEMA retention_trash FROM PUBLIC;

CREATE TABLE retention.detached (
    relation    oid PRIMARY KEY,                      -- of the partition
    target      text NOT NULL,                        -- core.audit_log
    partition   text NOT NULL,                        -- core.audit_log_2025_01, as it was called
    bound       text NOT NULL,                        -- FOR VALUES FROM (…) TO (…), to attach it again
    items       bigint NOT NULL,
    first_at    timestamptz,
    last_at     timestamptz,
    size_bytes  bigint NOT NULL,
    archived    boolean NOT NULL,
    run_id      uuid NOT NULL,
    due_at      timestamptz NOT NULL,                 -- from then on it may be dropped
    detached_at timestamptz                           -- NULL: still at it
);
