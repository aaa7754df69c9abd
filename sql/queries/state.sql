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
-- The entry that says so has to be written in the same transaction.
SELECT retention.release_hold(%(hold_id)s, %(at)s, %(by)s, %(reason)s)

-- name: lock
-- 1280664910: 'LUXN', our second class of advisory locks. The lock belongs to the session and dies with it.
SELECT pg_try_advisory_lock(1280664910, hashtext(%(policy)s))

-- name: unlock
SELECT pg_advisory_unlock(1280664910, hashtext(%(policy)s))

-- name: take
SELECT retention.take_lease(%(policy)s, %(holder)s)

-- name: holder
-- Who has the lock, by the server's word; what its lease says; and whether it is a run of ours: a session that calls
-- itself one, of a role that may take a lease. Any role can take any advisory lock.
SELECT a.pid, a.usename, a.application_name, l.holder, l.taken_at,
       coalesce(a.application_name LIKE 'luxima-retention/lease/%%'
                AND has_function_privilege(a.usesysid, 'retention.take_lease(text,text)', 'EXECUTE'), false)
FROM pg_locks k
JOIN pg_stat_activity a ON a.pid = k.pid
LEFT JOIN retention.lease l ON l.policy = %(policy)s
WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 2 AND k.classid = 1280664910
  AND k.objid = (hashtext(%(policy)s)::bigint & 4294967295)::oid
  AND k.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())

-- name: mine
-- Whether the lock is held by the very backend that answers: asked over another connection than the one that took it,
-- a yes means that a pooler hands one backend to several clients.
SELECT EXISTS (
    SELECT 1 FROM pg_locks k
     WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 2 AND k.classid = 1280664910
       AND k.objid = (hashtext(%(policy)s)::bigint & 4294967295)::oid AND k.pid = pg_backend_pid())

-- name: backend
SELECT pg_backend_pid()

-- name: token
-- Read through the session that holds the lock: if that session is gone, this fails.
SELECT token FROM retention.lease WHERE policy = %(policy)s
