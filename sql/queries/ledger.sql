-- name: head
-- Takes the head of the chain until the transaction ends.
SELECT seq, hash, at FROM retention.ledger_head(%(durable)s);

-- name: append
-- kind, policy and at are taken from the entry by the trigger.
INSERT INTO retention.ledger (seq, entry, hash, previous)
VALUES (%(seq)s, %(entry)s, %(hash)s, %(previous)s);

-- name: page
-- One page of entries in their order; NULL does not restrict.
SELECT seq, entry, hash, kind, policy
FROM retention.ledger
WHERE seq > %(after)s
  AND (%(kinds)s::text[] IS NULL OR kind = ANY (%(kinds)s::text[]))
  AND (%(policy)s::text IS NULL OR policy = %(policy)s::text)
ORDER BY seq
LIMIT %(page)s;

-- name: newest
-- The newest entry, or the newest of some kinds or of one policy.
SELECT seq, entry, hash, kind, policy
FROM retention.ledger
WHERE (%(kinds)s::text[] IS NULL OR kind = ANY (%(kinds)s::text[]))
  AND (%(policy)s::text IS NULL OR policy = %(policy)s::text)
ORDER BY seq DESC
LIMIT 1;

-- name: fingerprint
-- Which database this is, by its own word; a clone shares the first part.
SELECT 'postgresql:' || c.system_identifier || '/' || d.oid
FROM pg_control_system() c, pg_database d
WHERE d.datname = current_database();

-- name: newest_checkpoint
-- The newest one of at most so many entries; NULL does not restrict. Of one size, the one that was made last.
SELECT size, peaks, note FROM retention.checkpoint
WHERE %(at)s::bigint IS NULL OR size <= %(at)s::bigint
ORDER BY size DESC, at DESC
LIMIT 1;

-- name: record
-- The same head signed twice is one checkpoint; signed by a new key it is another.
INSERT INTO retention.checkpoint (size, root, peaks, note)
VALUES (%(size)s, %(root)s, %(peaks)s, %(note)s)
ON CONFLICT DO NOTHING;

-- name: notes
SELECT note FROM retention.checkpoint ORDER BY size, at;
