"""A double of Supabase's pg_net, vault and Edge Runtime, as far as a webhook needs them.

pg_net is an extension in C that neither Debian nor a wheel has: its schema ``net`` is made with the same
signature and the same unlogged tables; :meth:`Net.work` is its background worker, called by the test. Source:
pg_net's README and ``sql/pg_net.sql``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.process import free_ports, wait_until

SQL = """
CREATE SCHEMA net;
CREATE SCHEMA vault;
CREATE TABLE vault.secrets (name text PRIMARY KEY, secret text NOT NULL);
CREATE VIEW vault.decrypted_secrets AS SELECT name, secret AS decrypted_secret FROM vault.secrets;
CREATE UNLOGGED TABLE net.http_request_queue (
    id bigserial, method text NOT NULL, url text NOT NULL, headers jsonb, body bytea,
    timeout_milliseconds int NOT NULL);
CREATE UNLOGGED TABLE net._http_response (
    id bigint, status_code int, content text, timed_out bool, error_msg text,
    created timestamptz DEFAULT now());
CREATE FUNCTION net.http_post(
    url text, body jsonb DEFAULT '{}', params jsonb DEFAULT '{}',
    headers jsonb DEFAULT '{"Content-Type": "application/json"}', timeout_milliseconds int DEFAULT 1000)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE made bigint;
BEGIN
    IF headers ->> 'Content-Type' IS DISTINCT FROM 'application/json' THEN
        RAISE EXCEPTION 'Content-Type header must be "application/json"';
    END IF;
    INSERT INTO net.http_request_queue (method, url, headers, body, timeout_milliseconds)
    VALUES ('POST', http_post.url, http_post.headers, convert_to(http_post.body::text, 'UTF8'),
            http_post.timeout_milliseconds)
    RETURNING id INTO made;
    RETURN made;
END $$;
"""

#: pg_cron 1.6's table of jobs and its way in, as far as a migration needs them; it counts as installed
CRON = """
CREATE SCHEMA cron;
CREATE SEQUENCE cron.jobid_seq;
CREATE TABLE cron.job (
    jobid bigint PRIMARY KEY DEFAULT nextval('cron.jobid_seq'), schedule text NOT NULL, command text NOT NULL,
    nodename text NOT NULL DEFAULT 'localhost', nodeport int NOT NULL DEFAULT inet_server_port(),
    database text NOT NULL DEFAULT current_database(), username text NOT NULL DEFAULT current_user,
    active boolean NOT NULL DEFAULT true, jobname text, UNIQUE (jobname, username));
CREATE FUNCTION cron.schedule(job_name text, schedule text, command text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE made bigint;
BEGIN
    IF schedule !~ '^(\\S+\\s+){4}\\S+$' AND schedule !~ '^[1-5]?[0-9] seconds$' THEN
        RAISE EXCEPTION 'invalid schedule: %', schedule;
    END IF;
    INSERT INTO cron.job (schedule, command, jobname)
    VALUES (schedule.schedule, schedule.command, schedule.job_name)
    ON CONFLICT (jobname, username) DO UPDATE SET schedule = EXCLUDED.schedule, command = EXCLUDED.command
    RETURNING jobid INTO made;
    RETURN made;
END $$;
SET LOCAL allow_system_table_mods = on;
INSERT INTO pg_catalog.pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
SELECT 4999999, 'pg_cron', 10, oid, false, '1.6' FROM pg_catalog.pg_namespace WHERE nspname = 'cron';
"""


@dataclass
class Net:
    """The background worker.

    Attributes:
        database: a :class:`~tests.servers.postgres.Database`.
    """

    database: Any

    def queued(self) -> list[tuple[Any, ...]]:
        """Address, headers and body of what waits, as whoever reads the table sees them."""
        rows = self.database.execute(
            "SELECT url, headers, convert_from(body, 'UTF8') FROM net.http_request_queue ORDER BY id"
        )
        return [tuple(row) for row in rows]

    def crash(self) -> None:
        """Lose what waits, as a crash does with unlogged tables."""
        self.database.execute("TRUNCATE net.http_request_queue")

    def work(self) -> list[int]:
        """Send what waits, each once; the statuses, 0 for none."""
        taken = self.queued()
        self.crash()
        return [_post(url, headers, body.encode()) for url, headers, body in taken]


def _post(url: str, headers: Mapping[str, str], body: bytes) -> int:
    request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - of this test
            return int(answer.status)
    except urllib.error.HTTPError as error:
        sys.stdout.write(error.read().decode())
        return error.code
    except OSError:
        return 0


@contextmanager
def run_function(script: Path, cache: Path, **variables: str) -> Iterator[str]:
    """The address of an Edge Function, run by Deno from its wheel, until the block ends."""
    from deno import find_deno_bin

    (port,) = free_ports(1)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {
        **kept,
        "DENO_DIR": str(cache),
        "DENO_NO_UPDATE_CHECK": "1",
        "DENO_SERVE_ADDRESS": f"tcp:127.0.0.1:{port}",
        **variables,
    }
    command = [find_deno_bin(), "run", "--no-remote", "--allow-env", "--allow-net=127.0.0.1", str(script)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        assert wait_until(lambda: _post(url, {}, b"{}") != 0), "the Edge Function does not answer"
        yield url
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=20)
        sys.stdout.write(output.decode("utf-8", "replace"))
