-- What the job's role may do: call, read its state, append to the ledger, place holds. Never DELETE, never the floor,
-- never a token of its own making, never the end of a hold.
REVOKE ALL ON ALL TABLES IN SCHEMA retention FROM {role};
GRANT USAGE ON SCHEMA retention TO {role};
GRANT SELECT ON retention.target, retention.journal, retention.migration, retention.lease TO {role};
GRANT SELECT, INSERT ON retention.hold TO {role};
GRANT EXECUTE ON FUNCTION retention.take_lease(text, text) TO {role};
GRANT EXECUTE ON FUNCTION retention.release_hold(text, timestamptz, text, text) TO {role};
