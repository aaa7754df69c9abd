"""Services like S3, each with what it lacks: the same end everywhere; and requests counted, not guessed."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from luxima_retention.core.plan import Request, decide
from luxima_retention.core.protocol import Work
from tests.configured import opened_loki, s3_section, settings_of
from tests.integration.lokibuckets import ACROSS, CUT, OLD, YOUNG, chunk, codes, open_bucket
from tests.servers.s3_services import Asked, by_host_name, error, service, slow, wants_md5, without

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
KEPT = {ACROSS.key, YOUNG.key, f"index/index_{CUT}/acme/1-compactor-1-2-a.tsdb.gz"}


@pytest.fixture
def loki(s3, s3_client, bucket, tmp_path):
    return open_bucket(s3, s3_client, bucket, tmp_path)


def google(name, headers, body, number):
    """Interoperability: DeleteObjects is taken for something else, and nobody knows Content-MD5 there."""
    return error(400, "MalformedPOSTRequest") if name == "DeleteObjects" else None


SERVICES = {
    "Cloudflare R2": without("GetBucketVersioning", "ListObjectVersions"),
    "Google interoperability": google,
    "Huawei OBS, old": without("DeleteObjects", status=405, code="MethodNotAllowed"),
    "Content-MD5 only": wants_md5,
    "busy": slow(3),
}


@pytest.mark.parametrize("quirk", SERVICES.values(), ids=SERVICES)
def test_both_phases_come_to_the_same_end_with_what_a_service_lacks(loki, s3, quirk):
    loki.usual()
    with service(s3, quirk) as stub:
        loki.command.variables["LUXIMA_S3__DEFAULT__ENDPOINT_URL"] = stub.url
        first = loki.run()
        assert (first["outcome"], first["done"]["condemned"]) == ("pending", 1)
        loki.wait()
        second = loki.run()
    assert second["done"]["destroyed"] == 1
    assert loki.present() == KEPT
    assert not loki.lists(), "a list that cannot go would be met by every run for ever"


@pytest.mark.parametrize("code", ["SecondLevelDomainForbidden", "PathStyleDomainForbidden"])
def test_a_service_that_has_buckets_as_host_names_only_is_reached(loki, s3, code):
    loki.usual()
    with by_host_name(s3, "s3.example.test", code) as stub:
        done = loki.offline(
            LUXIMA_S3__DEFAULT__ENDPOINT_URL="http://s3.example.test",
            HTTP_PROXY=stub.url,
            http_proxy=stub.url,
        )
    assert done["done"]["destroyed"] == 2
    assert loki.present() == KEPT


def test_an_error_of_one_object_among_single_deletions_stays_on_its_list(loki, s3):
    loki.usual()
    denied = {"DeleteObjects": error(501, "NotImplemented")}

    def quirk(name, headers, body, number):
        if name == "DeleteObject" and number == 2:
            return error(403, "AccessDenied")
        return denied.get(name)

    with service(s3, quirk) as stub:
        failed = loki.offline(code=3, LUXIMA_S3__DEFAULT__ENDPOINT_URL=stub.url)
    assert failed["done"]["destroyed"] == 1
    assert OLD.key in failed["sentence"]
    assert len(loki.lists()) == 1


@pytest.mark.parametrize("versioned", [True, False])
def test_requests_grow_with_pages_not_with_chunks(loki, s3, versioned):
    if versioned:
        loki.client.put_bucket_versioning(Bucket=loki.name, VersioningConfiguration={"Status": "Enabled"})
    gone = [chunk(CUT - 1, checksum=number) for number in range(1, 301)]
    loki.usual()
    loki.add(*gone)
    loki.table(CUT - 1, "acme", gone)
    asked = Asked()
    with service(s3, lambda *_: None, asked) as stub:
        done = loki.offline(LUXIMA_S3__DEFAULT__ENDPOINT_URL=stub.url)
    assert done["done"]["destroyed"] == 301
    lists = asked.counts.get("ListObjects", 0) + asked.counts.get("ListObjectVersions", 0)
    assert lists < 90, asked.counts
    assert asked.counts["DeleteObjects"] < 10


def test_what_was_not_there_is_not_called_destroyed(loki):
    loki.usual()
    ghosts = [chunk(CUT - 2, checksum=number) for number in range(1, 31)]
    loki.table(CUT - 2, "acme", ghosts)
    loki.add(ghosts[7])
    done = loki.offline()
    assert done["done"]["destroyed"] == 4, "two index files, and the two chunks that were there"
    assert done["done"]["skipped"] == {"vanished": 29}
    assert not loki.lists()


def test_a_storm_does_not_hold_a_run_that_is_told_to_stop(loki, s3):
    """The service puts everything off from the first deletion on; SIGTERM comes during the first wait."""
    loki.usual()
    storm, stop, waits = [], [], []

    def quirk(name, headers, body, number):
        if name == "DeleteObjects":
            storm.append(name)
        return error(503, "SlowDown") if storm else None

    def wait(seconds):
        waits.append(seconds)
        stop.append(True)

    with service(s3, quirk) as stub:
        section = s3_section(s3, endpoint_url=stub.url)
        chosen = {"buckets": [loki.name], "offline": True, "min_object_age": "0s"}
        settings = settings_of({"policies": {"application-logs": chosen}, "s3": {"default": section}})
        store = opened_loki(settings, clock=lambda: NOW, read_only=False)
        request = Request(
            policy="application-logs",
            retention_days=30,
            cutoff=datetime(2026, 10, 24, tzinfo=UTC),
            now=NOW,
        )
        plan = decide(request, store.survey(request), cutoff_basis="as-of", disposition="destroy")
        work = Work(
            run_id="00000000-0000-4000-8000-000000000001",
            token=1,
            resumed=False,
            holds=tuple,
            stopping=lambda: bool(stop),
            wait=wait,
        )
        begun = time.monotonic()
        outcomes = []
        for batch in store.batches(plan, work):
            batch.stage(None)
            outcomes.append(batch.commit())
        store.close()
    assert [(outcome.items, outcome.failures) for outcome in outcomes] == [(0, ())]
    assert len(waits) == 1
    assert time.monotonic() - begun < 20
    assert OLD.key in loki.present()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"S3__DEFAULT__ACCESS_KEY_ID": "", "S3__DEFAULT__SECRET_ACCESS_KEY": ""},
            "no AWS credentials found",
        ),
        ({"POLICIES__APPLICATION_LOGS__BUCKETS": "no-such-bucket"}, "bucket no-such-bucket"),
        ({"S3__DEFAULT__ENDPOINT_URL": "http://127.0.0.1:9"}, "no usable answer"),
    ],
)
def test_doctor_says_in_a_sentence_why_a_bucket_cannot_be_read(loki, variables, words):
    named = {f"LUXIMA_{name}": value for name, value in variables.items()}
    told = loki.command("doctor", **named)
    assert told.returncode == 3, told.stdout
    assert words in " ".join(told.stdout.split())


def test_a_bucket_of_several_that_is_empty_is_told(loki, s3_client):
    other = f"{loki.name}-other"
    s3_client.create_bucket(Bucket=other)
    try:
        loki.usual()
        done = loki.offline(LUXIMA_POLICIES__APPLICATION_LOGS__BUCKETS=f"{loki.name},{other}")
        assert codes(done) == {"empty-bucket"}
        assert done["done"]["destroyed"] == 2
    finally:
        s3_client.delete_bucket(Bucket=other)
