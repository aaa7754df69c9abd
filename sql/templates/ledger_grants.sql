-- What the job's role may do with the ledger: read it and append to it. {role}: a quoted identifier.
GRANT USAGE ON SCHEMA retention TO {role};
GRANT SELECT, INSERT ON retention.ledger, retention.checkpoint TO {role};
GRANT EXECUTE ON FUNCTION retention.ledger_head(boolean) TO {role};
