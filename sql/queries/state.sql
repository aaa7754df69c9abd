-- The hold register and the leases, as the job and the command line use them.

-- name: holds
-- Every hold, or only those in force; ordered by when they were placed.
SELECT hold_id, policy, tenant, subject, start_at, end_at, key_prefix, path, reason, case_ref,
       placed_by, placed_at, released_at, released_by, release_reason
FROM retention.hold
WHERE released_at IS NULL OR NOT %(active)s
ORDER BY placed_at, hold_id

-- name: place
INSERT INTO retention.hold (hold_id, policy, tenant, subject, start_at, end_at, key_prefix, path,
                            reason, case_ref, placed_by, placed_at)
VALUES (%(hold_id)s, %(policy)s, %(tenant)s, %(subject)s, %(start)s, %(end)s, %(key_prefix)s, %(path)s,
        %(reason)s, %(case_ref)s, %(placed_by)s, %(placed_at)s)

-- name: release
UPDATE retention.hold
SET released_at = %(at)s, released_by = %(by)s, release_reason = %(reason)s
WHERE hold_id = %(hold_id)s AND released_at IS NULL

-- name: lock
-- 1280664910: 'LUXN', our second class of advisory locks. The lock belongs to the session and dies with it.
SELECT pg_try_advisory_lock(1280664910, hashtext(%(policy)s))

-- name: unlock
SELECT pg_advisory_unlock(1280664910, hashtext(%(policy)s))

-- name: take
INSERT INTO retention.lease AS l (policy, token, holder, taken_at)
VALUES (%(policy)s, 1, %(holder)s, clock_timestamp())
ON CONFLICT (policy) DO UPDATE
SET token = l.token + 1, holder = excluded.holder, taken_at = excluded.taken_at
RETURNING token

-- name: holder
SELECT holder, taken_at FROM retention.lease WHERE policy = %(policy)s

-- name: token
-- Read through the session that holds the lock: if that session is gone, this fails.
SELECT token FROM retention.lease WHERE policy = %(policy)s
