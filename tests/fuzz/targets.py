"""What reads foreign input, and the errors with which it may answer; any other error is a fault of ours."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from luxima_retention.core.errors import ConfigurationError, RetentionError
from luxima_retention.core.redact import redacted
from luxima_retention.io.http import Answer

DATA = Path(__file__).parents[1] / "data"
ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
DATE = {"Date": "Mon, 23 Nov 2026 08:30:00 GMT"}


@dataclass(frozen=True)
class Target:
    """A reader of ours.

    Args:
        read: takes the bytes; what it returns is of no interest.
        seeds: good input.
        refusals: errors that are an answer, besides those of the suite itself.
    """

    read: Callable[[bytes], object]
    seeds: Callable[[], tuple[bytes, ...]]
    refusals: tuple[type[Exception], ...] = ()


def check_answer(target: Target, data: bytes) -> bool:
    """Read it: whether it was refused. Any other error leaves, and is a finding."""
    try:
        target.read(data)
    except (RetentionError, *target.refusals) as error:
        if isinstance(error, RetentionError) and not error.message.strip():
            raise AssertionError("refused without a sentence") from error
        return True
    return False


@cache
def targets() -> Mapping[str, Target]:
    """Every target by its name."""
    from luxima_retention.evidence.ledger.verify import TamperedError

    return {
        "loki-index": Target(_index, _index_seeds),
        "loki-index-inside": Target(_index_inside, _index_inside_seeds),
        "loki-keys": Target(_keys, lambda: _KEYS),
        "loki-config": Target(_loki("/config"), _loki_config),
        "loki-overrides": Target(_loki("/runtime_config"), lambda: (_OVERRIDES,)),
        "loki-limits": Target(_loki("/config/tenant/v1/limits"), lambda: (b"retention_period: 1y\n",)),
        "loki-condemned": Target(_condemned, lambda: (_CONDEMNED,)),
        **{
            "prometheus-" + name.rpartition("/")[2]: Target(_prometheus(name), _page(name))
            for name in _PROMETHEUS
        },
        **{f"tempo-{name}": Target(_tempo(name), _tempo_page(name)) for name in _TEMPO},
        "postgrest": Target(_postgrest, lambda: _ROWS),
        "http-headers": Target(_headers, lambda: _HEADERS),
        "settings": Target(_settings, _settings_seeds),
        "environment": Target(_environment, lambda: _VARIABLES),
        "cron": Target(_cron, lambda: _LINES, (ValueError,)),
        "durations": Target(_durations, lambda: _DURATIONS, (ValueError,)),
        "logrotate": Target(_logrotate, _logrotate_seeds),
        "patterns": Target(_patterns, lambda: _PATTERNS),
        "journal": Target(_journal, _journal_seeds),
        "rotation-state": Target(_state, lambda: (_STATE,)),
        "entry": Target(_entry, _entry_seeds),
        "ledger-file": Target(_ledger_file, lambda: (b"\n".join(_entry_seeds()) + b"\n",)),
        "checkpoint": Target(_checkpoint, _notes, (TamperedError, ValueError)),
        "witness": Target(_witness, _witness_seeds, (TamperedError, ValueError)),
        "bundle-report": Target(_bundle("report.json"), _bundle_file("report.json")),
        "bundle-ledger": Target(_bundle("ledger.jsonl"), _bundle_file("ledger.jsonl")),
        "bundle-sums": Target(_bundle("SHA256SUMS", sums=False), _bundle_file("SHA256SUMS")),
        "manifest": Target(_manifest, _manifest_seeds, (ValueError, KeyError, TypeError)),
        "plan": Target(_plan, _plan_seeds),
        "holds": Target(_holds, lambda: (_REGISTER,)),
        "alerts": Target(_alerts, lambda: _ALERTS),
        "redactor": Target(_redactor, lambda: _SECRETS),
    }


# --- Loki ------------------------------------------------------------------------------------------------


def _vectors() -> tuple[bytes, ...]:
    listed = json.loads((DATA / "loki/index-vectors.json").read_text())
    return tuple(base64.b64decode(item["gzip"]) for item in listed)


def _index_seeds() -> tuple[bytes, ...]:
    return tuple(item for item in _vectors() if len(item) < 100_000)


def _index(data: bytes) -> object:
    from luxima_retention.stores.loki.tsdb_index import read

    return list(read([data], "fuzzed"))


def _index_inside_seeds() -> tuple[bytes, ...]:
    import gzip

    return tuple(gzip.decompress(item) for item in _index_seeds())


def _index_inside(data: bytes) -> object:
    """What is packed, changed before it is packed."""
    import gzip

    return _index(gzip.compress(data, 1))


_KEYS = (
    b"fake/1c3d/18f2a5c0000:18f2a5d0000:5d4f2c1a",
    b"tenant-a/9f86d081884c7d65:18f2a5c0000:18f2a5d0000:5d4f2c1a",
    b"index_20500",
    b"loki_index_20500/fake/1732320000-compactor-1732320000000-5d4f2c1a.tsdb.gz",
)


def _keys(data: bytes) -> object:
    from luxima_retention.stores.loki import keys

    text = data.decode("utf-8", "surrogateescape")
    now = int(NOW.timestamp() * 1000)
    periods = (keys.Period(start=0, store="tsdb", new_keys=True, prefix="index_"),)
    chunk = keys.parse_chunk(text, now)
    if chunk is not None and chunk.key != text:
        raise AssertionError(f"{text!r} is read as {chunk.key!r}")
    table = keys.parse_table(text.partition("/")[0], periods)
    return keys.looks_like_chunk(text), table and keys.is_index_file(table, text.partition("/")[2])


def _loki_config() -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted((DATA / "loki").glob("config-*.yaml")))


_OVERRIDES = b"overrides:\n  a:\n    retention_period: 31d\n    retention_stream:\n    - period: 744h\n"
_CONDEMNED = json.dumps(
    {"keys": ["fake/1c3d/18f2a5c0000:18f2a5d0000:5d4f2c1a"], "due": "2026-11-23T08:30:00Z", "kib": 12}
).encode()


class Canned:
    """An address that gives one page, and others as they should be."""

    url = "http://127.0.0.1:1"

    def __init__(self, pages: Mapping[str, bytes]) -> None:
        self._pages = pages
        self.endpoint = type("Setting", (), {"setting": "url", "options": "http"})()

    def get(self, path: str) -> Answer:
        return self.send("GET", path)

    def send(self, _method: str, path: str, **_: Any) -> Answer:
        body = self._pages.get(path)
        status = 404 if body is None else 200
        return Answer(url=self.url + path, status=status, headers=DATE, body=body or b"")

    def repeated(self, attempt: Callable[[], Answer]) -> Answer:
        return attempt()


def _loki(path: str) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        from luxima_retention.stores.loki.owner import Loki

        loki = Loki(Canned({"/config": _loki_config()[0], "/ready": b"ready", path: data}))  # type: ignore[arg-type]
        promised = loki.promises(lambda: ("a", "b"))
        return (
            loki.storage(),
            loki.grace(),
            loki.delays(),
            promised.longer(30),
            promised.everybody.longest(),
        )

    return read


def _condemned(data: bytes) -> object:
    from luxima_retention.io.objects import open_objects
    from luxima_retention.stores.loki.condemned import read_one

    with _directory() as directory:
        (directory / "list.json").write_bytes(data)
        return read_one(open_objects(directory.as_uri()), "list.json", int(NOW.timestamp() * 1000))


# --- Prometheus, Tempo, PostgREST ------------------------------------------------------------------------

_PROMETHEUS = {
    "/api/v1/status/buildinfo": {"version": "3.11.2"},
    "/api/v1/status/runtimeinfo": {
        "startTime": "2026-01-02T03:04:05.678Z",
        "storageRetention": "60d or 10GiB",
    },
    "/api/v1/status/flags": {"storage.tsdb.retention.time": "60d", "storage.tsdb.retention.size": "10GB"},
    "/api/v1/status/config": {
        "yaml": "global:\n  external_labels:\n    replica: a\n"
        "storage:\n  tsdb:\n    retention:\n      time: 60d\n"
    },
    "/metrics": None,
}
_METRICS = b"""# TYPE prometheus_build_info gauge
prometheus_build_info{version="3.11.2"} 1
prometheus_tsdb_lowest_timestamp_seconds 1.7588e+09
prometheus_tsdb_head_max_time_seconds 1.7639e+09
prometheus_tsdb_retention_limit_seconds 5.184e+06
prometheus_tsdb_time_retentions_total 3
"""


def _page(name: str) -> Callable[[], tuple[bytes, ...]]:
    told = _PROMETHEUS[name]
    body = _METRICS if told is None else json.dumps({"status": "success", "data": told}).encode()
    return lambda: (body,)


def _prometheus(name: str) -> Callable[[bytes], object]:
    pages = {path: _page(path)()[0] for path in _PROMETHEUS}

    def read(data: bytes) -> object:
        from luxima_retention.stores.prometheus.store import PrometheusStore

        store = PrometheusStore(Canned({**pages, name: data}))  # type: ignore[arg-type]
        return store.survey(_request()), store.preflight(_request()), store.clock()

    return read


_TEMPO = ("version", "services", "config", "runtime_config")


def _tempo_page(name: str) -> Callable[[], tuple[bytes, ...]]:
    return lambda: tuple((DATA / "tempo" / version / f"{name}.txt").read_bytes() for version in _TEMPOS)


_TEMPOS = ("2.10.0", "3.0.3")


def _tempo(name: str) -> Callable[[bytes], object]:
    pages = {f"/status/{page}": _tempo_page(page)()[1] for page in _TEMPO}

    def read(data: bytes) -> object:
        from luxima_retention.stores.tempo.store import TempoStore

        store = TempoStore(Canned({**pages, f"/status/{name}": data}))  # type: ignore[arg-type]
        return store.survey(_request()), store.identity()

    return read


def _request() -> Any:
    from luxima_retention.core.plan import Request, cutoff_at

    return Request(policy="metrics", retention_days=60, cutoff=cutoff_at(60, NOW), now=NOW)


_ROWS = (
    b'[{"removed": 12, "left": 0, "token": "t"}]',
    b'{"code": "PGRST202", "message": "no function", "hint": null}',
)


def _postgrest(data: bytes) -> object:
    from luxima_retention.stores.supabase import client

    found = [
        client._read(Answer(url="https://x", status=status, body=data)) for status in (200, 204, 404, 503)
    ]
    return [client._hint(item) for item in found]


_HEADERS = (b"Mon, 23 Nov 2026 08:30:00 GMT", b"120", b"Wed, 01 Jan 0001 00:00:00 -2359")


def _headers(data: bytes) -> object:
    text = data.decode("latin-1")
    answer = Answer(url="http://x", status=429, headers={"Date": text, "Retry-After": text})
    waits = answer.retry_after()
    if waits is not None and not 0 <= waits <= 3600:
        raise AssertionError(f"{text!r} is a wait of {waits} s")
    return answer.date()


# --- settings --------------------------------------------------------------------------------------------


def _settings_seeds() -> tuple[bytes, ...]:
    return (
        (ROOT / "cron/base/luxima-retention.toml").read_bytes(),
        (
            b'[policies.hooks]\nkind = "table"\nretention_days = 45\nschedule = "41 2 * * *"\n'
            b'tables = [{ table = "billing.webhook_log", time_column = "received_at" }]\n'
        ),
        (
            b'[prometheus]\nurls = ["http://127.0.0.1:9090"]\n[s3.minio]\nendpoint_url = "http://127.0.0.1:9000"\n'
            b'[policies.application-logs]\nbuckets = ["s3://loki"]\nperiods = [{ from = 2024-01-01 }]\n'
        ),
        b'[rotation.sets.nginx]\npaths = ["/var/log/nginx/*.log"]\nkeep = 4\nsize = "10M"\n',
    )


def _settings(data: bytes) -> object:
    from luxima_retention.config.sources import load
    from luxima_retention.stores.registry import options

    with _directory() as directory:
        path = directory / "settings.toml"
        path.write_bytes(data)
        with suppress(KeyError):
            os.environ.pop("LUXIMA_CONFIG")
        return load(path, options())


_VARIABLES = (
    b"LUXIMA_POLICIES__AUDIT_LOGS__RETENTION_DAYS=180",
    b'LUXIMA_PROMETHEUS__URLS=["http://127.0.0.1:9090"]',
    b"LUXIMA_DATABASE__DSN=postgresql://a:b@127.0.0.1/c",
    b"LUXIMA_DATABASE_DSN=postgresql://a:b@127.0.0.1/c",
    b"LUXIMA_ARCHIVE__URL=s3://b/p?x",
    b"LUXMIA_CONFIG=x",
)


def _environment(data: bytes) -> object:
    """One variable, as a shell would set it."""
    from luxima_retention.config.sources import load
    from luxima_retention.stores.registry import options

    name, _, value = data.replace(b"\0", b"").partition(b"=")
    if not name.startswith(b"LUX"):
        return None
    os.environb[name] = value
    try:
        return load(None, options())
    finally:
        del os.environb[name]


_LINES = (b"41 2 * * *", b"0 0 1 jan-dec/2 *", b"*/15 8-18 * * mon-fri", b"@daily", b"59 23 31 12 *")


def _cron(data: bytes) -> object:
    from luxima_retention.config import cronline

    line = cronline.parse(data.decode("utf-8", "surrogateescape"))
    zone = ZoneInfo("Europe/Berlin")
    return cronline.previous(line, zone, NOW), next(cronline.times(line, zone, NOW))


_DURATIONS = (b"30d", b"1h30m", b"8w4d", b"720h0m0s", b"22.5s", b"60d or 10GiB", b"0")


def _durations(data: bytes) -> object:
    """Each reader of its own: one that check_answer must not hide the next."""
    from luxima_retention.core.durations import go_seconds, parse_duration
    from luxima_retention.stores.loki import declared
    from luxima_retention.stores.prometheus import reading

    text = data.decode("utf-8", "replace")
    readers = (
        parse_duration,
        declared.duration,
        reading.duration,
        reading.limits,
        reading.version,
        go_seconds,
    )
    for reader in readers:
        with suppress(ValueError, RetentionError):
            reader(text)
    return None


# --- rotation --------------------------------------------------------------------------------------------


class _Tree:
    home = "/root"

    def __init__(self, text: str) -> None:
        self._text = text

    def text(self, path: str) -> str:
        if path != "c":
            raise ConfigurationError(f"{path} cannot be read")
        return self._text

    def files(self, _: str) -> None:
        return None


def _logrotate_seeds() -> tuple[bytes, ...]:
    return (
        (
            b"weekly\nrotate 4\ncompress\n/var/log/nginx/*.log {\n  daily\n  missingok\n"
            b"  create 0640 www-data adm\n"
            b"  sharedscripts\n  postrotate\n    systemctl reload nginx\n  endscript\n}\n"
        ),
        (
            b'"/var/log/a b.log" /var/log/c {\n size 0x800\n su root adm\n dateext\n dateformat -%Y%m%d-%s\n'
            b" mail root@localhost\n olddir old\n createolddir 0750 root adm\n}\n"
        ),
    )


def _logrotate(data: bytes) -> object:
    from luxima_retention.stores.logfiles.importer import import_files
    from luxima_retention.stores.logfiles.importer_toml import render

    found = import_files(["c"], _Tree(data.decode("utf-8", "surrogateescape")))
    return render(found) if found.sets else None


_PATTERNS = (b"/var/log/*.log", b"/var/log/[!b]*.log", b"/var/log/[[:digit:]]?", b"~user/*", b"/a/{b,c}/**")


def _patterns(data: bytes) -> object:
    from luxima_retention.stores.logfiles import patterns

    text = data.decode("utf-8", "surrogateescape")
    return patterns.name_matches("a.log", text), patterns.path_matches("/var/log/a.log", text)


def _journal_seeds() -> tuple[bytes, ...]:
    step = {
        "directory": [1, 2],
        "store": [1, 2],
        "path": "/var/log/a.log",
        "log": "a.log",
        "to": "a.log.1",
        "method": "rename",
        "device": 1,
        "inode": 3,
        "mode": 0o640,
        "owner": 0,
        "group": 0,
        "copied": 0,
    }
    begun = json.dumps(step).encode()
    return (begun, begun + b'\n{"copied": 7, "key": "1:2:a.log"}\n{"done": "1:2:a.log"}\n')


def _journal(data: bytes) -> object:
    from luxima_retention.stores.logfiles.folder import Folder
    from luxima_retention.stores.logfiles.journal import Journal

    with _directory() as directory:
        folder = Folder.open_own(str(directory), make=False)
        assert folder is not None
        try:
            (directory / "j.journal").write_bytes(data + b"\n")
            journal = Journal(folder, "j.journal")
            for step in journal.pending:
                if "/" in step.log + step.to:
                    raise AssertionError(f"{step} leaves its directory")
            journal.close()
        finally:
            folder.close()
    return None


_STATE = (
    b'logrotate state -- version 2\n"/var/log/a.log" 2026-11-20-3:4:5\n"/var/log/b c.log" 1904-1-1-0:0:0\n'
)


def _state(data: bytes) -> object:
    from luxima_retention.stores.logfiles.safe import Directory
    from luxima_retention.stores.logfiles.state import State

    with _directory() as directory:
        (directory / "state").write_bytes(data)
        opened = Directory.open(str(directory))
        try:
            state = State(opened, "state", UTC)
            state.note("/var/log/new.log", NOW)
            state.save()
            again = State(opened, "state", UTC)
            if again.last("/var/log/new.log") != NOW or set(again.known()) != set(state.known()):
                raise AssertionError("what was written is not what is read")
        finally:
            opened.close()
    return None


# --- evidence --------------------------------------------------------------------------------------------


@cache
def _entry_seeds() -> tuple[bytes, ...]:
    from tests.bundles import history

    return tuple(item.data for item in history().ledger.all)


def _entry(data: bytes) -> object:
    from luxima_retention.evidence.ledger import entry
    from luxima_retention.evidence.ledger.verify import canonical, parse

    found = entry.read(data)
    if canonical(parse(data)) != data:
        raise AssertionError("an entry in another form than its own")
    return found.event


def _ledger_file(data: bytes) -> object:
    from luxima_retention.evidence.ledger.entry import verify_chain
    from luxima_retention.evidence.ledger.file import FileLedger

    with _directory() as directory:
        path = directory / "ledger"
        path.write_bytes(data)
        return verify_chain(FileLedger(path).entries())


def _notes() -> tuple[bytes, ...]:
    from tests.bundles import SIGNER

    text = f"{SIGNER.key.name}\n3\n{base64.b64encode(bytes(32)).decode()}\nhead {'0' * 64}\n"
    return ((text + "\n" + SIGNER.line(text.encode())).encode(), str(SIGNER.key).encode())


def _checkpoint(data: bytes) -> object:
    from luxima_retention.evidence.ledger.verify import Checkpoint, Key
    from tests.bundles import SIGNER

    text = data.decode("utf-8", "replace")
    with suppress(ValueError):
        Key.parse(text)
    return Checkpoint.parse(text).is_signed_by(SIGNER.key)


def _witness_seeds() -> tuple[bytes, ...]:
    proof = base64.b64encode(b"\1" * 32)
    return (b"old 2\n" + proof + b"\n\n" + _notes()[0],)


def _witness(data: bytes) -> object:
    from luxima_retention.evidence.witness.service import _read

    return _read(data)


@cache
def _bundle_files() -> Mapping[str, bytes]:
    from tests.bundles import build

    with _directory() as directory:
        bundle = build(directory)
        files = (path for path in bundle.rglob("*") if path.is_file())
        return {str(path.relative_to(bundle)): path.read_bytes() for path in files}


def _bundle(name: str, *, sums: bool = True) -> Callable[[bytes], object]:
    """One file of a bundle changed, by an editor who makes the sums fit again."""

    def read(data: bytes) -> object:
        from luxima_retention.evidence.ledger.bundle import write_sums
        from luxima_retention.evidence.ledger.verify import main
        from tests.bundles import SIGNER

        with _directory() as directory:
            for path, good in {**_bundle_files(), name: data}.items():
                file = directory / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(good)
            if sums:
                write_sums(directory, SIGNER)
            shown = io.StringIO()
            with redirect_stdout(shown), redirect_stderr(shown):
                status = main([str(directory), "--key", str(SIGNER.key)])
            if status not in {0, 6} or not shown.getvalue().strip():
                raise AssertionError(f"ended with {status}: {shown.getvalue()!r}")
            return None

    return read


def _bundle_file(name: str) -> Callable[[], tuple[bytes, ...]]:
    return lambda: (_bundle_files()[name],)


def _manifest_seeds() -> tuple[bytes, ...]:
    from luxima_retention.core.sealed import Sealed
    from luxima_retention.evidence.archive import manifest

    run = manifest.Run(
        policy="audit-logs",
        run_id="0199f0a0-0000-7000-8000-000000000001",
        target="core.audit_log",
        fingerprint="7300000000000000001/core.audit_log",
        cutoff=NOW - timedelta(days=180),
        form="csv",
        schema=(("id", "bigint"), ("created_at", "timestamp with time zone")),
    )
    part = Sealed(
        name="parts/1.csv.zst",
        version=None,
        items=2,
        first=NOW - timedelta(days=190),
        last=NOW - timedelta(days=181),
        bytes=120,
        sha256="a" * 64,
        raw_bytes=200,
        raw_sha256="b" * 64,
        root="c" * 64,
        header="id,created_at",
    )
    made = manifest.build(
        run, [part], created_at=NOW, keep_until=NOW + timedelta(days=365), object_lock="off"
    )
    return (made.data,)


def _manifest(data: bytes) -> object:
    from luxima_retention.evidence.archive import manifest

    return manifest.read(data)


def _plan_seeds() -> tuple[bytes, ...]:
    from luxima_retention.core.plan import digest

    terms = {"policy": "audit-logs", "target": "core.audit_log", "cutoff": "2026-05-27T00:00:00Z", "items": 3}
    members: dict[str, Any] = {
        "form": "luxima-retention plan",
        "v": 1,
        "created_at": "2026-11-23T08:00:00Z",
        "expires_at": "2026-11-24T08:00:00Z",
        "plans": [{"digest": digest(terms), "terms": terms, "refused": []}],
    }
    return (json.dumps({**members, "sha256": digest(members)}).encode(),)


def _plan(data: bytes) -> object:
    from luxima_retention.run import planfile

    with _directory() as directory:
        path = directory / "plan.json"
        path.write_bytes(data)
        return [(item.policy, item.cutoff, item.items) for item in planfile.load(path, NOW).plans.values()]


_REGISTER = json.dumps(
    {
        "v": 1,
        "holds": [
            {
                "hold": {
                    "hold_id": "H-1",
                    "policy": "audit-logs",
                    "tenant": "t3",
                    "reason": "case 12",
                    "placed_by": "legal",
                    "placed_at": "2026-11-11T03:00:00Z",
                },
                "released": {"at": "2026-11-12T03:00:00Z", "by": "legal", "reason": "closed"},
            }
        ],
    }
).encode()


def _holds(data: bytes) -> object:
    from luxima_retention.evidence.holds import FileRegister
    from luxima_retention.evidence.ledger.memory import MemoryLedger

    with _directory() as directory:
        path = directory / "holds"
        path.write_bytes(data)
        return FileRegister(path, MemoryLedger()).all(active=False)


# --- messages --------------------------------------------------------------------------------------------

_ALERTS = (
    json.dumps(
        {
            "version": "1",
            "groupKey": "g",
            "truncatedAlerts": 0,
            "alerts": [
                {
                    "status": "firing",
                    "labels": {"alertname": "EdgeFunctionErrors", "service": "api"},
                    "annotations": {"summary": "Errors", "runbook_url": "https://docs.example/r"},
                    "startsAt": "2026-11-23T08:00:00Z",
                    "endsAt": "0001-01-01T00:00:00Z",
                    "values": {"A": 3},
                    "generatorURL": "https://grafana.example/alerting/grafana/abc/view",
                    "fingerprint": "f1",
                }
            ],
        }
    ).encode(),
)


def _alerts(data: bytes) -> object:
    from luxima_retention.tell.notify.grafana import alerts_of

    return alerts_of(data)


_SECRETS = (
    b"postgresql://role:hunter2hunter2@db.example/luxima",
    b"https://user:hunter2hunter2@host/path?token=hunter2hunter2",
    b"password=hunter2hunter2 host=db",
    b"Authorization: Bearer hunter2hunter2",
)


def _redactor(data: bytes) -> object:
    """Whatever is around it, what is known to be secret does not come out."""
    from luxima_retention.core.redact import learn

    learn("hunter2hunter2")
    text = data.decode("utf-8", "replace")
    if "hunter2hunter2" in redacted(text):
        raise AssertionError("a secret came through")
    return None


@contextmanager
def _directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="fuzz-", dir=os.environ.get("LUXIMA_FUZZ_DIR")))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
