-- What the retention suite may do, as a member of role `retention_alerter`: write an alert, once for each key.
-- For a Supabase project, run by its role `postgres`, after 20261126000000_retention_alert.sql. Then:
--   CREATE ROLE luxima_retention_alerts LOGIN PASSWORD '…' IN ROLE retention_alerter;
-- and that login in notify.alert_dsn of the suite.

DO $$
BEGIN
    CREATE ROLE retention_alerter NOLOGIN;
EXCEPTION WHEN duplicate_object THEN
    NULL;  -- made by another database of this server
END $$;

-- The table itself stays closed: whoever may raise alerts can neither read nor change those of others.
CREATE FUNCTION retention.raise_alert(
    alert_key text, alert_severity text, alert_title text, alert_body text, alert_policy text,
    alert_environment text, alert_run uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    INSERT INTO retention.alert (dedup_key, severity, title, body, policy, environment, run_id)
    VALUES (alert_key, alert_severity, pg_catalog.left(alert_title, 200), pg_catalog.left(alert_body, 3000),
            alert_policy, alert_environment, alert_run)
    ON CONFLICT (dedup_key) DO NOTHING
$$;

REVOKE ALL ON FUNCTION retention.raise_alert(text, text, text, text, text, text, uuid) FROM PUBLIC;
GRANT USAGE ON SCHEMA retention TO retention_alerter;
GRANT EXECUTE ON FUNCTION retention.raise_alert(text, text, text, text, text, text, uuid) TO retention_alerter;
