-- What the catalogue says of everything that a batch of one table relies on: asked by migrate, which writes it down, and
-- by each run, before it begins and inside each batch's transaction.

-- name: plain_names
-- For this transaction: the digest is of names as text, and a role may have them all quoted.
SELECT pg_catalog.set_config('quote_all_identifiers', 'off', true);

-- name: catalogue
-- Every function of our schemas but those of other tables, with text, owner, settings and rights; triggers and rules of
-- our tables; who owns the tables and schemas, and who may do what. The second column grows with every replacement,
-- even one that was taken back. The schemas are looked up once: as a function of the name they would be looked up
-- again for each of the catalogue's thousands of rows.
WITH ours AS (
    SELECT p.*, p.xmin AS version FROM pg_proc p
     WHERE p.pronamespace = ANY (ARRAY(SELECT n.oid FROM pg_namespace n WHERE n.nspname IN ('retention', 'retention_api')))
       AND p.proname::text NOT IN (
           SELECT f.prefix || t.function_name
             FROM retention.target t,
                  unnest(ARRAY['survey_', 'explain_', 'keeps_', 'prune_', 'state_', 'preview_', 'trim_']) f (prefix)
            WHERE t.function_name <> %(function)s)),
said (line) AS (
    SELECT concat_ws('|', 'function', p.oid::regprocedure, p.prosrc, l.lanname, p.prosecdef, p.provolatile, p.proretset,
                     format_type(p.prorettype, NULL), p.proconfig, r.rolname, r.rolsuper, r.rolcreaterole, r.rolcreatedb,
                     r.rolreplication, r.rolbypassrls,
                     (SELECT string_agg(a.grantee::regrole || ' ' || a.privilege_type, ',' ORDER BY a.grantee::regrole::text)
                        FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a))
      FROM ours p JOIN pg_roles r ON r.oid = p.proowner JOIN pg_language l ON l.oid = p.prolang
    UNION ALL
    SELECT concat_ws('|', 'trigger', g.tgrelid::regclass, g.tgenabled, pg_get_triggerdef(g.oid))
      FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
     WHERE c.relnamespace = (SELECT to_regnamespace('retention')) AND NOT g.tgisinternal
    UNION ALL
    SELECT concat_ws('|', 'rule', w.ev_class::regclass, w.ev_enabled, pg_get_ruledef(w.oid))
      FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class
     WHERE c.relnamespace = (SELECT to_regnamespace('retention'))
    UNION ALL
    SELECT concat_ws('|', 'table', c.oid::regclass, c.relkind, c.relowner::regrole, c.relrowsecurity,
                     (SELECT string_agg(a.grantee::regrole || ' ' || a.privilege_type, ','
                                        ORDER BY a.grantee::regrole::text, a.privilege_type)
                        FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a),
                     (SELECT string_agg(t.attname || ' ' || a.grantee::regrole || ' ' || a.privilege_type, ','
                                        ORDER BY t.attname, a.grantee::regrole::text, a.privilege_type)
                        FROM pg_attribute t, aclexplode(t.attacl) a WHERE t.attrelid = c.oid))
      FROM pg_class c
     WHERE c.relnamespace = (SELECT to_regnamespace('retention')) AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
    UNION ALL
    SELECT concat_ws('|', 'schema', n.nspname, n.nspowner::regrole,
                     (SELECT string_agg(a.grantee::regrole || ' ' || a.privilege_type, ','
                                        ORDER BY a.grantee::regrole::text, a.privilege_type)
                        FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a))
      FROM pg_namespace n WHERE n.nspname IN ('retention', 'retention_api'))
SELECT encode(sha256(convert_to((SELECT string_agg(s.line, E'\n' ORDER BY s.line COLLATE "C") FROM said s), 'UTF8')), 'hex'),
       (SELECT string_agg(p.oid || '/' || p.version, ',' ORDER BY p.oid) FROM ours p)

-- name: stamp
-- The versions of all rows that the answer above is made of, and what it says of roles: the same as before, so is that
-- answer. It costs half.
WITH schemas AS MATERIALIZED (
    SELECT n.oid, n.xmin AS version FROM pg_namespace n WHERE n.nspname IN ('retention', 'retention_api')),
functions AS MATERIALIZED (
    SELECT p.oid, p.xmin AS version, p.proowner FROM pg_proc p
     WHERE p.pronamespace = ANY (ARRAY(SELECT s.oid FROM schemas s))),
tables AS MATERIALIZED (
    SELECT c.oid, c.xmin AS version FROM pg_class c
     WHERE c.relnamespace = (SELECT to_regnamespace('retention')) AND c.relkind IN ('r', 'v', 'm', 'p', 'f')),
seen (what, oid, version) AS (
    SELECT 'schema', s.oid, s.version::text FROM schemas s
    UNION ALL
    SELECT 'function', f.oid, f.version::text FROM functions f
    UNION ALL
    SELECT 'table', t.oid, t.version::text FROM tables t
    UNION ALL
    SELECT 'trigger', g.oid, g.xmin::text FROM pg_trigger g WHERE g.tgrelid = ANY (ARRAY(SELECT t.oid FROM tables t))
    UNION ALL
    SELECT 'rule', w.oid, w.xmin::text FROM pg_rewrite w WHERE w.ev_class = ANY (ARRAY(SELECT t.oid FROM tables t))
    UNION ALL
    SELECT 'column', a.attrelid, a.attnum || '.' || a.xmin FROM pg_attribute a
     WHERE a.attrelid = ANY (ARRAY(SELECT t.oid FROM tables t))
    UNION ALL
    SELECT 'role', r.oid, r::text FROM pg_roles r WHERE r.oid IN (SELECT f.proowner FROM functions f))
SELECT string_agg(concat_ws('/', s.what, s.oid, s.version), ',' ORDER BY s.what, s.oid, s.version) FROM seen s

-- name: recorded
-- What migrate wrote down of each table.
SELECT t.target, t.function_name, t.catalogue FROM retention.target t ORDER BY t.target

-- name: record
UPDATE retention.target SET catalogue = %(catalogue)s WHERE target = %(target)s

-- name: facts
-- What the ledger is told of a table that was set up.
SELECT to_jsonb(t) - 'applied_at' FROM retention.target t WHERE t.target = %(target)s

-- name: shared
-- SHA-256 of the files that made the shared functions.
SELECT obj_description(to_regnamespace('retention'), 'pg_namespace')

-- name: set_shared
COMMENT ON SCHEMA retention IS {sha256}

-- name: member
GRANT {definer} TO CURRENT_USER

-- name: member_16
GRANT {definer} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE

-- name: bypass
ALTER ROLE {definer} BYPASSRLS

-- name: forget_rights
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA retention FROM {role}

-- name: has_retention
SELECT to_regclass('retention.target') IS NOT NULL

-- name: strangers
-- What stands in our schemas and is not ours, by the names that this version's files give.
SELECT 'function ' || p.oid::regprocedure
  FROM pg_proc p
 WHERE p.pronamespace = to_regnamespace('retention') AND p.proname <> ALL (%(functions)s)
   AND p.proname::text NOT IN (
       SELECT f.prefix || t.function_name
         FROM retention.target t, unnest(ARRAY['survey_', 'explain_', 'keeps_', 'prune_']) f (prefix))
    OR p.pronamespace = to_regnamespace('retention')
   AND 1 < (SELECT count(*) FROM pg_proc q WHERE q.pronamespace = p.pronamespace AND q.proname = p.proname)
UNION ALL
SELECT 'trigger ' || g.tgname || ' of ' || g.tgrelid::regclass
  FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
 WHERE c.relnamespace = to_regnamespace('retention') AND NOT g.tgisinternal AND g.tgname <> ALL (%(triggers)s)
UNION ALL
SELECT 'rule ' || w.rulename || ' of ' || w.ev_class::regclass
  FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class
 WHERE c.relnamespace = to_regnamespace('retention')

-- name: schema_owners
-- Who owns our schemas, what is in them, and whether that is neither this role nor a superuser.
SELECT n.nspname, r.rolname, NOT (r.rolsuper OR r.rolname = current_user)
  FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
 WHERE n.nspname IN ('retention', 'retention_trash', 'retention_api')
UNION ALL
SELECT n.nspname || '.' || c.relname, r.rolname, NOT (r.rolsuper OR r.rolname = current_user)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
 WHERE n.nspname = 'retention' AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S')

-- name: definer
-- The role that functions are to belong to, if it is there: whether it has more than it needs.
SELECT r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolcanlogin
       OR EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = r.oid)
       OR EXISTS (SELECT 1 FROM pg_roles j
                   WHERE j.rolname = %(job)s AND NOT j.rolsuper AND pg_has_role(j.oid, r.oid, 'MEMBER')),
       r.rolbypassrls
  FROM pg_roles r WHERE r.rolname = %(role)s

-- name: myself
SELECT current_user::text, r.rolsuper, r.rolcreaterole, r.rolbypassrls,
       current_setting('server_version_num')::integer / 10000
  FROM pg_roles r WHERE r.rolname = current_user

-- name: table_owner
-- Of the table: row-level security, whether its owner is above that, who that is, whether a superuser, whether this
-- role may act as he does; then which right the functions' role would lack.
SELECT c.relrowsecurity, c.relforcerowsecurity, o.rolname, o.rolsuper, pg_has_role(o.oid, 'MEMBER')
  FROM pg_class c JOIN pg_roles o ON o.oid = c.relowner WHERE c.oid = to_regclass(%(table)s)

-- name: may_empty
SELECT has_table_privilege(%(role)s, to_regclass(%(table)s)::oid, 'SELECT')
   AND has_table_privilege(%(role)s, to_regclass(%(table)s)::oid, 'DELETE')
