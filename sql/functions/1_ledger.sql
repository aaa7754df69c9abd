-- The ledger's functions and triggers. Everything in this directory is applied by `migrate` as a whole, again
-- whenever it, or what the catalogue says of it, is not as migrate has left it.

-- Takes the head of the chain until the transaction ends, and tells where it stands; 0, 32 zero bytes and
-- no time when the ledger is empty. Volatile: under READ COMMITTED the query behind the lock sees what was
-- committed while it waited. p_durable: an entry that announces a deletion must reach the disk first.
-- Whoever keeps the head for ten seconds keeps it too long: a run must be able to stop.
CREATE OR REPLACE FUNCTION retention.ledger_head(
    p_durable boolean, OUT seq bigint, OUT hash bytea, OUT at timestamptz
)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
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

CREATE OR REPLACE FUNCTION retention.ledger_append() RETURNS trigger
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

CREATE OR REPLACE FUNCTION retention.ledger_is_history() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'entries of % are never changed or removed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

-- Whether this very transaction has appended an entry of a kind whose body contains p_body. A row that is
-- visible while its transaction is still in progress is our own; the head's lock keeps others from the tail.
CREATE OR REPLACE FUNCTION retention.appended(p_kind text, p_body jsonb) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own bigint := pg_current_xact_id()::text::bigint;
    age bigint := 4294967296;                         -- xmin has 32 bits only; a savepoint's is a little greater
    l   record;
BEGIN
    FOR l IN SELECT e.kind, e.entry, e.xmin::text::bigint + own / age * age AS writer
               FROM retention.ledger e ORDER BY e.seq DESC LIMIT 16 LOOP
        IF l.writer > own + age / 2 THEN
            l.writer := l.writer - age;
        ELSIF l.writer < own - age / 2 THEN
            l.writer := l.writer + age;
        END IF;
        CONTINUE WHEN l.kind <> p_kind OR l.writer < 3 OR NOT convert_from(l.entry, 'UTF8')::jsonb->'body' @> p_body;
        IF pg_xact_status(l.writer::text::xid8) = 'in progress' THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;

REVOKE ALL ON FUNCTION retention.ledger_head(boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION retention.appended(text, jsonb) FROM PUBLIC;

DROP TRIGGER IF EXISTS ledger_append ON retention.ledger;
CREATE TRIGGER ledger_append BEFORE INSERT ON retention.ledger
    FOR EACH ROW EXECUTE FUNCTION retention.ledger_append();
DROP TRIGGER IF EXISTS ledger_is_history ON retention.ledger;
CREATE TRIGGER ledger_is_history BEFORE UPDATE OR DELETE ON retention.ledger
    FOR EACH ROW EXECUTE FUNCTION retention.ledger_is_history();
DROP TRIGGER IF EXISTS ledger_no_truncate ON retention.ledger;
CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON retention.ledger
    FOR EACH STATEMENT EXECUTE FUNCTION retention.ledger_is_history();
DROP TRIGGER IF EXISTS checkpoint_is_history ON retention.checkpoint;
CREATE TRIGGER checkpoint_is_history BEFORE UPDATE OR DELETE ON retention.checkpoint
    FOR EACH ROW EXECUTE FUNCTION retention.ledger_is_history();
DROP TRIGGER IF EXISTS checkpoint_no_truncate ON retention.checkpoint;
CREATE TRIGGER checkpoint_no_truncate BEFORE TRUNCATE ON retention.checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION retention.ledger_is_history();
-- ALWAYS: session_replication_role = replica does not switch them off.
ALTER TABLE retention.ledger ENABLE ALWAYS TRIGGER ledger_append;
ALTER TABLE retention.ledger ENABLE ALWAYS TRIGGER ledger_is_history;
ALTER TABLE retention.ledger ENABLE ALWAYS TRIGGER ledger_no_truncate;
ALTER TABLE retention.checkpoint ENABLE ALWAYS TRIGGER checkpoint_is_history;
ALTER TABLE retention.checkpoint ENABLE ALWAYS TRIGGER checkpoint_no_truncate;
