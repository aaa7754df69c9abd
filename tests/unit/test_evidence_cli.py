"""The commands ``ledger`` and ``archive`` over a ledger in a file and an archive in a directory."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from luxima_retention.cli import archive as archive_cli
from luxima_retention.cli import ledger as ledger_cli
from luxima_retention.config.settings import ArchiveSettings, LedgerSettings
from luxima_retention.core import clock
from luxima_retention.core.errors import ArchiveError, ConfigurationError, TamperingFound
from luxima_retention.core.plan import Hold
from luxima_retention.evidence import codec
from luxima_retention.evidence.archive import Run, open_archive
from luxima_retention.evidence.ledger.checkpoint import Signer, open_anchors, seal
from luxima_retention.evidence.ledger.file import FileLedger
from tests.configured import settings_of
from tests.ledgers import event

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
RUN = "0190f7d0-0000-4000-8000-000000000001"


@pytest.fixture
def home(tmp_path):
    """Settings of a small installation, with a ledger of three entries and one archived run."""
    for name in ("archive", "anchor"):
        (tmp_path / name).mkdir()
    home = SimpleNamespace(
        directory=tmp_path,
        settings=settings_of(
            {
                "ledger": {
                    "path": str(tmp_path / "ledger.jsonl"),
                    "key_file": str(tmp_path / "key.pem"),
                    "anchors": [(tmp_path / "anchor").as_uri()],
                },
                "archive": {"url": (tmp_path / "archive").as_uri(), "retention_days": 400},
            }
        ),
        held=(),
    )
    home.holds = lambda: home.held
    home.ledger = FileLedger(tmp_path / "ledger.jsonl")
    home.archive = open_archive(home.settings)
    home.ledger.append(event("run.started", run_id=RUN), policy="audit-logs", at=NOW)
    home.manifest = archived(home)
    home.ledger.append(home.manifest.verified(), policy="audit-logs", at=NOW)
    home.ledger.append(event("run.completed", run_id=RUN, planned=2), policy="audit-logs", at=NOW)
    return home


def archived(home):
    run = Run(
        policy="audit-logs", run_id=RUN, target="core.audit_log", fingerprint="x", cutoff=NOW, form="csv"
    )
    part = home.archive.writer(policy="audit-logs", run_id=RUN, number=1, form="csv", now=NOW)
    part.write(b"id,note\n1,a\n2,b\n")
    return home.archive.complete(run, [part.seal(2)], NOW)


def invoke(home, group, *arguments):
    """What the command printed; what it raised goes on, as to the program's own handler."""
    done = CliRunner().invoke(group.command, list(arguments), obj=home, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def raised(home, group, *arguments):
    done = CliRunner().invoke(group.command, list(arguments), obj=home)
    assert done.exit_code == 1
    return done.exception


def test_entries_are_listed_for_people_and_as_the_bytes_that_are_hashed(home):
    assert "audit-logs" in invoke(home, ledger_cli, "list", "--kind", "run.completed")
    assert "planned=2" in invoke(home, ledger_cli, "list", "--after", "2")
    lines = invoke(home, ledger_cli, "list", "--output", "json").encode()
    assert lines == home.ledger.path.read_bytes()
    assert invoke(home, ledger_cli, "list", "--policy", "metrics") == ""


def test_a_ledger_without_a_key_is_whole_but_unsigned(home):
    said = unverified(home)
    assert "in agreement with itself, and not verified: 3 entries" in said
    assert "0 of them signed, 0 checkpoints" in said
    assert "not proved the ledger is not signed" not in said, "a key file is configured"


def unverified(home):
    """What ``ledger verify`` says where no key is pinned."""
    said = invoke(home, ledger_cli, "verify")
    assert "in agreement with itself, and not verified" in said
    return said


def test_a_key_is_made_signs_and_is_verified(home):
    key = invoke(home, ledger_cli, "keygen").strip()
    assert key.startswith("luxima-retention+")
    assert home.ledger.head().kind == "key.created"
    result = json.loads(invoke(home, ledger_cli, "verify", "--key", key, "--output", "json"))
    assert (result["entries"], result["signed"], result["pinned"], result["checkpoints"]) == (4, 4, True, 1)
    assert "not proved no key is pinned" in unverified(home)
    invoke(home, ledger_cli, "verify", "--key", key, "--record")
    assert home.ledger.head().kind == "ledger.verified"
    assert home.ledger.head().body["gaps"] == ["no-pin", "no-witness"]
    result = json.loads(invoke(home, ledger_cli, "verify", "--key", key, "--output", "json"))
    assert (result["entries"], result["signed"]) == (5, 5)
    assert [gap["code"] for gap in result["gaps"]] == ["no-witness"]
    assert isinstance(raised(home, ledger_cli, "keygen"), ConfigurationError)


def test_a_rotated_key_is_verified_from_the_first(home):
    first = invoke(home, ledger_cli, "keygen").strip()
    second = invoke(home, ledger_cli, "keygen", "--rotate", str(home.directory / "next.pem")).strip()
    result = json.loads(invoke(home, ledger_cli, "verify", "--key", first, "--output", "json"))
    assert (result["signed"], result["key"]) == (5, second)


def test_a_kept_checkpoint_is_held_against_the_ledger(home, tmp_path):
    invoke(home, ledger_cli, "keygen")
    kept = tmp_path / "kept.txt"
    kept.write_text(next(home.ledger.notes()).replace("\n4\n", "\n3\n"))
    error = raised(home, ledger_cli, "verify", "--checkpoint", str(kept))
    assert isinstance(error, TamperingFound)
    assert "kept.txt covers 3 entries with another root" in str(error)


def test_a_bundle_is_exported(home):
    invoke(home, ledger_cli, "keygen")
    invoke(home, ledger_cli, "export", str(home.directory / "bundle"))
    assert (home.directory / "bundle/ledger.jsonl").read_bytes() == home.ledger.path.read_bytes()
    assert (home.directory / "bundle/key.txt").exists()


def test_archives_are_listed_with_their_orphans(home):
    orphan = home.archive.writer(policy="audit-logs", run_id=RUN, number=2, form="csv", now=NOW)
    orphan.write(b"id,note\n")
    name = orphan.seal(0).name
    said = invoke(home, archive_cli, "list")
    assert f"{RUN}  audit-logs  core.audit_log  before 2026-11-23  2 records" in said
    assert f"orphan  {name}" in said
    result = json.loads(invoke(home, archive_cli, "list", "--output", "json"))
    assert (result["archives"][0]["items"], result["orphans"]) == (2, [name])
    assert invoke(home, archive_cli, "list", "--policy", "log-files") == ""


def test_archives_are_verified_against_the_ledger(home):
    assert "whole" in invoke(home, archive_cli, "verify")
    result = json.loads(invoke(home, archive_cli, "verify", RUN[:8], "--output", "json"))
    assert (result["archives"][0]["items"], result["archives"][0]["state"]) == (2, "whole")
    assert "whole" in invoke(home, archive_cli, "verify", "--record")
    body = {
        "runs": 1,
        "whole": 1,
        "broken": [],
        "broken_count": 0,
        "unknown": [],
        "unknown_count": 0,
        "version": 1,
    }
    assert (home.ledger.head().kind, home.ledger.head().body) == ("archive.checked", body)
    home.archive.complete(home.manifest.run, home.manifest.parts, NOW + timedelta(days=1))
    assert "the ledger names another one" in refused(home, "verify")
    assert "no archive matches 'x'" in str(raised(home, archive_cli, "verify", "x"))


def second(home):
    """Another archived run of two parts, in place and in the ledger."""
    run = replace(home.manifest.run, run_id=RUN[:-1] + "2")
    parts = []
    for number in (1, 2):
        part = home.archive.writer(policy="audit-logs", run_id=run.run_id, number=number, form="csv", now=NOW)
        part.write(b"id,note\n%d,x\n" % number)
        parts.append(part.seal(1))
        body = {"run_id": run.run_id, "number": number, "state": "done", "items": 1}
        home.ledger.append(
            event("batch", **{**body, "part": codec.encode(parts[-1])}), policy="audit-logs", at=NOW
        )
    manifest = home.archive.complete(run, parts, NOW)
    home.ledger.append(manifest.verified(), policy="audit-logs", at=NOW)
    return manifest


def refused(home, *arguments):
    """What ``archive verify`` told before it ended with 6."""
    done = CliRunner().invoke(archive_cli.command, list(arguments), obj=home)
    assert isinstance(done.exception, TamperingFound), done.exception
    return done.stdout


def test_each_thing_that_the_archive_lost_is_named_and_the_rest_is_still_looked_at(home):
    lost, files = second(home), home.directory / "archive"
    kept, gone = ((files / part.name) for part in lost.parts)
    data = gone.read_bytes()
    gone.unlink()
    said = refused(home, "verify")
    assert f"broken   {lost.run.run_id}" in said
    assert f"archive part {lost.parts[1].name} is missing from" in said
    assert f"whole    {RUN}" in said
    gone.write_bytes(data[:-1])
    kept.write_bytes(b"rubbish")
    said = refused(home, "verify")
    assert all(part.name in said for part in lost.parts)
    gone.write_bytes(data)
    kept.unlink()
    (files / lost.name).unlink()
    said = refused(home, "verify", "--record")
    assert f"the manifest {lost.name} of run {lost.run.run_id} is missing" in said
    assert f"archive part {lost.parts[0].name} is missing" in said
    assert home.ledger.head().body["broken"] == [lost.name]


def test_an_emptied_archive_is_told_run_by_run(home):
    lost = second(home)
    shutil.rmtree(home.directory / "archive")
    (home.directory / "archive").mkdir()
    said = refused(home, "verify")
    assert said.count("broken") == 2
    assert home.manifest.name in said
    assert lost.name in said


def test_an_expired_archive_is_not_looked_for(home):
    body = {"run_id": RUN, "manifest": home.manifest.name, "manifest_sha256": home.manifest.sha256}
    home.ledger.append(event("archive.expired", **{**body, "state": "intent"}), policy="audit-logs", at=NOW)
    assert isinstance(raised(home, archive_cli, "verify"), ArchiveError)
    shutil.rmtree(home.directory / "archive")
    (home.directory / "archive").mkdir()
    home.ledger.append(event("archive.expired", **{**body, "state": "result"}), policy="audit-logs", at=NOW)
    assert invoke(home, archive_cli, "verify") == ""


def test_a_run_that_archived_and_has_no_manifest_is_told_once_it_has_ended(home):
    run_id = RUN[:-1] + "3"
    part = home.archive.writer(policy="audit-logs", run_id=run_id, number=1, form="csv", now=NOW)
    part.write(b"id\n1\n")
    sealed = part.seal(1)
    body = {"run_id": run_id, "number": 1, "items": 1}
    home.ledger.append(
        event("batch", **{**body, "state": "intent", "part": codec.encode(sealed)}),
        policy="audit-logs",
        at=NOW,
    )
    home.ledger.append(event("batch", **{**body, "state": "result"}), policy="audit-logs", at=NOW)
    assert f"whole    {run_id}" in invoke(home, archive_cli, "verify")
    home.ledger.append(event("run.reconciled", run_id=run_id), policy="audit-logs", at=NOW)
    assert f"run {run_id} archived 1 parts, but no entry names a manifest" in refused(home, "verify")


def test_a_drill_without_a_database_decodes_a_part_and_is_entered(home):
    assert f"same     {RUN}  audit-logs  2 records" in invoke(home, archive_cli, "drill")
    assert (home.ledger.head().kind, home.ledger.head().body["outcome"]) == ("archive.drilled", "same")
    (home.directory / "archive" / home.manifest.parts[0].name).write_bytes(b"rubbish")
    assert isinstance(raised(home, archive_cli, "drill"), TamperingFound)
    assert home.ledger.head().body["outcome"] == "differs"


def test_an_archive_that_the_ledger_does_not_know_is_tampering(home):
    home.ledger.path.write_bytes(b"")
    assert "does not know it" in refused(home, "verify")


def test_an_archive_is_restored_to_a_file_and_the_ledger_says_so(home):
    path = home.directory / "out.csv"
    assert "2 records of core.audit_log restored" in invoke(
        home, archive_cli, "restore", RUN, "--to", str(path)
    )
    assert path.read_bytes() == b"id,note\n1,a\n2,b\n"
    assert home.ledger.head().kind == "archive.restored"


@pytest.mark.parametrize("arguments", [(), ("--into", "a.b", "--to", "x")])
def test_a_restore_needs_one_place(home, arguments):
    assert "needs one destination" in str(raised(home, archive_cli, "restore", RUN, *arguments))


def test_an_expired_archive_goes_between_two_entries(home, monkeypatch):
    monkeypatch.setattr(clock, "system_clock", lambda: NOW + timedelta(days=400))
    home.held = (Hold(hold_id="H-1", policy="audit-logs"),)
    assert invoke(home, archive_cli, "expire") == ""
    home.held = ()
    assert "would be deleted" in invoke(home, archive_cli, "expire", "--dry-run")
    assert list(home.archive.manifests())
    result = json.loads(invoke(home, archive_cli, "expire", "--output", "json"))
    assert len(result["destroyed"]) == 2
    assert list(home.archive.manifests()) == []
    states = [entry.body["state"] for entry in home.ledger.entries(kinds={"archive.expired"})]
    assert states == ["intent", "result"]
    assert invoke(home, archive_cli, "expire") == ""


def test_nothing_configured_is_a_sentence(home):
    home.settings = home.settings.model_copy(update={"archive": ArchiveSettings()})
    assert "no archive is configured" in str(raised(home, archive_cli, "list"))
    home.settings = home.settings.model_copy(update={"ledger": LedgerSettings()})
    assert "no ledger is configured" in str(raised(home, ledger_cli, "list"))
    assert "ledger.key_file is empty" in str(raised(home, ledger_cli, "keygen"))


def test_anchors_are_read_at_verification(home):
    invoke(home, ledger_cli, "keygen")
    signer = Signer.load(home.directory / "key.pem", "luxima-retention")
    seal(home.ledger, [signer], open_anchors(home.settings), NOW)
    for path in (home.directory / "anchor").rglob("*.txt"):
        path.write_text(path.read_text().replace("\n4\n", "\n9\n"))
    assert "covers 9 entries" in str(raised(home, ledger_cli, "verify"))
