-- What the role that the batch functions belong to may do in schema retention: ask, and keep the journal through
-- functions. It owns nothing there but those functions, and a trigger of the table that it sets off has no more.
GRANT USAGE ON SCHEMA retention TO {definer};
GRANT SELECT ON retention.target, retention.journal TO {definer};
GRANT EXECUTE ON FUNCTION retention.take_lease(text, text) TO {definer};
GRANT EXECUTE ON FUNCTION retention.rules(text, jsonb, boolean) TO {definer};
GRANT EXECUTE ON FUNCTION retention.batch_begin(text, uuid, bigint, timestamptz, integer, jsonb) TO {definer};
GRANT EXECUTE ON FUNCTION retention.batch_end(text, bigint, integer, bigint, timestamptz, timestamptz, timestamptz, text[], bigint, boolean) TO {definer};
GRANT EXECUTE ON FUNCTION retention.family(oid) TO {definer};
GRANT EXECUTE ON FUNCTION retention.counted(oid) TO {definer};
GRANT EXECUTE ON FUNCTION retention.check_counted(oid, jsonb, bigint) TO {definer};
