-- The hold register's functions and triggers.

-- A hold is placed once and released once; nothing else ever happens to its row. Either commits only together
-- with its entry of the ledger, whoever does it.
CREATE OR REPLACE FUNCTION retention.hold_is_history() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.released_at IS NULL AND NEW.released_at IS NOT NULL
       AND (to_jsonb(NEW) - ARRAY['released_at', 'released_by', 'release_reason'])
         = (to_jsonb(OLD) - ARRAY['released_at', 'released_by', 'release_reason']) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a hold can be released once and is otherwise never changed'
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE OR REPLACE FUNCTION retention.hold_has_entry() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    event text := CASE TG_OP WHEN 'INSERT' THEN 'hold.placed' ELSE 'hold.released' END;
BEGIN
    IF NOT retention.appended(event, jsonb_build_object('hold_id', NEW.hold_id)) THEN
        RAISE EXCEPTION 'hold % has no entry % in this transaction', NEW.hold_id, event
            USING ERRCODE = 'LX002', HINT = 'place and release holds with `luxima-retention hold`';
    END IF;
    RETURN NULL;
END $$;

-- The other way round: an entry about a hold commits only together with what it tells, and a hold is placed once. The
-- job's role may append to the ledger, and could write there what the register does not say.
CREATE OR REPLACE FUNCTION retention.entry_has_hold() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    hold text := convert_from(NEW.entry, 'UTF8')::jsonb->'body'->>'hold_id';
    known boolean := EXISTS (
        SELECT 1 FROM retention.ledger l
         WHERE l.kind = 'hold.placed' AND l.seq < NEW.seq
           AND convert_from(l.entry, 'UTF8')::jsonb->'body'->>'hold_id' = hold);
BEGIN
    IF known <> (NEW.kind = 'hold.released') OR NOT EXISTS (
        SELECT 1 FROM retention.hold h
         WHERE h.hold_id = hold AND (h.released_at IS NOT NULL) = (NEW.kind = 'hold.released')) THEN
        RAISE EXCEPTION 'entry % tells % of hold %, and the register does not', NEW.seq, NEW.kind, hold
            USING ERRCODE = 'LX002', HINT = 'place and release holds with `luxima-retention hold`';
    END IF;
    RETURN NULL;
END $$;

-- The only way in which the job's role releases a hold: after the entry that says so, in its transaction.
CREATE OR REPLACE FUNCTION retention.release_hold(p_hold_id text, p_at timestamptz, p_by text, p_reason text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE retention.hold
       SET released_at = p_at, released_by = p_by, release_reason = p_reason
     WHERE hold_id = p_hold_id AND released_at IS NULL;
    RETURN FOUND;
END $$;

REVOKE ALL ON FUNCTION retention.release_hold(text, timestamptz, text, text) FROM PUBLIC;

DROP TRIGGER IF EXISTS hold_is_history ON retention.hold;
CREATE TRIGGER hold_is_history BEFORE UPDATE ON retention.hold
    FOR EACH ROW EXECUTE FUNCTION retention.hold_is_history();
DROP TRIGGER IF EXISTS hold_stays ON retention.hold;
CREATE TRIGGER hold_stays BEFORE DELETE ON retention.hold
    FOR EACH ROW EXECUTE FUNCTION retention.hold_is_history();
DROP TRIGGER IF EXISTS hold_no_truncate ON retention.hold;
CREATE TRIGGER hold_no_truncate BEFORE TRUNCATE ON retention.hold
    FOR EACH STATEMENT EXECUTE FUNCTION retention.hold_is_history();
-- Deferred: the entry may be written after the row.
DROP TRIGGER IF EXISTS hold_has_entry ON retention.hold;
CREATE CONSTRAINT TRIGGER hold_has_entry AFTER INSERT OR UPDATE ON retention.hold
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION retention.hold_has_entry();
DROP TRIGGER IF EXISTS entry_has_hold ON retention.ledger;
CREATE CONSTRAINT TRIGGER entry_has_hold AFTER INSERT ON retention.ledger
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.kind IN ('hold.placed', 'hold.released'))
    EXECUTE FUNCTION retention.entry_has_hold();
ALTER TABLE retention.ledger ENABLE ALWAYS TRIGGER entry_has_hold;
-- ALWAYS: session_replication_role = replica does not switch them off. Only hold_stays it does: a superuser could disable
-- it anyway, and a row that is gone is noticed by the comparison with the ledger.
ALTER TABLE retention.hold ENABLE ALWAYS TRIGGER hold_is_history;
ALTER TABLE retention.hold ENABLE ALWAYS TRIGGER hold_no_truncate;
ALTER TABLE retention.hold ENABLE ALWAYS TRIGGER hold_has_entry;
