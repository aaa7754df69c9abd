"""Signing is a decision: what an owner without the key does to ledger and anchors is not signed."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from luxima_retention.core.errors import ConfigurationError, StoreError, TamperingFound
from luxima_retention.evidence.ledger.checkpoint import (
    check_unsigned,
    create,
    generate,
    open_anchors,
    open_signer,
    rotate_key,
    verify,
)
from luxima_retention.evidence.ledger.file import FileLedger
from luxima_retention.evidence.ledger.session import begin, recover
from tests.configured import settings_of
from tests.ledgers import Raw, event

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


class Home:
    """A small installation whose ledger is a file: what its owner may do is to write files."""

    def __init__(self, directory, anchors=2):
        self.directory = directory
        self.anchors = [directory / f"anchor{number}" for number in range(anchors)]
        for anchor in self.anchors:
            anchor.mkdir()
        self.settings = settings_of(
            {
                "ledger": {
                    "path": str(directory / "ledger.jsonl"),
                    "key_file": str(directory / "key.pem"),
                    "anchors": [anchor.as_uri() for anchor in self.anchors],
                }
            }
        )
        self.ledger = FileLedger(directory / "ledger.jsonl")

    def changed(self, **more):
        """The settings with other values of the section ``ledger``."""
        given = self.settings.ledger.model_dump(mode="json", exclude_defaults=True)
        return settings_of({"ledger": {**given, **more}})

    def keygen(self):
        signer = generate(self.directory / "key.pem", self.settings.ledger.origin)
        create(self.ledger, signer, open_anchors(self.settings), AT)

    def say(self, count=1, ledger=None):
        for number in range(count):
            (ledger or self.ledger).append(event("batch", number=number), policy="audit-logs", at=AT)

    def run(self, count=3):
        """A whole run in a process of its own."""
        ledger = FileLedger(self.ledger.path)
        session = begin(self.settings, ledger, AT)
        self.say(count, ledger)
        session.sign_start(AT)
        self.say(count, ledger)
        return session.sign(AT)

    def verified(self):
        return verify(self.ledger, open_anchors(self.settings), open_signer(self.settings.ledger).key)

    @property
    def checkpoints(self):
        return self.directory / "ledger.jsonl.checkpoints"

    def forge(self, at=2):
        """Rewrite the ledger from entry ``at`` on, with every hash made anew."""
        entries = list(self.ledger.entries())
        self.ledger.path.unlink()
        for item in entries:
            body = {"number": 99} if item.seq == at else item.body
            self.ledger.append(Raw(item.kind, **body), policy=item.policy, at=item.at)


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.keygen()
    home.run()
    return home


def check_refused(home, said):
    before = home.ledger.path.read_bytes()
    with pytest.raises(TamperingFound, match="this ledger must not be signed") as caught:
        begin(home.settings, FileLedger(home.ledger.path), AT)
    assert said in caught.value.message
    assert home.ledger.path.read_bytes() == before


def test_a_run_signs_its_start_and_its_end(home):
    home.run(2)
    assert home.verified().covered == 11
    assert home.verified().checkpoints == 5
    assert [len(list(anchor.rglob("*.txt"))) for anchor in home.anchors] == [5, 5]


def test_what_others_appended_between_runs_is_signed_if_it_continues_the_ledger(home):
    home.say(4)
    assert begin(home.settings, home.ledger, AT) is not None
    assert home.verified().covered == 11


def test_a_run_never_makes_the_first_checkpoint(tmp_path):
    home = Home(tmp_path, anchors=0)
    home.say(3)
    generate(tmp_path / "key.pem", home.settings.ledger.origin)
    check_refused(home, "a run never makes the first")
    assert begin(settings_of({"ledger": {"path": "x"}}), home.ledger, AT) is None


def test_a_rewritten_ledger_without_any_checkpoint_is_not_signed(home):
    home.forge()
    home.checkpoints.unlink()
    for anchor in home.anchors:
        shutil.rmtree(anchor)
        anchor.mkdir()
    check_refused(home, "holds no checkpoint of this ledger")


def test_a_rewritten_ledger_is_not_signed_against_its_own_checkpoint(home):
    home.forge()
    check_refused(home, "entry 7 is not the one that")


@pytest.mark.parametrize("which", [0, 1])
def test_one_emptied_anchor_is_enough(home, which):
    shutil.rmtree(home.anchors[which])
    home.anchors[which].mkdir()
    check_refused(home, f"the anchor {home.anchors[which].as_uri()} holds no checkpoint")


def test_a_ledger_that_was_rolled_back_is_behind_its_anchors(home):
    kept = {path: path.read_bytes() for path in (home.ledger.path, home.checkpoints)}
    home.run()
    for path, data in kept.items():
        path.write_bytes(data)
    check_refused(home, "holds a checkpoint of 13 entries; the ledger's newest one covers 7")


def test_ledger_and_every_anchor_rolled_back_is_seen_by_a_witness_only(home, tmp_path):
    shutil.copytree(tmp_path, tmp_path.parent / "backup")
    home.run()
    shutil.rmtree(tmp_path)
    shutil.move(tmp_path.parent / "backup", tmp_path)
    assert begin(home.settings, FileLedger(home.ledger.path), AT) is not None


def test_an_anchor_that_lagged_must_still_lead_to_the_newest(home):
    shutil.copytree(home.anchors[1], home.directory / "lagged")
    home.run()
    shutil.rmtree(home.anchors[1])
    (home.directory / "lagged").rename(home.anchors[1])
    assert home.run() is not None


def test_an_anchor_of_another_ledger_is_refused(home, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    stranger = Home(other, anchors=1)
    stranger.keygen()
    shutil.copytree(stranger.anchors[0], home.anchors[1], dirs_exist_ok=True)
    for path in home.anchors[1].rglob("*.txt"):
        if path.name not in {item.name for item in stranger.anchors[0].rglob("*.txt")}:
            path.unlink()
    check_refused(home, "is not signed by the key")


def test_an_anchor_that_cannot_be_read_stops_the_run_before_it_begins(home):
    shutil.rmtree(home.anchors[0])
    home.anchors[0].write_text("a file")
    with pytest.raises(StoreError):
        begin(home.settings, FileLedger(home.ledger.path), AT)


def test_peaks_that_were_changed_are_refused(home):
    lines = home.checkpoints.read_text().splitlines(keepends=True)
    peaks = lines[-1].split('"peaks": ["')[1][:8]
    lines[-1] = lines[-1].replace(peaks, "00000000", 1)
    home.checkpoints.write_text("".join(lines))
    check_refused(home, "does not belong to the tree that is recorded with it")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda note: "rubbish", "is not a signed checkpoint"),
        (lambda note: note[:-20] + "A" * 16 + note[-4:], "does not verify"),
    ],
)
def test_a_checkpoint_that_is_none_is_refused_also_while_a_run_lasts(home, change, said):
    session = begin(home.settings, home.ledger, AT)
    last = json.loads(home.checkpoints.read_text().splitlines()[-1])
    with home.checkpoints.open("a") as file:
        file.write(json.dumps({**last, "note": change(last["note"])}) + "\n")
    check_refused(home, said)
    with pytest.raises(TamperingFound, match=said):
        session.sign(AT)


def test_a_checkpoint_that_somebody_else_signed_is_refused(home):
    """Over the very same head, with the very same tree."""
    session = begin(home.settings, home.ledger, AT)
    stranger = generate(home.directory / "stranger.pem", home.settings.ledger.origin)
    last = json.loads(home.checkpoints.read_text().splitlines()[-1])
    text = last["note"].rpartition("\n\n")[0] + "\n"
    with home.checkpoints.open("a") as file:
        file.write(json.dumps({**last, "note": f"{text}\n{stranger.line(text.encode())}"}) + "\n")
    check_refused(home, "is not signed by the key")
    with pytest.raises(TamperingFound, match="is not signed by the key"):
        session.sign(AT)


@pytest.mark.parametrize("others", [1, 2], ids=["gone", "another in its place"])
def test_an_entry_of_this_run_that_was_changed_before_the_end_is_not_signed(home, others):
    ledger = FileLedger(home.ledger.path)
    session = begin(home.settings, ledger, AT)
    home.say(2, ledger)
    session.sign_start(AT)
    home.say(3, ledger)
    lines = home.ledger.path.read_bytes().splitlines(keepends=True)
    home.ledger.path.write_bytes(b"".join(lines[:-2]))
    for _ in range(others):
        FileLedger(home.ledger.path).append(event("batch", number=7), policy="audit-logs", at=AT)
    with pytest.raises(TamperingFound, match="which this run wrote, is not what it was"):
        session.sign(AT)


def test_a_checkpoint_that_went_while_the_run_lasted_is_missed(home):
    ledger = FileLedger(home.ledger.path)
    session = begin(home.settings, ledger, AT)
    lines = home.checkpoints.read_text().splitlines(keepends=True)
    home.checkpoints.write_text("".join(lines[:-1]))
    with pytest.raises(TamperingFound, match="the checkpoint of 7 entries is gone"):
        session.sign(AT)


def test_times_never_go_back(home):
    made = home.ledger.append(event("batch"), policy=None, at=AT - timedelta(hours=1))
    assert made.at == AT


# --- Keys


def test_a_first_key_is_made_once(home):
    with pytest.raises(ConfigurationError, match="has been signed before"):
        check_unsigned(home.ledger, open_anchors(home.settings))
    home.checkpoints.unlink()
    with pytest.raises(ConfigurationError, match="has been signed before"):
        check_unsigned(home.ledger, open_anchors(home.settings))


def test_after_a_rotation_the_new_key_goes_on_and_the_old_one_does_not(home):
    new = generate(home.directory / "new.pem", home.settings.ledger.origin)
    first = open_signer(home.settings.ledger)
    rotate_key(home.ledger, first, new, open_anchors(home.settings), AT)
    old, home.settings = (
        home.settings,
        home.changed(key_file=str(home.directory / "new.pem")),
    )
    home.run()
    assert verify(home.ledger, open_anchors(home.settings), first.key).key == new.key
    home.settings = old
    check_refused(home, "is not signed by the key")


# --- Recovery


def restored(home):
    """The database is restored from a backup; a run of six entries is lost, the anchors know of it."""
    kept = {path: path.read_bytes() for path in (home.ledger.path, home.checkpoints)}
    home.run()
    for path, data in kept.items():
        path.write_bytes(data)


def test_a_restored_backup_goes_on_after_a_recovery_that_says_so(home):
    restored(home)
    recover(home.settings, FileLedger(home.ledger.path), "disk of db-1 died", AT)
    entry = home.ledger.head()
    assert (entry.kind, entry.body["entries"], entry.body["lost"]) == ("ledger.recovered", 7, 13)
    assert entry.body["reason"] == "disk of db-1 died"
    verdict = home.verified()
    assert (verdict.covered, verdict.abandoned) == (8, 2)
    for _ in range(3):
        home.run()
    assert home.verified().covered == home.verified().entries
    assert home.verified().abandoned == 2


def test_a_recovery_goes_on_where_an_old_checkpoint_has_the_same_size(home):
    kept = {path: path.read_bytes() for path in (home.ledger.path, home.checkpoints)}
    home.run(1)
    for path, data in kept.items():
        path.write_bytes(data)
    recover(home.settings, FileLedger(home.ledger.path), "disk", AT)
    home.run(1)
    home.run(1)
    assert home.verified().covered == 12
    assert home.verified().abandoned == 2


def test_a_recovery_that_nobody_signed_excuses_nothing(home):
    restored(home)
    home.ledger.append(
        event("ledger.recovered", entries=7, root="x", lost=99, reason="x"), policy=None, at=AT
    )
    check_refused(home, "and is not signed")


def test_a_recovery_does_not_excuse_what_was_kept(home):
    restored(home)
    recover(home.settings, FileLedger(home.ledger.path), "disk", AT)
    home.forge()
    with pytest.raises(TamperingFound):
        begin(home.settings, FileLedger(home.ledger.path), AT)
    with pytest.raises(TamperingFound):
        home.verified()


def test_a_recovery_signs_no_ledger_that_is_not_its_own_checkpoints(home):
    home.forge()
    with pytest.raises(TamperingFound, match="with another root"):
        recover(home.settings, FileLedger(home.ledger.path), "nothing happened", AT)


def test_a_new_anchor_and_a_lost_key_are_recoveries(home):
    (home.directory / "anchor9").mkdir()
    home.settings = home.changed(
        anchors=[*home.settings.ledger.anchors, (home.directory / "anchor9").as_uri()]
    )
    check_refused(home, "anchor9 holds no checkpoint")
    recover(home.settings, FileLedger(home.ledger.path), "a third anchor", AT)
    home.run()
    (home.directory / "key.pem").unlink()
    recover(home.settings, FileLedger(home.ledger.path), "the key was lost", AT)
    home.run()
    assert str(open_signer(home.settings.ledger).key) in home.ledger.newest({"ledger.recovered"}).body["key"]
