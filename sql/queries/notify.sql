-- The memory of notifications. Whoever reads and saves it holds the lease `notify`.

-- name: put
INSERT INTO retention.notify_inbox (seen) VALUES (%(seen)s)

-- name: inbox
SELECT id, seen FROM retention.notify_inbox ORDER BY id

-- name: memory
SELECT memory FROM retention.notify_memory

-- name: save
INSERT INTO retention.notify_memory (memory) VALUES (%(memory)s)
ON CONFLICT (one) DO UPDATE SET memory = EXCLUDED.memory

-- name: taken
DELETE FROM retention.notify_inbox WHERE id = ANY (%(ids)s)

-- name: alert
SELECT retention.raise_alert(%(key)s, %(severity)s, %(title)s, %(body)s, %(policy)s, %(environment)s,
                             %(run_id)s::uuid)
