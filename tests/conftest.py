"""Fixtures shared by every room: real servers, started once per test run.

======================  ========  =======================================================================
fixture                 scope     gives
======================  ========  =======================================================================
``postgres``            session   :class:`~tests.servers.postgres.PostgresServer`: ``dsn``, ``execute``, …
``database``            function  a fresh :class:`~tests.servers.postgres.Database`: ``dsn`` (its owner),
                                  ``admin_dsn``, ``login()``, ``execute()``, ``connect()``
``any_database``        function  the same on PostgreSQL 15 and 18; in the long run on 16, too
``postgres_factory``    function  ``postgres_factory(version=, settings=)`` starts another cluster;
                                  ``.standby()`` of one makes a streaming standby
``s3``                  session   :class:`~tests.servers.s3.S3Server`: ``endpoint_url``, keys, ``client()``
``s3_client``           session   a boto3 client of it
``bucket``              function  the name of a fresh bucket
``prometheus_factory``  function  ``prometheus_factory(*flags, config=, data=, port=)`` starts one: ``url``,
                                  ``directory``, ``stop()``
``pushgateway``         function  the same of a Pushgateway
``browser``             session   a headless Chromium, as Playwright's ``Browser``
``smtp``                function  a :class:`~tests.servers.smtp.Mailbox`: ``host``, ``port``, ``messages``
======================  ========  =======================================================================

``find_program`` of ``tests.servers.programs`` finds ``promtool`` and ``logrotate``.
``LUXIMA_TEST_POSTGRES_DSN`` (a superuser's) and ``LUXIMA_TEST_S3_ENDPOINT`` with
``LUXIMA_TEST_S3_ACCESS_KEY`` and ``LUXIMA_TEST_S3_SECRET_KEY`` name servers that run already, such as
those of ``docker-compose.test.yml``.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count
from typing import Any

import hypothesis
import pytest

from luxima_retention.core.redact import know
from tests.servers.postgres import Database, PostgresServer, Starter, remove_copies
from tests.servers.prometheus import HttpServer, start_prometheus, start_pushgateway
from tests.servers.s3 import S3Server, empty_bucket
from tests.servers.smtp import Mailbox, run_smtp

_bucket_numbers = count(1)
#: Read before the environment is scrubbed.
OUTSIDE = {name: value for name, value in os.environ.items() if name.startswith("LUXIMA_TEST_")}
#: `make long`: more versions, examples and seeds.
LONG = "LUXIMA_TEST_SEEDS" in OUTSIDE

#: What takes longest, first: else the last file of a run may keep one processor busy and others idle. What
#: mostly waits stands apart from what does so too. A file goes to one worker as a whole, with the servers
#: that it has started (``--dist loadfile``).
LONGEST = (
    "test_stopping.py",
    "test_schedule_daemon.py",
    "test_loki.py",
    "test_table_guards.py",
    "test_loki_shapes.py",
    "test_audit_logs.py",
    "test_table_store.py",
    "test_witness.py",
    "test_demo.py",
    "test_attacks.py",
    "test_prometheus_check.py",
    "test_report_browser.py",
    "test_loki_unknown.py",
    "test_rotation.py",
    "test_notify_channels.py",
    "test_alert_rules.py",
    "test_rotation_import.py",
    "test_loki_services.py",
    "test_report_pdf.py",
    "test_loki_random.py",
    "test_logfiles_kills.py",
    "test_logfiles_rotate.py",
    "test_bundle_attacks.py",
    "test_supabase.py",
    "test_secrets_search.py",
    "test_bench.py",
    "test_telemetry.py",
    "test_archive_s3.py",
    "test_partitions.py",
    "test_loki_killed.py",
    "test_alerts_live.py",
    "test_report_month.py",
    "test_traces.py",
    "test_notify_flow.py",
    "test_bandit.py",
    "test_pid_one.py",
    "test_structure.py",
    "test_report_html.py",
    "test_evidence.py",
    "test_notify.py",
    "test_http.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, all others in the random order that they have."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collecting makes next to no garbage: looking for it would only take time."""
    enabled = gc.isenabled()  # `make mutants` has none at all
    gc.disable()
    try:
        return (yield)
    finally:
        if enabled:
            gc.enable()


def pytest_collection_finish() -> None:
    """What thousands of collected tests are made of lives to the end: no garbage to be looked for in it.

    Nor does it pay to look after every 700 objects where a tree, a page or an example has a thousand times as
    many; what is left open is found all the same, later in the run or at its end.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


# The same examples each time: a red run can be repeated. `make long` draws others, and twice as many
# (LUXIMA_TEST_SEEDS): the same ones again find nothing new.
# A limit of time belongs to hangs (pytest-timeout), not to a machine that others use too.
hypothesis.settings.register_profile(
    "suite",
    max_examples=100 if LONG else 50,
    derandomize=not LONG,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
# Of `make mutants`: what a mutant comes to must not depend on luck.
hypothesis.settings.register_profile(
    "mutants",
    max_examples=5,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[*hypothesis.HealthCheck],
)
hypothesis.settings.load_profile("suite")


@pytest.fixture(autouse=True, scope="session")
def _scrubbed_environment() -> None:
    """Nothing of the user's own configuration reaches a test, or a command that a test starts."""
    for name in list(os.environ):
        if name.startswith(("LUXIMA_", "AWS_", "PG")):
            del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    # A command that a test starts would compile every module again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(autouse=True)
def _no_known_secrets() -> Iterator[None]:
    """What one test's settings hold masks nothing in another one."""
    yield
    know(())


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    if dsn := OUTSIDE.get("LUXIMA_TEST_POSTGRES_DSN"):
        server = PostgresServer.attach(dsn)
        yield server
        server.drop_originals()
        return
    server = PostgresServer.start()
    yield server
    server.stop()
    remove_copies()


#: All other tests are on 16, which lies between them.
_VERSIONS = (15, 16, 18) if LONG else (15, 18)


@pytest.fixture(scope="session", params=_VERSIONS)
def any_postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Each major version that is tried, one after the other."""
    if request.param == 16:
        yield request.getfixturevalue("postgres")
        return
    server = PostgresServer.start(version=request.param)
    yield server
    server.stop()


@pytest.fixture
def any_database(any_postgres: PostgresServer) -> Iterator[Database]:
    with any_postgres.database() as database:
        yield database


@pytest.fixture
def postgres_factory() -> Iterator[Starter]:
    """Starts clusters that end with the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> PostgresServer:
            server = PostgresServer.start(**options)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[Database]:
    with postgres.database() as database:
        yield database


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    if endpoint := OUTSIDE.get("LUXIMA_TEST_S3_ENDPOINT"):
        yield S3Server(
            endpoint_url=endpoint,
            access_key=OUTSIDE["LUXIMA_TEST_S3_ACCESS_KEY"],
            secret_key=OUTSIDE["LUXIMA_TEST_S3_SECRET_KEY"],
        )
        return
    server = S3Server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3_client(s3: S3Server) -> Iterator[Any]:
    with closing(s3.client()) as client:
        yield client


@pytest.fixture
def bucket(s3_client: Any) -> Iterator[str]:
    """The name of a fresh bucket, deleted afterwards with what is in it."""
    name = f"test-{os.getpid()}-{next(_bucket_numbers)}"
    s3_client.create_bucket(Bucket=name)
    yield name
    empty_bucket(s3_client, name)


@pytest.fixture
def prometheus_factory() -> Iterator[Callable[..., HttpServer]]:
    """Starts Prometheus servers that end with the test."""
    with ExitStack() as stack:

        def start(*flags: str, **options: Any) -> HttpServer:
            server = start_prometheus(*flags, **options)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def pushgateway() -> Iterator[HttpServer]:
    server = start_pushgateway()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from tests.servers.browser import run_browser

    with run_browser() as browser:
        yield browser


@pytest.fixture
def smtp() -> Iterator[Mailbox]:
    with run_smtp() as mailbox:
        yield mailbox
