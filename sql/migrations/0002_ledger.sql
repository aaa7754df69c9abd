-- The ledger: one row for each entry, never changed and never removed. The bytes of an entry are its truth
-- (RFC 8785 JSON, so bytea and not jsonb, which would reorder them); hash and previous chain them, and
-- kind, policy and at repeat what stands in the bytes, for queries. The trigger holds all of that together,
-- so that a role with no more than INSERT can only ever append the next entry.
CREATE TABLE retention.ledger (
    seq      bigint PRIMARY KEY,                      -- 1, 2, 3, … without gaps
    entry    bytea NOT NULL,                          -- {"at","body","kind","policy","previous","seq","v"}
    hash     bytea NOT NULL,                          -- SHA-256(0x00 || entry): the leaf hash of RFC 6962
    previous bytea NOT NULL,                          -- hash of entry seq - 1; 32 zero bytes for the first
    kind     text NOT NULL,
    policy   text,                                    -- NULL: an entry of no single policy
    at       timestamptz NOT NULL                     -- by the program's clock
);
CREATE INDEX ledger_policy ON retention.ledger (policy, seq);
CREATE INDEX ledger_kind ON retention.ledger (kind, seq);

-- Signed heads of the tree over the entries (C2SP tlog-checkpoint); the note verifies by itself.
CREATE TABLE retention.checkpoint (
    size bigint NOT NULL,                             -- entries that the tree covers
    root bytea NOT NULL,                              -- RFC 6962 tree hash of entries 1 … size
    peaks bytea NOT NULL,                             -- roots of its perfect subtrees: the next one goes on here
    note text NOT NULL,                               -- the signed note, as it was copied to the anchors
    at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (size, note)
);
REVOKE ALL ON retention.ledger, retention.checkpoint FROM PUBLIC;
