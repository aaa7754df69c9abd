"""Captured buckets of a real Loki on a real S3: what goes, what stays, and what a kill leaves."""

from __future__ import annotations

import json
import signal
import tarfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from luxima_retention.stores.loki.keys import DAY_MS, milliseconds, parse_chunk
from luxima_retention.stores.loki.tsdb_index import read
from tests.configured import loki_settings, opened_loki, s3_variables
from tests.servers.command import Command
from tests.servers.loki import config_of, run_loki
from tests.servers.s3 import delete, fill, keys_of
from tests.servers.stub import Answer, run_stub

DATA = Path(__file__).parents[1] / "data" / "loki"
AS_OF = "2026-11-23T08:30:00Z"
CUTOFF = datetime(2026, 10, 24, tzinfo=UTC)
CUTOFF_MS = milliseconds(CUTOFF)
NOW_MS = milliseconds(datetime(2026, 11, 24, tzinfo=UTC))
MIXED = [
    {"start": "2026-09-04", "store": "boltdb-shipper", "schema_version": 11},
    {"start": "2026-09-29", "store": "boltdb-shipper", "schema_version": 12},
    {"start": "2026-10-12", "schema_version": 12, "prefix": "tsdb_"},
    {"start": "2026-11-03", "prefix": "tsdb_"},
]
KEPT = {
    key
    for key in json.loads((DATA / "kept-by-compactor-720h.json").read_text())["kept"]
    if parse_chunk(key, NOW_MS)
}


def captured(name):
    """One of them travels with the program, for the demo."""
    file = f"bucket-{name}.tar.xz"
    return next(
        place / file
        for place in (DATA, DATA.parents[2] / "luxima_retention" / "demo_data")
        if (place / file).exists()
    )


@cache
def content(name):
    """Key → body of a captured bucket."""
    with tarfile.open(captured(name)) as archive:
        members = ((item.name.removeprefix("./"), item) for item in archive if item.isfile())
        return {key: archive.extractfile(item).read() for key, item in members}


def load(client, bucket, name):
    """Put a captured bucket into a fresh one, as a whole."""
    fill(client, bucket, content(name).items())
    count = {"tsdb-v13-compacted": 968, "tsdb-v13-reuploaded-index": 1040, "mixed-v11-v12-v13": 897}[name]
    assert len(keys_of(client, bucket)) == count


def load_some(client, bucket, name="tsdb-v13-compacted"):
    """The same bucket without the tables, and the chunks, of other days than those around the cutoff."""
    days = range(CUTOFF_MS // DAY_MS - 6, CUTOFF_MS // DAY_MS + 2)

    def stays(key):
        chunk = parse_chunk(key, NOW_MS)
        table = key.split("/")[1][-5:]
        return bool({*chunk.days} & {*days}) if chunk else not table.isdecimal() or int(table) in days

    fill(client, bucket, ((key, body) for key, body in content(name).items() if stays(key)))
    found = keys_of(client, bucket)
    assert {int(table[-5:]) for table in tables(found)} == {*days}
    assert expired(found) < chunks(found)


def empty(client, bucket, gone):
    """Delete these keys, as if somebody had done so long ago."""
    delete(client, bucket, [{"Key": key} for key in gone])


def chunks(found):
    return {key for key in found if parse_chunk(key, NOW_MS)}


def expired(found):
    return {key for key in chunks(found) if parse_chunk(key, NOW_MS).end < CUTOFF_MS}


def tables(found):
    return {
        key.split("/")[1] for key in found if key.startswith("index/") and key.split("/")[1][-5:].isdecimal()
    }


@pytest.fixture
def command(s3, bucket, tmp_path):
    return Command(
        variables={
            "LUXIMA_POLICIES__APPLICATION_LOGS__BUCKETS": bucket,
            **s3_variables(s3),
            "LUXIMA_POLICIES__APPLICATION_LOGS__OFFLINE": "true",
            "LUXIMA_POLICIES__APPLICATION_LOGS__MIN_OBJECT_AGE": "0s",
            "LUXIMA_LEDGER__PATH": str(tmp_path / "ledger.jsonl"),
            "LUXIMA_POLICIES__APPLICATION_LOGS__MAX_FRACTION": "0.9",
            "LUXIMA_POLICIES__APPLICATION_LOGS__MAX_SILENCE": "off",
        }
    )


def run(command, *arguments, code=0, **more):
    document = command.json("run", "application-logs", "--as-of", AS_OF, *arguments, code=code, **more)
    return document["policies"][0]["targets"][0]


@pytest.mark.parametrize("name", ["tsdb-v13-compacted", "tsdb-v13-reuploaded-index"])
def test_the_index_lists_exactly_the_chunks_in_the_bucket(name):
    named = set()
    for key, body in content(name).items():
        if key.endswith(".tsdb.gz"):
            for item in read([body], key):
                tenant = item.tenant or key.split("/")[2]
                named.add(f"{tenant}/{item.fingerprint:x}/{item.start:x}:{item.end:x}:{item.checksum:x}")
    assert named == chunks(content(name))


@pytest.mark.parametrize("name", ["tsdb-v13-compacted", "tsdb-v13-reuploaded-index", "mixed-v11-v12-v13"])
def test_what_has_expired_is_gone_and_nothing_else(command, s3_client, bucket, name):
    if name.startswith("mixed"):
        command.variables |= {"LUXIMA_POLICIES__APPLICATION_LOGS__PERIODS": json.dumps(MIXED)}
    load(s3_client, bucket, name)
    before = keys_of(s3_client, bucket)
    planned = run(command, "--dry-run")
    assert planned["outcome"] == "would_delete"
    assert keys_of(s3_client, bucket) == before
    done = run(command)
    assert done["done"]["destroyed"] == planned["plan"]["items"]
    left = keys_of(s3_client, bucket)
    assert expired(left) == set()
    assert {int(table[-5:]) for table in tables(left)} == set(range(CUTOFF_MS // DAY_MS, NOW_MS // DAY_MS))
    gone = before - left
    assert chunks(gone) == expired(before)
    assert all(int(key.split("/")[1][-5:]) < CUTOFF_MS // DAY_MS for key in gone - chunks(gone))
    if name.startswith("tsdb"):
        assert chunks(left) >= KEPT
        days = {parse_chunk(key, NOW_MS).end // DAY_MS for key in chunks(left) - KEPT}
        assert days <= {CUTOFF_MS // DAY_MS}
    assert run(command)["outcome"] == "nothing_to_do"


@pytest.mark.parametrize(
    "place",
    [
        "loki.before_list@3",
        "loki.after_list@3",
        "loki.before_request@3",
        "loki.after_request@3",
        "loki.after_table@3",
        "loki.after_chunks@3",
        "loki.after_list_is_gone@3",
    ],
)
def test_killed_between_any_two_steps_the_end_is_the_same(command, s3_client, bucket, place):
    load_some(s3_client, bucket)
    before = keys_of(s3_client, bucket)
    name, _, count = place.partition("@")
    killed = command("run", "application-logs", "--as-of", AS_OF, LUXIMA_FAILPOINTS=f"{name}=kill@{count}")
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    resumed = command("run", "application-logs", "--as-of", AS_OF)
    assert resumed.returncode == 0, resumed.stdout
    assert "nothing expired is left" in resumed.stdout
    left = keys_of(s3_client, bucket)
    assert expired(left) == set()
    assert chunks(before - left) == expired(before)
    assert not [key for key in left if key.startswith("luxima-retention/")]
    assert command("ledger", "verify").returncode == 0


def test_phase_two_comes_after_the_grace_period_and_not_while_a_table_is_back(s3, s3_client, bucket):
    """Two daily runs, with a clock of our own."""
    from luxima_retention.core.guards import Limits
    from luxima_retention.run.engine import Environment, Policy, run_policy
    from tests.unit.test_engine import FakeState

    load_some(s3_client, bucket)
    before = keys_of(s3_client, bucket)
    saved = {key: body for key, body in content("tsdb-v13-compacted").items() if "index_20746" in key}
    state = FakeState()
    limits = Limits(max_fraction=1, max_silence=None, max_skew=timedelta(days=3650), min_remaining=0)
    policy = Policy(name="application-logs", retention_days=30, limits=limits)
    start = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)

    def daily(now):
        def opened():
            return opened_loki(loki_settings(s3, bucket), clock=lambda: now, read_only=False)

        environment = Environment(now=now, as_of=start, state=state, clock=lambda: now)
        result = run_policy(policy, (("loki", opened),), environment)
        (target,) = result.targets
        assert int(result.exit_code) == 0, target.sentence
        return target

    first = daily(start)
    condemned = len(expired(before))
    assert (first.outcome, first.totals.condemned) == ("pending", condemned)
    assert tables(keys_of(s3_client, bucket)) == {"index_20750", "index_20751"}
    assert chunks(keys_of(s3_client, bucket)) == chunks(before)
    assert sum(item.items for item in first.proof.pending) == condemned
    assert min(item.due for item in first.proof.pending) == start + timedelta(hours=24)

    early = daily(start + timedelta(hours=23))
    assert early.totals.destroyed == 0
    for key, body in saved.items():
        s3_client.put_object(Bucket=bucket, Key=key, Body=body)
    back = daily(start + timedelta(hours=25))
    assert back.totals.destroyed >= len(saved)
    # What the returned table names is condemned anew: its grace period begins again.
    again = back.totals.condemned
    assert again > 0
    assert daily(start + timedelta(hours=26)).totals.destroyed == 0
    assert daily(start + timedelta(hours=49)).totals.destroyed == again
    assert back.totals.destroyed + again == condemned + len(saved)
    left = keys_of(s3_client, bucket)
    assert expired(left) == set()
    assert chunks(before - left) == expired(before)


def test_held_logs_stay_with_the_index_that_names_them(command, s3_client, bucket):
    load_some(s3_client, bucket)
    hold = ("--tenant", "acme-id", "--from", "2026-10-18", "--to", "2026-10-20", "--reason", "case")
    assert command("hold", "add", "--policy", "application-logs", *hold).returncode == 0
    start, end = (
        milliseconds(datetime(2026, 10, 18, tzinfo=UTC)),
        milliseconds(datetime(2026, 10, 20, tzinfo=UTC)),
    )
    before = keys_of(s3_client, bucket)
    held = {
        key
        for key in expired(before)
        if (chunk := parse_chunk(key, NOW_MS)).tenant == "acme-id"
        and chunk.end >= start
        and chunk.start < end
    }
    done = run(command)
    assert done["survey"]["held"] >= len(held) > 0
    left = keys_of(s3_client, bucket)
    assert held <= chunks(left)
    named = set()
    for key in left:
        if key.endswith(".tsdb.gz"):
            body = s3_client.get_object(Bucket=bucket, Key=key)["Body"].read()
            for item in read([body], key):
                tenant = item.tenant or key.split("/")[2]
                named.add(f"{tenant}/{item.fingerprint:x}/{item.start:x}:{item.end:x}:{item.checksum:x}")
    assert named == chunks(left), "every chunk that is left is named, and every name has its chunk"


def test_a_tenant_that_keeps_longer_keeps_longer(command, s3_client, bucket):
    load_some(s3_client, bucket)
    before = keys_of(s3_client, bucket)
    run(command, LUXIMA_POLICIES__APPLICATION_LOGS__TENANT_DAYS='{"luxima": 33}')
    left = keys_of(s3_client, bucket)
    later = CUTOFF_MS - 3 * DAY_MS
    for key in chunks(before):
        chunk = parse_chunk(key, NOW_MS)
        cutoff = later if chunk.tenant == "luxima" else CUTOFF_MS
        assert (key in left) == (chunk.end >= cutoff), key


def test_shared_index_files_wait_for_the_longest_period(command, s3_client, bucket):
    load_some(s3_client, bucket, "tsdb-v13-reuploaded-index")
    run(command, code=3, LUXIMA_POLICIES__APPLICATION_LOGS__TENANT_DAYS='{"luxima": 33}')
    left = keys_of(s3_client, bucket)
    first = (CUTOFF_MS - 3 * DAY_MS) // DAY_MS
    assert min(int(table[-5:]) for table in tables(left)) == first


def test_what_is_not_lokis_chunk_or_index_is_left_alone_and_reported(command, s3_client, bucket):
    load_some(s3_client, bucket)
    others = {
        "loki_cluster_seed.json",
        "rules/acme-id/bmFtZQ==/Z3JvdXA=",
        "index/delete_requests/delete_requests.gz",
        "index/index_20710/notes.txt",
        "index/elsewhere_20710/1-compactor-1-2-a.tsdb.gz",
        "dataobj/objects/ab/cdef",
        "acme-id/not-a-chunk",
    }
    for key in others:
        s3_client.put_object(Bucket=bucket, Key=key, Body=b"x")
    done = run(command, code=3)
    assert done["survey"]["unknown"] == 2, "the table of no period, and the data object"
    assert others <= keys_of(s3_client, bucket)
    assert expired(keys_of(s3_client, bucket)) == set()
    (finding,) = [item for item in done["survey"]["findings"] if item["code"] == "foreign-objects"]
    assert "index/index_20710/notes.txt" in finding["message"]


@pytest.mark.parametrize("damage", ["truncated", "version 4", "not gzip"])
def test_an_index_file_that_cannot_be_read_keeps_its_table_and_its_chunks(command, s3_client, bucket, damage):
    import gzip

    load_some(s3_client, bucket)
    before = keys_of(s3_client, bucket)
    name = next(key for key in sorted(before) if key.startswith("index/index_20745/acme-id/"))
    body = s3_client.get_object(Bucket=bucket, Key=name)["Body"].read()
    if damage == "version 4":
        whole = bytearray(gzip.decompress(body))
        whole[4] = 4
        body = gzip.compress(bytes(whole))
    s3_client.put_object(
        Bucket=bucket, Key=name, Body={"truncated": body[:-20], "not gzip": b"zip"}.get(damage, body)
    )
    done = run(command, code=3)
    assert done["survey"]["unknown"] == 1
    left = keys_of(s3_client, bucket)
    assert name in left
    stays = {key for key in expired(before) if 20745 in parse_chunk(key, NOW_MS).days}
    assert {key for key in stays if key.startswith("acme-id/")} <= left
    assert expired(left) <= stays
    assert "unreadable-index" in {finding["code"] for finding in done["survey"]["findings"]}


def test_a_bucket_that_cannot_be_listed_is_no_empty_bucket(command, s3_client, bucket):
    load_some(s3_client, bucket)
    before = keys_of(s3_client, bucket)
    done = command("run", "application-logs", LUXIMA_S3__DEFAULT__SECRET_ACCESS_KEY="wrong-secret")
    assert done.returncode == 3
    assert "wrong-secret" not in done.stdout + done.stderr
    assert keys_of(s3_client, bucket) == before


def test_a_sweep_finds_what_no_index_names(command, s3_client, bucket):
    load_some(s3_client, bucket)
    run(command)
    orphan, young = (
        "acme-id/1234/1a0aeac8b4c:1a0b16bab4d:c5fe53bd",
        "acme-id/1234/1a1aeac8b4c:1a1b16bab4d:c5fe53bd",
    )
    for key in (orphan, young):
        s3_client.put_object(Bucket=bucket, Key=key, Body=b"lines")
    assert run(command)["done"]["destroyed"] == 0
    half = 0x1234 % 2
    assert run(command, "--sweep", "--shard", f"{1 - half}/2")["done"]["destroyed"] == 0
    done = run(command, "--sweep", "--shard", f"{half}/2")
    assert (done["done"]["destroyed"], done["survey"]["evidence"]["orphans"]) == (1, 1)
    left = keys_of(s3_client, bucket)
    assert orphan not in left
    assert young in left


def test_the_parts_of_a_sweep_run_side_by_side_and_leave_tables_to_the_daily_run(command, s3_client, bucket):
    load_some(s3_client, bucket)
    before = keys_of(s3_client, bucket)
    lost = {key for key in before if key.startswith(("index/index_20744/", "index/index_20745/"))}
    empty(s3_client, bucket, lost)
    words = ("run", "application-logs", "--as-of", AS_OF, "--sweep", "--output", "json")
    parts = [command.start(*words, "--shard", f"{index}/3") for index in range(3)]
    documents = []
    for part in parts:
        out, err = part.communicate(timeout=120)
        assert part.returncode == 0, out + err
        documents.append(json.loads(out)["policies"][0]["targets"][0])
    left = keys_of(s3_client, bucket)
    assert tables(left) == tables(before - lost)
    gone = chunks(before - left)
    assert sum(document["done"]["destroyed"] for document in documents) == len(gone) > 20
    assert gone <= expired(before)
    run(command)
    assert expired(keys_of(s3_client, bucket)) == set()


def test_a_sweep_notices_chunks_that_somebody_else_deleted(command, s3_client, bucket):
    load_some(s3_client, bucket)
    found = run(command, "--sweep", "--dry-run")
    assert found["survey"]["evidence"]["references_sampled"] > 10
    assert found["survey"]["evidence"]["references_dangling"] == 0
    lost = next(key for key in sorted(KEPT) if CUTOFF_MS // DAY_MS in parse_chunk(key, NOW_MS).days)
    s3_client.delete_object(Bucket=bucket, Key=lost)
    done = command("run", "application-logs", "--as-of", AS_OF, "--sweep")
    assert done.returncode == 3
    assert lost in done.stdout


def test_a_storm_of_slow_down_is_sat_out(command, s3, s3_client, bucket):
    """Every thirtieth request is answered 503 in front of the real service; the end is the same."""
    import itertools

    import requests

    load_some(s3_client, bucket)
    before = keys_of(s3_client, bucket)
    numbers = itertools.count(1)
    slow = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"

    def answer(method, target, headers, body):
        if next(numbers) % 30 == 0:
            return Answer(503, slow, {"Content-Type": "application/xml"})
        given = requests.request(
            method, f"{s3.endpoint_url}{target}", headers=headers, data=body, timeout=30, stream=True
        )
        kept = {
            name: given.headers[name] for name in ("Content-Type", "ETag", "Date") if name in given.headers
        }
        return Answer(given.status_code, given.raw.read(), kept)

    with run_stub(answer) as stub:
        done = run(command, LUXIMA_S3__DEFAULT__ENDPOINT_URL=stub.url)
    assert done["outcome"] == "done"
    left = keys_of(s3_client, bucket)
    assert chunks(before - left) == expired(before)


def test_the_rights_that_are_documented_are_those_that_are_used():
    """Each call of the client needs an action, and the policy grants each of them and no more."""
    policy = json.loads((DATA.parents[2] / "docs" / "iam-loki.json").read_text())
    granted = {
        action for item in policy["Statement"] if item["Effect"] == "Allow" for action in item["Action"]
    }
    package = DATA.parents[2] / "luxima_retention"
    files = (*(package / "stores" / "loki").glob("*.py"), package / "io" / "objects.py")
    source = "".join(file.read_text() for file in files)
    needs = {
        "head_bucket": "s3:ListBucket",
        "list_objects_v2": "s3:ListBucket",
        "list_object_versions": "s3:ListBucketVersions",
        "get_object(": "s3:GetObject",
        "delete_objects": "s3:DeleteObject",
        "get_bucket_versioning": "s3:GetBucketVersioning",
    }
    for call, action in needs.items():
        assert call in source
        assert action in granted
    extra = {"s3:DeleteObjectVersion", "s3:GetLifecycleConfiguration", "s3:PutObject"}
    assert granted == set(needs.values()) | extra
    denied = [item for item in policy["Statement"] if item["Effect"] == "Deny"]
    assert any("rules/" in resource for item in denied for resource in item["Resource"])
    assert not any("Bypass" in action for action in granted)


def test_young_objects_are_left_alone_and_counted(command, s3_client, bucket):
    load_some(s3_client, bucket)
    before = keys_of(s3_client, bucket)
    done = run(command, LUXIMA_POLICIES__APPLICATION_LOGS__MIN_OBJECT_AGE="24h")
    assert done["survey"]["locked"] == len(expired(before)) > 40
    assert chunks(keys_of(s3_client, bucket)) == chunks(before)


def test_versions_are_really_deleted(command, s3_client, bucket):
    s3_client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    load_some(s3_client, bucket)
    before = keys_of(s3_client, bucket)
    run(command)
    pages = s3_client.get_paginator("list_object_versions").paginate(Bucket=bucket)
    there = {
        item["Key"]
        for page in pages
        for kind in ("Versions", "DeleteMarkers")
        for item in page.get(kind, ())
        if not item["Key"].startswith("luxima-retention/")
    }
    assert expired(there) == set()
    assert chunks(there) == chunks(before) - expired(before)


@pytest.mark.parametrize(("days", "code", "outcome"), [(30, 0, "compliant"), (14, 8, "drift")])
def test_where_lokis_compactor_deletes_we_only_check(command, s3_client, bucket, days, code, outcome):
    load_some(s3_client, bucket)
    empty(s3_client, bucket, expired(keys_of(s3_client, bucket)))
    before = keys_of(s3_client, bucket)
    command.variables |= {
        "LUXIMA_POLICIES__APPLICATION_LOGS__OFFLINE": "false",
        "LUXIMA_POLICIES__APPLICATION_LOGS__RETENTION_DAYS": str(days),
    }
    with run_loki(config_of(bucket, retention="on-720h")) as stub:
        document = command.json(
            "run",
            "application-logs",
            "--as-of",
            AS_OF,
            code=code,
            LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url,
        )
    assert document["policies"][0]["targets"][0]["outcome"] == outcome
    assert keys_of(s3_client, bucket) == before


def test_streams_that_the_compactor_keeps_longer_are_drift(command, s3_client, bucket):
    load_some(s3_client, bucket)
    empty(s3_client, bucket, expired(keys_of(s3_client, bucket)))
    stream = [{"selector": '{app="a"}', "priority": 1, "period": "52w"}]
    config = config_of(bucket, retention="on-720h", **{"limits_config.retention_stream": stream})
    command.variables["LUXIMA_POLICIES__APPLICATION_LOGS__OFFLINE"] = "false"
    with run_loki(config) as stub:
        document = command.json(
            "run", "application-logs", code=8, LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url
        )
    target = document["policies"][0]["targets"][0]
    assert target["outcome"] == "drift"
    assert "364 days" in target["sentence"]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("compactor:\nlimits_config:\n", "is not Loki's configuration"),
        ("[", "cannot be read: it is not YAML"),
        ("ready", "is not Loki's configuration"),
    ],
)
def test_what_is_no_configuration_of_loki_is_told(command, s3_client, bucket, config, sentence):
    command.variables["LUXIMA_POLICIES__APPLICATION_LOGS__OFFLINE"] = "false"
    with run_loki(config) as stub:
        done = command("run", "application-logs", LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url)
    assert done.returncode == 3
    assert f"{stub.url}/config {sentence}" in done.stdout


def test_offline_is_refused_when_loki_answers(command, s3_client, bucket):
    load_some(s3_client, bucket)
    before = keys_of(s3_client, bucket)
    with run_loki(config_of(bucket)) as stub:
        done = command(
            "run", "application-logs", "--as-of", AS_OF, LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url
        )
    assert done.returncode == 4
    assert "not-offline" in done.stdout
    assert keys_of(s3_client, bucket) == before


def test_the_grace_period_comes_from_lokis_own_settings(s3, bucket):
    with run_loki(config_of(bucket)) as stub:
        store = opened_loki(loki_settings(s3, bucket, url=stub.url), clock=lambda: CUTOFF, read_only=True)
    assert store.rules.grace >= timedelta(hours=2)
    store.close()


def test_explain_names_the_chunk_its_day_and_its_rule(command, s3_client, bucket):
    load_some(s3_client, bucket)
    present = keys_of(s3_client, bucket)
    old, young = min(expired(present)), max(KEPT & present)
    assert command.json("explain", "application-logs", old)["rule"] == "expired"
    found = command.json("explain", "application-logs", young)
    assert found["rule"] in {"younger", "expired"}
    assert command.json("explain", "application-logs", "loki_cluster_seed.json")["rule"] == "unknown"
    gone = "acme-id/1234/1a1aeac8b4c:1a1b16bab4d:c5fe53bd"
    assert command.json("explain", "application-logs", gone, code=3)["verdict"] == "absent"
