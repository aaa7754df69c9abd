-- What the job's role may do: call, read its state, keep ledger, lease and holds. Never DELETE, never the floor.
GRANT USAGE ON SCHEMA retention TO {role};
GRANT SELECT ON retention.target, retention.journal, retention.migration TO {role};
GRANT SELECT, INSERT, UPDATE ON retention.lease TO {role};
GRANT SELECT, INSERT ON retention.hold TO {role};
GRANT UPDATE (released_at, released_by, release_reason) ON retention.hold TO {role};
