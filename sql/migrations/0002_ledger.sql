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

-- Takes the head of the chain until the transaction ends, and tells where it stands; 0, 32 zero bytes and no
-- time when the ledger is empty. Volatile: under READ COMMITTED the query behind the lock sees what was
-- committed while it waited. p_durable: an entry that announces a deletion must reach the disk first.
CREATE FUNCTION retention.ledger_head(
    p_durable boolean, OUT seq bigint, OUT hash bytea, OUT at timestamptz
)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1280664909, 1);     -- 'LUXM', 1: the ledger's head
    IF p_durable AND current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    SELECT l.seq, l.hash, l.at INTO seq, hash, at FROM retention.ledger l ORDER BY l.seq DESC LIMIT 1;
    IF NOT FOUND THEN
        seq := 0;
        hash := decode(repeat('00', 32), 'hex');
    END IF;
END $$;

CREATE FUNCTION retention.ledger_append() RETURNS trigger
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head record;
    said jsonb := convert_from(NEW.entry, 'UTF8')::jsonb;
BEGIN
    SELECT h.seq, h.hash, h.at INTO head FROM retention.ledger_head(false) h;
    IF NEW.seq <> head.seq + 1 OR NEW.previous <> head.hash
       OR NEW.hash <> sha256('\x00'::bytea || NEW.entry)
       OR said->>'seq' IS DISTINCT FROM NEW.seq::text
       OR said->>'previous' IS DISTINCT FROM encode(NEW.previous, 'hex') THEN
        RAISE EXCEPTION 'entry % does not follow entry % of the ledger', NEW.seq, head.seq
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    NEW.kind := said->>'kind';
    NEW.policy := said->>'policy';
    NEW.at := (said->>'at')::timestamptz;
    IF NEW.at < head.at THEN
        RAISE EXCEPTION 'entry % says %, earlier than the entry before it', NEW.seq, NEW.at
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION retention.ledger_is_history() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'entries of % are never changed or removed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER ledger_append BEFORE INSERT ON retention.ledger
    FOR EACH ROW EXECUTE FUNCTION retention.ledger_append();
CREATE TRIGGER ledger_is_history BEFORE UPDATE OR DELETE ON retention.ledger
    FOR EACH ROW EXECUTE FUNCTION retention.ledger_is_history();
CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON retention.ledger
    FOR EACH STATEMENT EXECUTE FUNCTION retention.ledger_is_history();
-- ALWAYS: session_replication_role = replica does not switch them off.
ALTER TABLE retention.ledger ENABLE ALWAYS TRIGGER ledger_append;
ALTER TABLE retention.ledger ENABLE ALWAYS TRIGGER ledger_is_history;
ALTER TABLE retention.ledger ENABLE ALWAYS TRIGGER ledger_no_truncate;

-- Signed heads of the tree over the entries (C2SP tlog-checkpoint); the note verifies by itself.
CREATE TABLE retention.checkpoint (
    size bigint NOT NULL,                             -- entries that the tree covers
    root bytea NOT NULL,                              -- RFC 6962 tree hash of entries 1 … size
    peaks bytea NOT NULL,                             -- roots of its perfect subtrees: the next one goes on here
    note text NOT NULL,                               -- the signed note, as it was copied to the anchors
    at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (size, note)
);
CREATE TRIGGER checkpoint_is_history BEFORE UPDATE OR DELETE ON retention.checkpoint
    FOR EACH ROW EXECUTE FUNCTION retention.ledger_is_history();
CREATE TRIGGER checkpoint_no_truncate BEFORE TRUNCATE ON retention.checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION retention.ledger_is_history();
ALTER TABLE retention.checkpoint ENABLE ALWAYS TRIGGER checkpoint_is_history;
ALTER TABLE retention.checkpoint ENABLE ALWAYS TRIGGER checkpoint_no_truncate;

REVOKE ALL ON retention.ledger, retention.checkpoint FROM PUBLIC;
REVOKE ALL ON FUNCTION retention.ledger_head(boolean) FROM PUBLIC;
