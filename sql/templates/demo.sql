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
