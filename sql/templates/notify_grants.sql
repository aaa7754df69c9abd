-- What the job's role may do with the memory of notifications. {role}: a quoted identifier.
GRANT SELECT, INSERT, DELETE ON retention.notify_inbox TO {role};
GRANT SELECT, INSERT, UPDATE ON retention.notify_memory TO {role};
