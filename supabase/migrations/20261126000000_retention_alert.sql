-- Alerts to people, from rows: an INSERT into retention.alert calls the Edge Function `retention-alert`, which sends
-- it to Telegram. For a Supabase project, run by its role `postgres`; needs the extensions pg_net, supabase_vault and,
-- for the sweep, pg_cron.
--
-- Vault holds two secrets: `retention_alert_url`, the address of the Edge Function, and `retention_alert_secret`, which
-- the function compares. pg_net keeps URL and headers in clear in an unlogged table until they are sent: so neither the
-- text of an alert nor the bot's token is in them, only the number of the row.
--
-- pg_net sends once and forgets after a crash. The sweep sends again what was not delivered; a claim makes that quiet.

CREATE SCHEMA IF NOT EXISTS retention;
REVOKE ALL ON SCHEMA retention FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS retention_api;
REVOKE ALL ON SCHEMA retention_api FROM PUBLIC;

CREATE TABLE retention.alert (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    occurred_at  timestamptz NOT NULL DEFAULT now(),
    environment  text NOT NULL DEFAULT 'production',
    policy       text NOT NULL DEFAULT '',
    severity     text NOT NULL CHECK (severity IN ('critical', 'warning', 'info')),
    title        text NOT NULL CHECK (title <> '' AND length(title) <= 200),
    body         text NOT NULL DEFAULT '' CHECK (length(body) <= 3000),
    run_id       uuid,
    dedup_key    text NOT NULL UNIQUE,                -- the same trouble twice is one row: ON CONFLICT DO NOTHING
    claimed_at   timestamptz,                         -- by a call of the function that is at it
    delivered_at timestamptz,
    message_id   bigint                               -- Telegram's
);
CREATE INDEX alert_waiting ON retention.alert (occurred_at) WHERE delivered_at IS NULL;
ALTER TABLE retention.alert ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON retention.alert FROM PUBLIC;

-- Ask pg_net to call the Edge Function about one row; it does so once this transaction has committed.
CREATE FUNCTION retention.send_alert(alert_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    address text;
    secret  text;
BEGIN
    SELECT decrypted_secret INTO address FROM vault.decrypted_secrets WHERE name = 'retention_alert_url';
    SELECT decrypted_secret INTO secret FROM vault.decrypted_secrets WHERE name = 'retention_alert_secret';
    IF address IS NULL OR secret IS NULL THEN
        RAISE WARNING 'retention.alert: the secrets retention_alert_url and retention_alert_secret are not in Vault';
        RETURN;
    END IF;
    PERFORM net.http_post(
        url := address,
        body := pg_catalog.jsonb_build_object('id', alert_id),
        params := '{}'::jsonb,
        headers := pg_catalog.jsonb_build_object(
            'Content-Type', 'application/json', 'X-Retention-Secret', secret),
        timeout_milliseconds := 5000);
EXCEPTION WHEN OTHERS THEN
    -- Whoever writes an alert must not fail because it cannot be sent; the sweep tries again.
    RAISE WARNING 'retention.alert: % was not queued', alert_id;
END $$;

CREATE FUNCTION retention.alert_inserted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM retention.send_alert(NEW.id);
    RETURN NULL;
END $$;

CREATE TRIGGER alert_inserted AFTER INSERT ON retention.alert
    FOR EACH ROW EXECUTE FUNCTION retention.alert_inserted();

-- Queue again what nobody delivered and nobody is at, for a day.
CREATE FUNCTION retention.resend_alerts() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    waiting bigint;
    queued  integer := 0;
BEGIN
    FOR waiting IN
        SELECT id FROM retention.alert
         WHERE delivered_at IS NULL AND occurred_at BETWEEN now() - interval '1 day' AND now() - interval '1 minute'
           AND (claimed_at IS NULL OR claimed_at < now() - interval '1 minute')
         ORDER BY occurred_at LIMIT 50
    LOOP
        PERFORM retention.send_alert(waiting);
        queued := queued + 1;
    END LOOP;
    RETURN queued;
END $$;

-- What the Edge Function may do, as service_role: take a row that is not delivered, give it back, mark it delivered.
CREATE FUNCTION retention_api.claim_alert(alert_id bigint) RETURNS TABLE (
    id bigint, occurred_at timestamptz, environment text, policy text, severity text, title text, body text, run_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    UPDATE retention.alert AS a SET claimed_at = pg_catalog.now()
     WHERE a.id = alert_id AND a.delivered_at IS NULL
       AND (a.claimed_at IS NULL OR a.claimed_at < pg_catalog.now() - interval '1 minute')
    RETURNING a.id, a.occurred_at, a.environment, a.policy, a.severity, a.title, a.body, a.run_id
$$;

CREATE FUNCTION retention_api.release_alert(alert_id bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    UPDATE retention.alert SET claimed_at = NULL WHERE id = alert_id AND delivered_at IS NULL
$$;

CREATE FUNCTION retention_api.alert_delivered(alert_id bigint, telegram_id bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    UPDATE retention.alert SET delivered_at = pg_catalog.now(), message_id = telegram_id
     WHERE id = alert_id AND delivered_at IS NULL
$$;

REVOKE ALL ON FUNCTION retention.send_alert(bigint), retention.alert_inserted(), retention.resend_alerts(),
    retention_api.claim_alert(bigint), retention_api.release_alert(bigint),
    retention_api.alert_delivered(bigint, bigint) FROM PUBLIC;
GRANT USAGE ON SCHEMA retention_api TO service_role;
GRANT EXECUTE ON FUNCTION retention_api.claim_alert(bigint), retention_api.release_alert(bigint),
    retention_api.alert_delivered(bigint, bigint) TO service_role;

-- Every five minutes, where pg_cron is installed.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_cron') THEN
        PERFORM cron.schedule('retention-alert-sweep', '*/5 * * * *', 'SELECT retention.resend_alerts()');
    END IF;
END $$;
