"""Archives in S3: rows that come back to the last byte, uploads that fail, locks and holds."""

import os
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from luxima_retention.core.deadline import Deadline
from luxima_retention.core.errors import (
    ArchiveError,
    ConfigurationError,
    RunStopped,
    StoreError,
    TamperingFound,
)
from luxima_retention.core.plan import Hold
from luxima_retention.evidence.archive import Run, check, open_archive
from luxima_retention.evidence.archive.drill import rehearse, sample
from luxima_retention.evidence.archive.restore import restore_table
from luxima_retention.io.objects import Access, open_objects, put
from luxima_retention.run.ends import try_archive
from tests.configured import s3_section, settings_of
from tests.integration.test_loki_services import SERVICES
from tests.servers.s3 import READER_ACCESS_KEY, READER_SECRET_KEY
from tests.servers.s3_services import Asked, service, slow

NOW = datetime.now(UTC).replace(microsecond=0)
COLUMNS = (
    "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
    " WHERE attrelid = 'public.every_type'::regclass AND attnum > 0 ORDER BY attnum"
)
EVERY_TYPE = (Path(__file__).parents[1] / "data/archive/every_type.sql").read_text()


@pytest.fixture
def archive(s3, bucket):
    return open_archive(settings(s3, bucket))


def settings(s3, bucket, **changed):
    named = ("access_key_id", "secret_access_key", "endpoint_url")
    keys = {name: changed.pop(name) for name in named if name in changed}
    archive = {"url": f"s3://{bucket}/retention/archive", "retention_days": 400, **changed}
    return settings_of({"archive": archive, "s3": {"default": s3_section(s3, **keys)}})


def run_of(schema=(), form="csv"):
    return Run(
        policy="audit-logs",
        run_id="0190f7d0-0000-4000-8000-000000000001",
        target="public.every_type",
        fingerprint="postgresql:7/5/16400",
        cutoff=NOW - timedelta(days=180),
        form=form,
        schema=schema,
    )


def part_of(archive, data, number=1):
    """A part with so many JSON lines that their bytes are at least ``data``."""
    part = archive.writer(policy="audit-logs", run_id=run_of().run_id, number=number, form="jsonl", now=NOW)
    for line in data:
        part.write(line + b"\n")
    return part


def noise(megabytes):
    """Lines that do not compress."""
    return [os.urandom(512 * 1024).replace(b"\n", b" ") for _ in range(2 * megabytes)]


def keys(s3_client, bucket):
    return [item["Key"] for item in s3_client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_rows_of_every_type_come_back_to_the_last_byte(archive, database):
    connection = database.connect()
    connection.execute(EVERY_TYPE)
    connection.execute("CREATE TABLE public.kept AS SELECT * FROM public.every_type")
    schema = tuple(connection.execute(COLUMNS).fetchall())
    parts = [delete_into(archive, connection, low, low + 300) for low in (1, 301, 601)]
    manifest = archive.complete(run_of(schema), parts, NOW)
    connection.execute("SET datestyle = 'SQL, DMY'; SET intervalstyle = 'sql_standard'")
    for into in ("scratch.every_type", "public.every_type"):
        assert restore_table(archive, manifest, connection, into) == 900
        assert differences(connection, into) == 0


def delete_into(archive, connection, low, high):
    part = archive.writer(policy="audit-logs", run_id=run_of().run_id, number=low, form="csv", now=NOW)
    statement = (
        f"COPY (DELETE FROM public.every_type WHERE id >= {low} AND id < {high} RETURNING *)"
        " TO STDOUT WITH (FORMAT csv, HEADER true)"
    )
    with connection.cursor().copy(statement) as rows:
        for row in rows:
            part.write(row)
    return part.seal(high - low)


def differences(connection, table):
    """Rows that are not the same in both tables, by their binary form."""
    (count,) = connection.execute(
        f"SELECT count(*) FROM public.kept k FULL JOIN {table} t ON k.id = t.id"
        " WHERE record_send(k) IS DISTINCT FROM record_send(t)"
    ).fetchone()
    return count


def test_a_row_that_is_there_already_rolls_the_whole_restore_back(archive, database):
    connection = database.connect()
    connection.execute(EVERY_TYPE)
    manifest = archive.complete(run_of(), [delete_into(archive, connection, 1, 301)], NOW)
    connection.execute("INSERT INTO public.every_type (id) VALUES (250)")
    with pytest.raises(StoreError, match="is as it was: duplicate key"):
        restore_table(archive, manifest, connection, "public.every_type")
    assert connection.execute("SELECT min(id) FROM public.every_type").fetchone() == (250,)


def test_a_damaged_part_rolls_the_whole_restore_back(archive, database, s3_client, bucket):
    connection = database.connect()
    connection.execute(EVERY_TYPE)
    parts = [delete_into(archive, connection, low, low + 300) for low in (1, 301)]
    manifest = archive.complete(run_of((("id", "bigint"),)), parts, NOW)
    key = f"retention/archive/{parts[1].name}"
    body = s3_client.get_object(Bucket=bucket, Key=f"retention/archive/{parts[0].name}")["Body"].read()
    s3_client.put_object(Bucket=bucket, Key=key, Body=body)
    with pytest.raises(ArchiveError, match="its stored bytes came back as"):
        restore_table(archive, manifest, connection, "public.every_type")
    assert connection.execute("SELECT min(id) FROM public.every_type").fetchone() == (601,)
    with pytest.raises(TamperingFound, match=parts[1].name):
        archive.verify(manifest)
    s3_client.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(TamperingFound, match="is missing from s3://"):
        archive.verify(manifest)


@pytest.mark.parametrize("kind", ["text); DROP TABLE public.every_type; --", "no_such_type", "text, x text"])
def test_a_type_that_is_more_than_a_type_is_refused(archive, database, kind):
    connection = database.connect()
    connection.execute(EVERY_TYPE)
    manifest = archive.complete(run_of((("id", kind),)), [delete_into(archive, connection, 1, 301)], NOW)
    with pytest.raises(StoreError, match=r"does not know|as it was"):
        restore_table(archive, manifest, connection, "scratch.t")
    assert connection.execute("SELECT count(*) FROM public.every_type").fetchone() == (600,)


def test_a_table_must_be_named_with_its_schema(archive, database):
    manifest = archive.complete(run_of(), [], NOW)
    with pytest.raises(ConfigurationError, match=r"write schema\.table|is not a table"):
        restore_table(archive, manifest, database.connect(), "every_type")


def test_a_part_of_many_megabytes_goes_up_in_pieces(archive):
    lines = noise(20)
    sealed = part_of(archive, lines).seal(len(lines))
    assert sealed.bytes > 19_000_000
    check(archive.place, sealed, "jsonl")


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_an_upload_that_fails_at_any_piece_leaves_nothing(archive, s3_client, bucket, monkeypatch, failing):
    real = archive.place.client.upload_part

    def upload_part(**options):
        if options["PartNumber"] == failing:
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "UploadPart")
        return real(**options)

    monkeypatch.setattr(archive.place.client, "upload_part", upload_part)
    lines = noise(20)
    part = part_of(archive, [])
    with pytest.raises(ArchiveError, match="S3 answered ServiceUnavailable"):
        write_and_seal(part, lines)
    part.discard()
    assert keys(s3_client, bucket) == []
    assert "Uploads" not in s3_client.list_multipart_uploads(Bucket=bucket)


def write_and_seal(part, lines):
    for line in lines:
        part.write(line + b"\n")
    part.seal(len(lines))


def test_discarding_a_half_uploaded_part_aborts_it(archive, s3_client, bucket):
    part = part_of(archive, noise(20))
    part.discard()
    assert keys(s3_client, bucket) == []
    assert "Uploads" not in s3_client.list_multipart_uploads(Bucket=bucket)


def test_a_key_that_may_not_write_is_a_sentence_without_its_secret(s3, bucket):
    keys_of_reader = {"access_key_id": READER_ACCESS_KEY, "secret_access_key": READER_SECRET_KEY}
    reader = open_archive(settings(s3, bucket, **keys_of_reader))
    with pytest.raises(ArchiveError, match="AccessDenied") as caught:
        part_of(reader, [b"{}"]).seal(1)
    assert "PutObject" in caught.value.hint
    assert READER_SECRET_KEY not in f"{caught.value} {caught.value.hint}"


@pytest.fixture
def locked_bucket(s3, request):
    """A bucket with Object Lock; what is locked in it outlives the test."""
    name = f"locked-{os.getpid()}-{abs(hash(request.node.name)) % 10**6}"
    with closing(s3.client()) as client:
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def test_a_locked_archive_cannot_be_destroyed_before_its_date(s3, s3_client, locked_bucket):
    archive = open_archive(settings(s3, locked_bucket, object_lock="compliance"))
    sealed = part_of(archive, [b"{}"]).seal(1)
    manifest = archive.complete(run_of(form="jsonl"), [sealed], NOW)
    assert sealed.version
    told = s3_client.get_object_retention(
        Bucket=locked_bucket, Key=f"retention/archive/{sealed.name}", VersionId=sealed.version
    )["Retention"]
    assert (told["Mode"], told["RetainUntilDate"]) == ("COMPLIANCE", manifest.keep_until)
    (expired,) = archive.expired(manifest.keep_until)
    with pytest.raises(StoreError, match="AccessDenied") as caught:
        archive.destroy(expired)
    assert "locked" in caught.value.hint
    archive.verify(manifest)


def test_a_versioned_bucket_keeps_nothing_of_an_expired_archive(s3, s3_client, bucket):
    s3_client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    archive = open_archive(settings(s3, bucket))
    manifest = archive.complete(run_of(form="jsonl"), [part_of(archive, [b"{}"]).seal(1)], NOW)
    archive.complete(run_of(form="jsonl"), manifest.parts, NOW)
    (expired,) = archive.expired(manifest.keep_until)
    archive.destroy(expired)
    left = s3_client.list_object_versions(Bucket=bucket)
    assert left.get("Versions", []) + left.get("DeleteMarkers", []) == []


def test_a_legal_hold_is_mirrored_and_lifted(s3, s3_client, locked_bucket):
    archive = open_archive(settings(s3, locked_bucket, mirror_holds=True))
    sealed = part_of(archive, [b"{}"]).seal(1)
    archive.complete(run_of(form="jsonl"), [sealed], NOW)

    def status():
        return s3_client.get_object_legal_hold(Bucket=locked_bucket, Key=f"retention/archive/{sealed.name}")[
            "LegalHold"
        ]["Status"]

    assert archive.mirror([Hold(hold_id="H-1", policy="audit-logs")]) == 2
    assert status() == "ON"
    assert archive.mirror([Hold(hold_id="H-2", policy="log-files")]) == 0
    assert status() == "OFF"


@pytest.mark.parametrize("quirk", SERVICES.values(), ids=SERVICES)
def test_an_archive_and_an_anchor_live_with_what_a_service_lacks(s3, bucket, quirk):
    with service(s3, quirk) as stub:
        archive = open_archive(settings(s3, bucket, endpoint_url=stub.url))
        try_archive(archive)
        sealed = part_of(archive, [b"{}"] * 3).seal(3, first=NOW, last=NOW)
        manifest = archive.complete(run_of(form="jsonl"), [sealed], NOW)
        assert [item.name for item in archive.manifests("audit-logs")] == [manifest.name]
        assert b"".join(archive.place.read(sealed.name))
        put(archive.place, "anchor/000000000001-a.txt", b"a note")
        assert list(archive.place.versions("anchor/")) == [("anchor/000000000001-a.txt", None)]
        for name in (sealed.name, manifest.name, "anchor/000000000001-a.txt"):
            archive.place.delete(name)
        assert list(archive.place.stored("")) == []


def test_a_storm_is_not_sat_out_once_the_run_should_end(s3, bucket):
    asked, over = Asked(), []
    storm = slow(1)

    def quirk(name, headers, body, number):
        if name != "PutObject":
            return None
        over.append(True)
        return storm(name, headers, body, number)

    with service(s3, quirk, asked) as stub:
        section = s3_section(s3, endpoint_url=stub.url)
        deadline = Deadline(stopping=lambda: bool(over))
        place = open_objects(f"s3://{bucket}/x", Access(**section, deadline=deadline))
        with pytest.raises(RunStopped, match="was busy: the run was told to stop"):
            put(place, "a", b"b")
    assert asked.counts["PutObject"] == 1


def test_listing_shows_archives_and_orphans(archive):
    named = part_of(archive, [b"{}"]).seal(1)
    orphan = part_of(archive, [b"{}"], number=2).seal(1)
    manifest = archive.complete(run_of(form="jsonl"), [named], NOW)
    assert [found.data for found in archive.manifests()] == [manifest.data]
    assert [stored.name for stored in archive.orphans("audit-logs")] == [orphan.name]


def test_a_place_is_tried_without_leaving_anything_and_a_key_that_may_not_write_is_told(s3, bucket, archive):
    try_archive(archive)
    pending = archive.place.client.list_multipart_uploads(Bucket=bucket)
    assert not pending.get("Uploads")
    assert not list(archive.place.stored(""))
    reader = {"access_key_id": READER_ACCESS_KEY, "secret_access_key": READER_SECRET_KEY}
    with pytest.raises(StoreError, match="AccessDenied"):
        try_archive(open_archive(settings(s3, bucket, **reader)))


def test_a_drill_restores_every_type_to_the_last_byte_and_leaves_nothing(archive, database):
    connection = database.connect()
    connection.execute(EVERY_TYPE)
    columns = connection.execute(COLUMNS).fetchall()
    parts = [delete_into(archive, connection, low, low + 300) for low in (1, 301)]
    manifest = archive.complete(run_of(tuple(columns)), parts, NOW)
    connection.autocommit = True
    (chosen,) = sample([manifest])
    assert rehearse(archive, chosen, connection) == "pg_temp.retention_drill"
    changed = replace(chosen, parts=(replace(chosen.parts[0], raw_sha256="00" * 32),))
    with pytest.raises((TamperingFound, ArchiveError)):
        rehearse(archive, changed, connection)
    assert rehearse(archive, chosen, connection)
    found = connection.execute("SELECT count(*) FROM pg_class WHERE relname = 'retention_drill'")
    assert found.fetchone() == (0,)
