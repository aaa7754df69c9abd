-- A table of every type that an audit log may hold, with the values that travel badly.
CREATE TABLE public.every_type (
    id bigint PRIMARY KEY, big numeric, price numeric(12, 4), small smallint, share double precision,
    one real, flag boolean, "Na me, ""quoted""" text, fixed char(4), short varchar(9), at timestamptz,
    plain timestamp, day date, span interval, address inet, net cidr, mac macaddr, tree jsonb, text_tree json,
    raw bytea, key uuid, words text[], grid int[][], bits bit varying(8), box box, during tstzrange
);
INSERT INTO public.every_type VALUES
 (1, 1e100, 12.3400, -7, 0.1, 3.4e38, true, 'plain', 'ab', 'x', '2026-01-01 00:00:00.000001+07', '2026-01-01',
  '0001-01-01 BC', '-1 year 2 days 03:04:05.678', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03',
  '{"a": [1, 1.10, "é\n", null], "": {}}', '{"z":1,  "a":1, "a":2}', '\x00ff0a0d22', gen_random_uuid(),
  ARRAY['a', NULL, 'NULL', '', 'c,d', 'e"f', E'g\nh'], '{{1,2},{3,4}}', B'101', '(1,1),(0,0)',
  '[2026-01-01,infinity)'),
 (2, 'NaN', NULL, NULL, 'Infinity', '-Infinity', false, '', '', '', 'infinity', '-infinity', 'infinity', '0',
  '::1', '::/0', NULL, 'null', 'null', '', NULL, '{}', '{}', B'', NULL, 'empty'),
 (3, NULL, NULL, NULL, 'NaN', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (4, -0.00001, 0, 0, '-0', '1e-45', true, E'\\. \\N "q" ''s'' \r\n\t\u200d😀𝕏\ufeff\u0301', '   ', E'\n', NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, '"\\\""', '"\u0000"', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.every_type (id, "Na me, ""quoted""")
SELECT n, repeat(E'line "' || n || E'"\n', n % 5) || chr(128 + n) FROM generate_series(5, 900) n;
