-- A year of audit rows of an invented company, for `luxima-retention demo`; nothing else ever runs this.
CREATE SCHEMA core;
CREATE TABLE core.audit_log (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL,
    tenant     text NOT NULL,
    actor      text NOT NULL,
    action     text NOT NULL,
    detail     jsonb NOT NULL
);
INSERT INTO core.audit_log (created_at, tenant, actor, action, detail)
SELECT now() - g * interval '158 seconds', 'tenant-' || g % 40, 'user-' || g % 977,
       (ARRAY['login', 'update', 'export', 'delete'])[1 + g % 4], jsonb_build_object('entity', g, 'from', g % 7)
FROM generate_series(0, 199999) g;
CREATE INDEX audit_log_created_at ON core.audit_log (created_at, id);
ANALYZE core.audit_log;

-- Half a year of security events, as a table of our own in Supabase has them.
CREATE SCHEMA app;
CREATE TABLE app.security_events (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    occurred_at timestamptz NOT NULL,
    kind        text NOT NULL,
    detail      jsonb NOT NULL
);
INSERT INTO app.security_events (occurred_at, kind, detail)
SELECT now() - g * interval '778 seconds', (ARRAY['login-failed', 'mfa-reset', 'key-created'])[1 + g % 3],
       jsonb_build_object('ip', '10.0.' || g % 250 || '.1')
FROM generate_series(0, 19999) g;
CREATE INDEX security_events_occurred_at ON app.security_events (occurred_at, id);
ANALYZE app.security_events;
