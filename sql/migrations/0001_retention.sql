-- Schema retention: where the suite keeps its own state. Run by an owner, never by the job.
-- Every table here is small; none is ever a target of the suite.

CREATE SCHEMA IF NOT EXISTS retention;
REVOKE ALL ON SCHEMA retention FROM PUBLIC;

-- One row for each table that may be pruned, written by `migrate` only. The floor lives here, out of the
-- job's reach: a cutoff that is younger than floor_days is refused by the batch function itself.
CREATE TABLE retention.target (
    target            text PRIMARY KEY,               -- core.audit_log
    policy            text NOT NULL,                  -- audit-logs
    relation          oid NOT NULL,                   -- the table as migrate first saw it
    function_name     text NOT NULL UNIQUE,           -- core_audit_log: prune_core_audit_log, survey_…
    floor_days        integer NOT NULL CHECK (floor_days >= 1),
    time_column       text NOT NULL,
    time_zone         text,                           -- only for a column without zone
    time_kind         text NOT NULL DEFAULT 'instant',-- how the column says when
    skip_referenced   boolean NOT NULL DEFAULT false, -- rows that foreign keys need are left, not an error
    key_columns       text[] NOT NULL,
    tenant_column     text,
    subject_column    text,
    strategy          text NOT NULL CHECK (strategy IN ('keyset', 'tid_range')),
    holds_source      text NOT NULL CHECK (holds_source IN ('register', 'parameter')),
    system_identifier text NOT NULL,                  -- of the cluster, as migrate first saw it
    definition        text NOT NULL,                  -- SHA-256 of the SQL that made the functions
    catalogue         text NOT NULL DEFAULT '',       -- SHA-256 of what the catalogue says of them since
    applied_at        timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The hold register. NULL does not restrict; a hold of a policy without more pauses the policy.
CREATE TABLE retention.hold (
    hold_id        text PRIMARY KEY,
    policy         text,                              -- NULL: every policy
    tenant         text,
    subject        text,
    start_at       timestamptz,                       -- inclusive, on the record's own time
    end_at         timestamptz,                       -- exclusive
    key_prefix     text,
    path           text,
    reason         text NOT NULL CHECK (reason <> ''),
    case_ref       text NOT NULL DEFAULT '',
    placed_by      text NOT NULL,
    placed_at      timestamptz NOT NULL,
    released_by    text,
    released_at    timestamptz,
    release_reason text,
    CHECK (start_at IS NULL OR end_at IS NULL OR start_at < end_at),
    CHECK ((released_at IS NULL) = (released_by IS NULL))
);
CREATE INDEX hold_active ON retention.hold (policy) WHERE released_at IS NULL;

-- The fencing token of each lease. Mutual exclusion itself is a session advisory lock, which dies with its
-- connection; the token stops a run that lost its lock and does not know it yet. Only retention.take_lease
-- writes here, and it counts by one: nobody can make a token that no later run exceeds.
CREATE TABLE retention.lease (
    policy   text PRIMARY KEY,                        -- or the table, where the ledger is in another database
    token    bigint NOT NULL DEFAULT 0,
    holder   text NOT NULL DEFAULT '',
    run_id   uuid,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- How far the newest run of each target came: written in the transaction of the deletion.
CREATE TABLE retention.journal (
    target      text PRIMARY KEY,
    run_id      uuid NOT NULL,
    token       bigint NOT NULL,
    cutoff      timestamptz NOT NULL,
    after_at    timestamptz,                          -- keyset: the last key that was examined
    after_key   text[],
    page        bigint,                               -- tid_range: the first page not yet swept
    items       bigint NOT NULL DEFAULT 0,            -- of the whole run
    batches     bigint NOT NULL DEFAULT 0,
    batch_items bigint NOT NULL DEFAULT 0,            -- of the newest batch
    batch_first timestamptz,
    batch_last  timestamptz,
    done        boolean NOT NULL DEFAULT false,
    transaction xid8,                                 -- of the newest batch: there is one in each
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
