-- What people were told, so that a message is sent on change only. Not evidence: the ledger is; whoever empties
-- these tables makes the suite tell open troubles once more.
CREATE TABLE retention.notify_inbox (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seen   jsonb NOT NULL                             -- what one run saw, not yet told
);
CREATE TABLE retention.notify_memory (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    memory jsonb NOT NULL                             -- conditions of all targets, and messages that wait
);
REVOKE ALL ON retention.notify_inbox, retention.notify_memory FROM PUBLIC;
