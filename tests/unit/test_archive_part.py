"""A part in a directory: what is sealed was read back; what fails leaves nothing that counts."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import zstandard

from luxima_retention.config.settings import ArchiveSettings
from luxima_retention.core.errors import ArchiveError, ConfigurationError, StoreError, TamperingFound
from luxima_retention.core.plan import Hold
from luxima_retention.core.sealed import Sealed
from luxima_retention.evidence import codec
from luxima_retention.evidence.archive import Archive, Run, check, open_archive
from luxima_retention.evidence.archive.restore import restore_file
from luxima_retention.io import failpoints
from luxima_retention.io.objects import DirectoryPlace, open_objects
from tests.configured import settings_of

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
RUN = Run(
    policy="audit-logs",
    run_id="0190f7d0-0000-4000-8000-000000000001",
    target="core.audit_log",
    fingerprint="postgresql:7/5/16400",
    cutoff=datetime(2026, 5, 27, tzinfo=UTC),
    form="csv",
    schema=(("id", "bigint"), ("note", "text")),
)


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "archive").mkdir()
    return Archive(DirectoryPlace(tmp_path / "archive"), retention_days=400)


def write(archive, count=1000, number=1, run=RUN):
    part = archive.writer(policy=run.policy, run_id=run.run_id, number=number, form=run.form, now=NOW)
    part.write(b"id,note\n")
    for key in range(count):
        part.write(memoryview(b'%d,"two\nlines"\n' % key))
    return part


def files(archive):
    return sorted(path for path in archive.place.directory.rglob("*") if path.is_file())


def test_a_sealed_part_is_what_any_zstd_can_read(archive):
    sealed = write(archive).seal(1000, first=NOW, last=NOW + timedelta(seconds=1))
    path = archive.place.directory / sealed.name
    plain = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
    assert plain.startswith(b'id,note\n0,"two\nlines"\n')
    assert len(plain) == sealed.raw_bytes
    assert path.stat().st_size == sealed.bytes
    assert codec.decode(Sealed, codec.encode(sealed)) == sealed
    check(archive.place, sealed, "csv")


def test_a_count_that_differs_from_the_store_seals_nothing(archive):
    part = write(archive)
    with pytest.raises(ArchiveError, match="holds 1000 records, the store wrote 999"):
        part.seal(999)
    part.discard()
    assert files(archive) == []


def test_discarding_twice_or_after_sealing_leaves_nothing(archive):
    part = write(archive)
    part.seal(1000)
    part.discard()
    part.discard()
    assert files(archive) == []


@pytest.mark.parametrize("name", ["archive.before_upload", "archive.after_upload", "archive.during_upload"])
def test_a_failure_at_any_step_is_an_archive_error_and_leaves_nothing(archive, monkeypatch, name):
    monkeypatch.setitem(failpoints._armed, name, ("fail", 0))
    part = write(archive)
    with pytest.raises(ArchiveError, match=name):
        part.seal(1000)
    part.discard()
    assert files(archive) == []


def test_a_failure_in_the_thread_reaches_a_store_that_is_still_writing(archive, monkeypatch):
    monkeypatch.setitem(failpoints._armed, "archive.during_upload", ("fail", 2))
    part = write(archive, 0)

    def write_on():
        for _ in range(10_000):
            part.write(b"x" * 65536)

    with pytest.raises(ArchiveError, match=r"archive\.during_upload"):
        write_on()
    part.discard()
    assert files(archive) == []


def test_a_full_disk_is_a_sentence(archive, monkeypatch):
    part = write(archive)

    def full(_data):
        raise OSError(28, "No space left on device")

    disk = SimpleNamespace(write=full, close=part._upload._file.close)
    monkeypatch.setattr(part._upload, "_file", disk)
    with pytest.raises(ArchiveError, match="No space left on device") as caught:
        part.seal(1000)
    assert "free space" in caught.value.hint
    part.discard()
    assert files(archive) == []


@pytest.mark.parametrize("where", ["begin", "middle", "end"])
def test_a_part_that_comes_back_different_is_not_sealed(archive, monkeypatch, where):
    real = DirectoryPlace.read

    def altered(self, name, version=None):
        data = bytearray(b"".join(real(self, name, version)))
        data[{"begin": 6, "middle": len(data) // 2, "end": len(data) - 1}[where]] ^= 1
        yield bytes(data)

    monkeypatch.setattr(DirectoryPlace, "read", altered)
    with pytest.raises(ArchiveError, match="its stored bytes came back as"):
        write(archive).seal(1000)


def test_a_part_that_was_cut_or_continued_is_found(archive):
    sealed = write(archive).seal(1000)
    path = archive.place.directory / sealed.name
    whole = path.read_bytes()
    for damaged in (whole[:-5], whole + b"x", b""):
        path.write_bytes(damaged)
        with pytest.raises(ArchiveError, match=sealed.name):
            check(archive.place, sealed, "csv")
    path.unlink()
    with pytest.raises(ArchiveError, match="No such file"):
        check(archive.place, sealed, "csv")


def test_a_manifest_names_its_parts_and_everything_else_is_an_orphan(archive):
    parts = [write(archive, number=number).seal(1000) for number in (1, 2)]
    orphan = write(archive, number=2).seal(1000)
    manifest = archive.complete(RUN, parts, NOW)
    assert (manifest.items, len(manifest.parts), manifest.size) == (2000, 2, parts[0].bytes + parts[1].bytes)
    assert [found.data for found in archive.manifests("audit-logs")] == [manifest.data]
    assert [stored.name for stored in archive.orphans()] == [orphan.name]
    assert archive.find("0190f7d0").data == manifest.data
    assert archive.complete(RUN, parts, NOW).data == manifest.data
    archive.verify(manifest)
    assert manifest.verified().manifest_sha256 == manifest.sha256


def test_an_archive_that_is_not_there_is_not_found(archive):
    with pytest.raises(ArchiveError, match="no archives match 'x'"):
        archive.find("x")


def test_a_manifest_that_was_changed_is_tampering(archive):
    archive.complete(RUN, [write(archive).seal(1000)], NOW)
    path = next((archive.place.directory / "manifests").rglob("*.json"))
    path.write_bytes(path.read_bytes().replace(b'"items":1000', b'"items":1001', 1))
    with pytest.raises(TamperingFound, match="sums or digests"):
        list(archive.manifests())
    path.write_bytes(b"{}")
    with pytest.raises(TamperingFound, match="is not a manifest"):
        list(archive.manifests())


def test_an_archive_expires_by_its_own_period_and_never_before(archive):
    manifest = archive.complete(RUN, [write(archive).seal(1000)], NOW)
    due = NOW + timedelta(days=400)
    assert manifest.keep_until == due
    assert list(archive.expired(due - timedelta(microseconds=1))) == []
    assert list(archive.expired(due, [Hold(hold_id="H-1", policy="audit-logs")])) == []
    longer = Archive(archive.place, retention_days=401)
    assert list(longer.expired(due)) == []
    shorter = Archive(archive.place, retention_days=1)
    assert list(shorter.expired(due - timedelta(days=1))) == []
    (expired,) = archive.expired(due, [Hold(hold_id="H-2", policy="log-files")])
    archive.destroy(expired)
    archive.destroy(expired)
    assert files(archive) == []


def test_an_orphan_expires_by_its_age(archive):
    write(archive).seal(1000)
    assert list(archive.expired(datetime.now(UTC))) == []
    (expired,) = archive.expired(datetime.now(UTC) + timedelta(days=400))
    archive.destroy(expired)
    assert files(archive) == []


def test_json_lines_come_back_as_a_file_and_csv_with_one_header(archive, tmp_path):
    parts = [write(archive, 3, number).seal(3) for number in (1, 2)]
    manifest = archive.complete(RUN, parts, NOW)
    assert restore_file(archive, manifest, tmp_path / "out.csv") == 6
    rows = b"".join(b'%d,"two\nlines"\n' % key for key in range(3))
    assert (tmp_path / "out.csv").read_bytes() == b"id,note\n" + rows + rows
    with pytest.raises(StoreError, match="File exists"):
        restore_file(archive, manifest, tmp_path / "out.csv")


def test_a_damaged_archive_restores_no_file(archive, tmp_path):
    sealed = write(archive).seal(1000)
    manifest = archive.complete(RUN, [sealed], NOW)
    path = archive.place.directory / sealed.name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArchiveError):
        restore_file(archive, manifest, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_settings_open_the_place_they_name(tmp_path):
    assert open_archive(settings_of()) is None
    opened = open_archive(
        settings_of({"archive": {"url": (tmp_path / "a b").as_uri(), "retention_days": 30}})
    )
    assert opened.place.directory == tmp_path / "a b"
    with pytest.raises(ValueError, match="retention_days is required"):
        ArchiveSettings(url="s3://bucket")
    with pytest.raises(ValueError, match="must begin with"):
        ArchiveSettings(url="ftp://x", retention_days=1)
    with pytest.raises(ValueError, match="object_lock needs"):
        ArchiveSettings(url="file:///x", retention_days=1, object_lock="governance")
    with pytest.raises(ConfigurationError, match="is not a valid place"):
        open_objects("file://host/x")


def test_a_directory_that_is_not_mounted_is_not_an_empty_archive(tmp_path):
    archive = Archive(DirectoryPlace(tmp_path / "missing"), retention_days=400)
    with pytest.raises(ArchiveError, match="it is not there") as caught:
        write(archive)
    assert "mounted" in caught.value.hint
    with pytest.raises(StoreError, match="it is not there"):
        list(archive.manifests())


def test_a_name_cannot_leave_its_directory(archive):
    with pytest.raises(StoreError, match="leaves"):
        archive.place.delete("parts/../../other")
