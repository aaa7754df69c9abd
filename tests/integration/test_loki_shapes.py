"""Small buckets of unusual shapes, written by the test itself: what goes, what stays, and why."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta

import pytest
import requests

from luxima_retention.io.http import Endpoint, Http
from luxima_retention.stores.loki.keys import DAY_MS, milliseconds
from luxima_retention.stores.loki.owner import Loki
from tests.integration.lokibuckets import ACROSS, AS_OF, CUT, OLD, YOUNG, chunk, codes, open_bucket
from tests.servers.loki import config_of, run_loki
from tests.servers.stub import Answer, run_stub


@pytest.fixture
def loki(s3, s3_client, bucket, tmp_path):
    return open_bucket(s3, s3_client, bucket, tmp_path)


@pytest.mark.parametrize(
    ("prefix", "delimiter", "index"),
    [("", "-", "index/"), ("a-b/", "_", "index/"), ("team/logs/", ".", "loki-idx/"), ("", ":", "x/y_z/")],
)
def test_the_delimiter_stands_for_colons_in_chunks_only(loki, prefix, delimiter, index):
    loki.prefix, loki.delimiter, loki.index = prefix, delimiter, index
    loki.command.variables |= {
        "LUXIMA_POLICIES__APPLICATION_LOGS__OBJECT_PREFIX": prefix,
        "LUXIMA_POLICIES__APPLICATION_LOGS__CHUNK_DELIMITER": delimiter,
        "LUXIMA_POLICIES__APPLICATION_LOGS__INDEX_PATH": index,
    }
    loki.usual()
    shared, orphan = chunk(CUT - 2, tenant="a-b_c.d"), chunk(CUT - 9, tenant="e-f")
    loki.table(CUT - 2, None, [shared], name="17954-ingester-0-1795")
    loki.add(shared, orphan)
    done = loki.offline("--sweep")
    assert (done["done"]["destroyed"], codes(done)) == (5, set())
    table = f"{index}index_{CUT}/acme/1-compactor-1-2-a.tsdb.gz"
    assert loki.present() == {loki.wire(ACROSS), loki.wire(YOUNG), table}


@pytest.mark.parametrize("delimiter", ["a", "7", "/", "", "::"])
def test_a_delimiter_that_cannot_be_told_from_numbers_is_refused(loki, delimiter):
    done = loki.command(
        "run", "application-logs", LUXIMA_POLICIES__APPLICATION_LOGS__CHUNK_DELIMITER=delimiter
    )
    assert done.returncode == 2
    assert "chunk_delimiter" in done.stdout + done.stderr


def test_what_a_late_file_names_waits_a_whole_grace_period_again(loki):
    loki.usual()
    first = loki.run()
    assert (first["done"]["destroyed"], first["done"]["condemned"]) == (1, 1)
    loki.wait()
    late = chunk(CUT - 1, 5, checksum=0x99)
    loki.add(late)
    loki.table(CUT - 1, None, [OLD, late], name="1795-ingester-0-17954")
    again = loki.run()
    assert (again["done"]["destroyed"], again["done"]["condemned"]) == (1, 2)
    assert loki.run()["outcome"] == "nothing_to_do"
    assert {OLD.key, late.key} <= loki.present()
    loki.wait()
    assert loki.run()["done"]["destroyed"] == 2
    assert not {OLD.key, late.key} & loki.present()
    assert not loki.lists()


def test_chunks_are_destroyed_on_the_day_on_which_a_longer_tenants_table_expires(loki):
    """The table of a longer period is older than every list, and no sign that a table came back."""
    loki.command.variables["LUXIMA_POLICIES__APPLICATION_LOGS__TENANT_DAYS"] = '{"luxima": 60}'
    loki.usual()
    loki.run()
    loki.wait()
    other = chunk(CUT - 31, tenant="luxima")
    loki.add(other)
    loki.table(CUT - 31, "luxima", [other])
    done = loki.run()
    assert (done["done"]["destroyed"], done["done"]["condemned"]) == (2, 1)
    assert OLD.key not in loki.present()


def test_a_table_that_came_back_unreadable_keeps_what_it_may_name(loki):
    loki.usual()
    loki.run()
    loki.wait()
    name = f"index/index_{CUT - 1}/1795-ingester-0-17954.tsdb.gz"
    loki.put(name, b"not gzip")
    kept = loki.run(code=3)
    assert (kept["survey"]["unknown"], kept["survey"]["locked"]) == (1, 1)
    assert OLD.key in loki.present()
    loki.client.delete_object(Bucket=loki.name, Key=name)
    assert loki.run()["done"]["destroyed"] == 1


def test_a_hold_that_came_between_the_phases_keeps_what_its_index_names(loki):
    """Its table is back: what else the kept file names stays, too."""
    other = chunk(CUT - 1, 4, checksum=4)
    loki.usual()
    loki.add(other)
    loki.table(CUT - 1, "acme", [OLD, other, ACROSS])
    loki.run()
    loki.wait()
    loki.table(CUT - 1, "acme", [OLD, other, ACROSS])
    hold = ("--from", "2026-10-23T04:30:00Z", "--to", "2026-10-23T04:40:00Z", "--reason", "case")
    assert loki.command("hold", "add", "--policy", "application-logs", *hold).returncode == 0
    kept = loki.run()
    assert (kept["outcome"], kept["survey"]["held"]) == ("nothing_to_do", 2)
    assert {OLD.key, other.key} <= loki.present()


def test_a_list_never_leads_to_what_has_not_expired(loki):
    """Edited by hand, or written while the period was shorter."""
    loki.usual()
    loki.run()
    loki.rewrite(lambda members: members["keys"].append(YOUNG.key))
    loki.wait()
    done = loki.run()
    assert done["done"]["destroyed"] == 1
    assert "condemned-too-early" in codes(done)
    assert YOUNG.key in loki.present()
    assert YOUNG.key in str(loki.run()["survey"]["findings"])


@pytest.mark.parametrize(
    "body",
    ['{"v":1,"due":"20', "[]", '{"due":"2026-01-01T00:00:00Z","kib":0,"keys":["loki_cluster_seed.json"]}'],
)
def test_a_list_that_is_none_stops_the_run_with_a_way_out(loki, body):
    loki.usual()
    loki.run()
    before = loki.present()
    loki.client.put_object(Bucket=loki.name, Key=loki.lists()[0], Body=body.encode())
    stopped = loki.run(code=3)
    assert "is not a list of condemned chunks" in stopped["sentence"]
    assert "--sweep" in stopped["hint"]
    assert loki.present() == before


def test_explain_tells_what_a_run_would_do_and_why(loki):
    loki.usual()
    today = milliseconds(datetime.now(UTC)) // DAY_MS
    blocked, orphan, young = chunk(CUT - 5), chunk(CUT - 9), chunk(today - 3)
    loki.add(blocked, orphan, young)
    loki.table(today - 3, "acme", [young])
    loki.put(f"index/index_{CUT - 5}/1795-ingester-0-17954.tsdb.gz", b"not gzip")

    def rule(item, code=0):
        return loki.command.json("explain", "application-logs", item, code=code)["rule"]

    file = "acme/1-compactor-1-2-a.tsdb.gz"
    assert rule(OLD.key) == rule(f"index/index_{CUT - 1}/{file}") == "expired"
    assert rule(young.key) == rule(f"index/index_{today - 3}/{file}") == "younger"
    assert rule(blocked.key) == "kept-index"
    assert rule(f"index/index_{CUT - 5}/1795-ingester-0-17954.tsdb.gz") == "unreadable-index"
    assert rule(orphan.key) == "orphan"
    assert rule("index/delete_requests/delete_requests.gz") == "unknown"
    loki.run(code=3)
    assert rule(OLD.key) == "pending"
    assert rule(f"index/index_{CUT - 1}/{file}", code=3) == "absent"


@pytest.mark.parametrize("arguments", [(), ("--sweep",)])
def test_what_a_waiting_shared_file_names_stays_with_it(loki, arguments):
    """The table after it goes, and names the same chunk; a query over both days must not meet a hole."""
    loki.command.variables["LUXIMA_POLICIES__APPLICATION_LOGS__TENANT_DAYS"] = '{"luxima": 60}'
    across, other = chunk(CUT - 3, 23.5), chunk(CUT - 3, tenant="luxima")
    loki.add(across, other)
    loki.table(CUT - 3, None, [across, other], name="1795-ingester-0-17954")
    loki.table(CUT - 2, "acme", [across])
    done = loki.offline(*arguments, code=3)
    assert (done["done"]["destroyed"], "shared-index" in codes(done)) == (1, True)
    assert done["survey"]["unknown"] == 2, "the shared file, and the expired chunk that it names"
    assert {across.key, other.key} <= loki.present()


def test_a_table_of_a_period_that_is_not_configured_keeps_what_only_a_listing_finds(loki):
    loki.usual()
    strange = chunk(CUT - 7)
    loki.add(strange)
    loki.table(CUT - 7, "acme", [strange], prefix="other_")
    done = loki.offline("--sweep", code=3)
    assert (done["done"]["destroyed"], done["survey"]["unknown"]) == (2, 1)
    assert {"foreign-objects", "unknown-tables"} <= codes(done)
    assert strange.key in loki.present()


def test_tenants_may_be_called_like_loki_s_own_directories(loki):
    tenants = ["fake", "index", f"index_{CUT - 3}", "rules", "delete_requests", "a!b(c)'*", "1.2", "x" * 150]
    gone = [chunk(CUT - 3, tenant=tenant) for tenant in tenants]
    kept = [chunk(CUT + 3, tenant=tenant) for tenant in tenants]
    loki.add(*gone, *kept)
    loki.table(CUT - 3, None, gone, name="1795-ingester-0-17954")
    loki.table(CUT + 3, None, kept, name="1795-ingester-0-17954", version=2)
    done = loki.offline("--sweep")
    assert (done["done"]["destroyed"], codes(done)) == (len(tenants) + 1, set())
    assert {item.key for item in kept} <= loki.present()
    assert not {item.key for item in gone} & loki.present()


def test_a_tenant_that_no_key_may_have_keeps_its_index_file(loki):
    strange, other = chunk(CUT - 2, tenant="tén"), chunk(CUT - 2)
    loki.add(strange, other)
    loki.table(CUT - 2, None, [strange, other], name="1795-ingester-0-17954")
    before = loki.present()
    told = loki.offline("--sweep", code=3)
    assert {"unreadable-index", "strange-tenants"} <= codes(told)
    assert told["survey"]["unknown"] == 2, "the index file, and the chunk below the tenant's name"
    assert loki.present() == before


def test_a_chunk_from_before_the_first_period_has_a_key_of_the_old_form(loki):
    start = date(1970, 1, 1) + timedelta(CUT - 5)
    periods = json.dumps([{"start": start.isoformat(), "schema_version": 13}])
    across = chunk(CUT - 6, 23.5, new=False)
    loki.add(across)
    loki.table(CUT - 5, "acme", [across])
    assert loki.offline(LUXIMA_POLICIES__APPLICATION_LOGS__PERIODS=periods)["done"]["destroyed"] == 2
    assert loki.present() == set()


def test_periods_that_lead_to_keys_of_the_wrong_form_are_refused(loki):
    loki.usual()
    before = loki.present()
    periods = json.dumps([{"start": "2024-01-01", "schema_version": 11}])
    refused = loki.offline(code=4, LUXIMA_POLICIES__APPLICATION_LOGS__PERIODS=periods)
    assert "wrong-key-form" in refused["sentence"]
    assert "periods" in refused["hint"]
    assert loki.present() == before


def test_an_index_whose_chunks_are_nowhere_is_told(loki):
    loki.table(CUT - 1, "acme", [OLD])
    assert "chunks-missing" in codes(loki.offline())


def test_an_offline_sweep_leaves_young_objects_alone(loki):
    loki.add(OLD)
    before = loki.present()
    swept = loki.offline("--sweep", LUXIMA_POLICIES__APPLICATION_LOGS__MIN_OBJECT_AGE="24h")
    assert (swept["outcome"], swept["survey"]["locked"]) == ("nothing_to_do", 1)
    assert loki.present() == before
    done = loki.offline("--sweep")
    assert (done["done"]["destroyed"], done["outcome"]) == (1, "done")
    assert loki.present() == set()
    # That this run has emptied the bucket explains it; the next one only sees that Loki wrote nothing there.
    assert codes(loki.run("--sweep", code=3, LUXIMA_POLICIES__APPLICATION_LOGS__OFFLINE="true")) == {
        "empty-bucket"
    }


@pytest.mark.parametrize(
    "place", ["loki.after_request", "act.after_commit", "engine.after_act", "engine.after_proof"]
)
def test_a_sweep_that_was_killed_once_it_had_emptied_the_bucket_is_finished(loki, place):
    """Nothing is there that could be recognised; what the plan named is gone, and the ledger says why."""
    loki.add(OLD)
    offline = {"LUXIMA_POLICIES__APPLICATION_LOGS__OFFLINE": "true", "LUXIMA_FAILPOINTS": f"{place}=kill"}
    killed = loki.command("run", "application-logs", "--as-of", AS_OF, "--sweep", **offline)
    assert killed.returncode == -9, killed.stdout + killed.stderr
    assert loki.present() == set()
    done = loki.offline("--sweep")
    assert (done["outcome"], done["resumed"], done["proof"]["left"]) == ("done", True, 0)
    assert codes(loki.offline("--sweep", code=3)) == {"empty-bucket"}


def test_a_bucket_that_somebody_else_emptied_is_not_taken_for_the_killed_runs_work(loki):
    loki.add(OLD)
    offline = {"LUXIMA_POLICIES__APPLICATION_LOGS__OFFLINE": "true"}
    killed = loki.command(
        "run",
        "application-logs",
        "--as-of",
        AS_OF,
        "--sweep",
        **offline,
        LUXIMA_FAILPOINTS="engine.after_intent=kill",
    )
    assert killed.returncode == -9, killed.stdout + killed.stderr
    loki.client.delete_object(Bucket=loki.name, Key=OLD.key)
    assert codes(loki.offline("--sweep", code=3)) == {"empty-bucket"}


def test_what_a_delete_marker_hides_is_destroyed_with_the_rest(loki):
    loki.client.put_bucket_versioning(Bucket=loki.name, VersioningConfiguration={"Status": "Enabled"})
    hidden, orphan = chunk(CUT - 1, checksum=5), chunk(CUT - 9)
    loki.usual()
    loki.add(hidden, orphan)
    loki.table(CUT - 1, "acme", [OLD, hidden, ACROSS])
    loki.table(CUT - 7, "acme", [OLD])
    for key in (hidden.key, orphan.key, f"index/index_{CUT - 7}/acme/1-compactor-1-2-a.tsdb.gz"):
        loki.client.delete_object(Bucket=loki.name, Key=key)
    loki.offline("--sweep")
    pages = loki.client.get_paginator("list_object_versions").paginate(Bucket=loki.name)
    left = {
        item["Key"] for page in pages for kind in ("Versions", "DeleteMarkers") for item in page.get(kind, ())
    }
    assert left == {ACROSS.key, YOUNG.key, f"index/index_{CUT}/acme/1-compactor-1-2-a.tsdb.gz"}


def through(loki, tamper):
    """The real service, but for what ``tamper`` answers itself."""
    endpoint = loki.command.variables["LUXIMA_S3__DEFAULT__ENDPOINT_URL"]

    def answer(method, target, headers, body):
        if (own := tamper(method, target, body)) is not None:
            return Answer(200, own, {"Content-Type": "application/xml"})
        given = requests.request(method, f"{endpoint}{target}", headers=headers, data=body, timeout=30)
        kept = {name: given.headers[name] for name in ("Content-Type", "Date") if name in given.headers}
        return Answer(given.status_code, given.content, kept)

    return run_stub(answer)


@pytest.mark.parametrize(
    "page",
    [b"", b"<html>sign in</html>", b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"],
)
def test_an_answer_that_is_no_listing_is_no_empty_bucket(loki, page):
    loki.usual()
    with through(loki, lambda _, target, __: page if "list-type=2" in target else None) as stub:
        stopped = loki.offline(code=3, LUXIMA_S3__DEFAULT__ENDPOINT_URL=stub.url)
    assert "is not whole" in stopped["sentence"]


@pytest.mark.parametrize(
    "entry", [b"", b"<Error><Key>%s</Key><Code>InternalError</Code><Message>try again</Message></Error>"]
)
def test_what_the_service_does_not_confirm_stays_on_its_list(loki, entry):
    loki.usual()

    def tamper(method, _, body):
        if method == "POST" and b"<Key>acme/" in body:
            named = re.findall(rb"<Key>([^<]*)</Key>", body)
            return b"<DeleteResult>%s</DeleteResult>" % b"".join(entry.replace(b"%s", key) for key in named)
        return None

    with through(loki, tamper) as stub:
        failed = loki.offline(code=3, LUXIMA_S3__DEFAULT__ENDPOINT_URL=stub.url)
        assert failed["done"]["destroyed"] == 1
        assert OLD.key in failed["sentence"]
        assert len(loki.lists()) == 1
    moved = "LUXIMA_POLICIES__APPLICATION_LOGS__IDENTITY"
    pinned = f"{loki.command.variables['LUXIMA_S3__DEFAULT__ENDPOINT_URL']}/{loki.name}"
    assert loki.offline(**{moved: pinned})["done"]["destroyed"] == 1
    assert not loki.lists()


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"reject_old_samples": True, "reject_old_samples_max_age": "1w"}, False),
        ({"reject_old_samples": True, "reject_old_samples_max_age": "30d"}, True),
        ({"reject_old_samples": False}, True),
    ],
)
def test_lines_that_may_still_arrive_in_expired_tables_are_told(loki, limits, told):
    config = config_of(loki.name)
    config["limits_config"] |= limits
    config["storage_config"]["boltdb_shipper"]["resync_interval"] = "2h"
    loki.usual()
    with run_loki(config) as stub:
        done = loki.run(LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url)
    assert ("old-samples" in codes(done)) == told
    (pending,) = done["proof"]["pending"]
    wait = datetime.fromisoformat(pending["due"]) - datetime.now(UTC)
    assert timedelta(hours=6) < wait < timedelta(hours=6, minutes=12), (
        "three times its resync_interval and more"
    )


def test_keys_that_a_listing_has_to_escape_are_left_alone_and_told(loki):
    loki.usual()
    odd = {f"index/index_{CUT - 1}/{name}" for name in ("a b+c", "é&<x>", "%41", "acme/ü.tsdb.gz")}
    for key in odd:
        loki.put(key)
    done = loki.offline()
    assert (done["done"]["destroyed"], codes(done)) == (2, {"foreign-objects"})
    assert odd <= loki.present()


def test_something_that_breaks_off_is_somebody_who_may_read():
    with run_stub(lambda *_: Answer(cut=True)) as stub:
        loki = Loki(Http(Endpoint(url=stub.url, setting="loki.url", options="loki.http")))
        assert loki.answers()
    assert not loki.answers()


@pytest.mark.parametrize(
    ("prefix", "days", "code"),
    [
        ("", 90, "lifecycle-too-wide"),
        ("ind", 90, "lifecycle-too-wide"),
        ("index/index_20", 90, "lifecycle-too-wide"),
        ("loki_", 90, "lifecycle-too-wide"),
        ("acme/", 20, "lifecycle-too-short"),
        ("acme/", 45, None),
    ],
)
def test_lifecycle_rules_are_judged_by_what_they_match(loki, prefix, days, code):
    loki.usual()
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": prefix}, "Expiration": {"Days": days}}
    told = {"Rules": [rule]}
    loki.client.put_bucket_lifecycle_configuration(Bucket=loki.name, LifecycleConfiguration=told)
    assert codes(loki.offline("--dry-run")) == ({code} if code else set())
