"""Trees, notes and signatures by their published figures; checkpoints against every kind of tampering."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from luxima_retention.config.settings import LedgerSettings
from luxima_retention.core.errors import ConfigurationError, StoreError, TamperingFound
from luxima_retention.evidence.ledger.checkpoint import (
    Anchor,
    Signer,
    generate,
    open_anchors,
    open_signer,
    rotate_key,
    seal,
    trusted_key,
    verify,
)
from luxima_retention.evidence.ledger.entry import make, read
from luxima_retention.evidence.ledger.file import FileLedger
from luxima_retention.evidence.ledger.memory import MemoryLedger
from luxima_retention.evidence.ledger.verify import (
    GENESIS,
    Checkpoint,
    Key,
    TamperedError,
    Tree,
    Verifier,
    ed25519_verifies,
    leaf_hash,
    open_note,
)
from luxima_retention.io.objects import DirectoryPlace
from tests.configured import settings_of
from tests.conftest import LONG
from tests.ledgers import Raw, event

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
ORIGIN = "luxima.example/retention"


def signer(number=1, origin=ORIGIN):
    return Signer(origin, Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


def filled(count, sealed=(), anchors=(), by=None):
    """A ledger of so many entries, sealed at the given sizes."""
    ledger = MemoryLedger()
    for number in range(1, count + 1):
        ledger.append(event("batch", number=number), policy="audit-logs", at=AT)
        if number in sealed:
            seal(ledger, [by or signer()], anchors, AT)
    return ledger


# Certificate Transparency's own test data: leaves, and the tree hash after each of them.
CT_LEAVES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
CT_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def test_the_tree_has_the_published_hashes():
    tree = Tree()
    assert tree.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for leaf, root in zip(CT_LEAVES, CT_ROOTS, strict=True):
        tree.add(leaf_hash(bytes.fromhex(leaf)))
        assert tree.root().hex() == root


@given(st.integers(0, 70), st.integers(0, 70))
def test_a_tree_goes_on_from_its_peaks(first, second):
    whole, begun = Tree(), Tree()
    leaves = [b"%d" % number for number in range(first + second)]
    whole.extend(leaves)
    begun.extend(leaves[:first])
    resumed = Tree(begun.size, begun.peaks)
    resumed.extend(leaves[first:])
    assert resumed.root() == whole.root()


def test_peaks_that_do_not_fit_the_size_are_refused():
    with pytest.raises(ValueError, match="3 leaves has 2 peaks, not 1"):
        Tree(3, [b""])


# RFC 8032, section 7.1, tests 1 to 3: public key, message, signature.
ED25519 = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)


@pytest.mark.parametrize(("public", "message", "signature"), ED25519)
def test_the_published_signatures_verify_and_nothing_beside_them(public, message, signature):
    key, text, signed = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert ed25519_verifies(key, text, signed)
    assert not ed25519_verifies(key, text + b"x", signed)
    assert not ed25519_verifies(key, text, signed[:32] + bytes(32))
    assert not ed25519_verifies(key, text, signed[:-1])
    scalar = int.from_bytes(signed[32:], "little") + 2**252 + 27742317777372353535851937790883648493
    assert not ed25519_verifies(key, text, signed[:32] + scalar.to_bytes(32, "little"))


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100), st.integers(0, 511))
def test_what_the_library_signs_verifies_and_a_flipped_bit_does_not(seed, message, bit):
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert ed25519_verifies(public, message, signature)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not ed25519_verifies(public, message, bytes(flipped))


# The notes of the C2SP specification and of its reference implementation.
EXAMPLE = """\
This is an example message.

\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""  # noqa: E501
PETER = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""  # noqa: E501
NOTES = (
    ("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", EXAMPLE),
    ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", PETER),
)


@pytest.mark.parametrize(("written", "note"), NOTES)
def test_the_published_notes_verify_under_their_keys(written, note):
    key = Key.parse(written)
    assert str(key) == written
    text, ((name, key_id, signature),) = open_note(note)
    assert (name, key_id) == (key.name, key.key_id)
    assert ed25519_verifies(key.public, text.encode(), signature)


def test_the_published_key_signs_the_published_note():
    seed = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
    peter = Signer("PeterNeumann", Ed25519PrivateKey.from_private_bytes(seed))
    text, _ = open_note(PETER)
    assert f"{text}\n{peter.line(text.encode())}" == PETER


@pytest.mark.parametrize(
    "written",
    ["", "a+b", "a+00000000+AAAA", "a+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", "a+b+!"],
)
def test_a_key_that_is_none_is_refused(written):
    with pytest.raises(ValueError, match=r".+"):
        Key.parse(written)


def test_keys_are_sorted_as_rfc_8785_shows():
    # RFC 8785, section 3.2.3.
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    order = ["\\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    written = rfc8785.dumps(value).decode()
    assert [piece.split('"')[1] for piece in written.split(",")] == order


@pytest.mark.parametrize(
    "note",
    ["", "a\n1\nAAAA\n", "a\n1\nAAAA\n\n", "a\n01\nAAAA\n\n\u2014 a AAAA\n", "a\nx\nAAAA\n\n\u2014 a AAAA\n",
     "a\n1\n!\n\n\u2014 a AAAA\n", "a\n1\nAAAA\n\n- a AAAA\n", "a\n1\n\n\u2014 a AAAA\n"],
)  # fmt: skip
def test_a_note_that_is_no_checkpoint_is_refused(note):
    with pytest.raises(TamperedError, match="is not a signed checkpoint"):
        Checkpoint.parse(note)


def test_a_checkpoint_says_origin_size_root_and_head():
    ledger = filled(5)
    sealed = seal(ledger, [signer()], (), AT)
    text, _ = open_note(sealed.note)
    origin, size, root, head = text.splitlines()
    assert (origin, size, head) == (ORIGIN, "5", f"head {ledger.head().hash}")
    assert base64.b64decode(root).hex() == sealed.root
    assert seal(ledger, [signer()], (), AT) == sealed
    assert ledger.recorded == [sealed.note]


def test_an_empty_ledger_is_not_signed():
    assert seal(MemoryLedger(), [signer()], (), AT) is None


def test_a_whole_ledger_verifies_and_says_how_far_it_is_signed():
    verdict = verify(filled(10, sealed={3, 8}), (), signer().key)
    assert (verdict.entries, verdict.covered, verdict.checkpoints) == (10, 8, 2)
    assert verdict.key == signer().key


def test_sealing_reads_only_what_is_new(monkeypatch):
    ledger = filled(50, sealed={50})
    ledger.append(event("batch"), policy=None, at=AT)
    asked = []
    real = ledger.entries
    monkeypatch.setattr(ledger, "entries", lambda after=0: asked.append(after) or real(after))
    assert seal(ledger, [signer()], (), AT).size == 51
    assert asked == [49]


def test_a_ledger_that_ends_before_its_checkpoint_is_not_signed_again():
    ledger = filled(10, sealed={10})
    del ledger.all[7:]
    with pytest.raises(TamperingFound, match=r"ends at entry 9|its checkpoint covers 10"):
        seal(ledger, [signer()], (), AT)


def tampered(draw, entries):
    """Flip a byte of, drop, double, swap or cut entries; what was done."""
    last = len(entries) - 1
    at = draw(st.integers(0, last))
    kind = draw(st.sampled_from(["flip", "drop", "double", "swap", "cut"]))
    if kind == "flip":
        data = bytearray(entries[at])
        data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
        entries[at] = bytes(data)
    elif kind == "drop":
        del entries[at]
    elif kind == "double":
        entries.insert(at, entries[at])
    elif kind == "swap":
        other = draw(st.integers(0, last).filter(lambda other: other != at))
        entries[at], entries[other] = entries[other], entries[at]
    else:
        del entries[at:]
    return kind, at


@settings(max_examples=300 if LONG else 150, deadline=None)
@given(st.data())
def test_any_tampering_is_found_and_its_place_named(data):
    ledger = filled(9, sealed={3, 9})
    entries = [item.data for item in ledger.all]
    kind, at = tampered(data.draw, entries)
    known = [Checkpoint.parse(note) for note in ledger.notes()]
    with pytest.raises(TamperedError, match=r"entry|entries") as caught:
        Verifier(known, signer().key).run((item, None) for item in entries)
    numbers = [int(word) for word in "".join(c if c.isdigit() else " " for c in str(caught.value)).split()]
    if kind != "swap":
        assert min(abs(number - (at + 1)) for number in numbers) <= (5 if kind == "flip" else 1)


def rewritten(ledger, by):
    """The same ledger with another first entry, every hash and checkpoint made anew."""
    forged = MemoryLedger()
    for item in ledger.all:
        body = {"number": 99} if item.seq == 1 else item.body
        forged.append(Raw(item.kind, **body), policy=item.policy, at=item.at)
    seal(forged, [by], (), AT)
    return forged


def test_a_ledger_rewritten_and_signed_again_fails_against_an_earlier_anchor(tmp_path):
    anchor = Anchor(DirectoryPlace(tmp_path), ORIGIN)
    forged = rewritten(filled(9, sealed={4}, anchors=[anchor]), signer())
    assert verify(forged, (), signer().key).covered == 9
    with pytest.raises(TamperingFound, match="covers 4 entries with another root: one of the entries 1 to 4"):
        verify(forged, [anchor], signer().key)


def test_a_ledger_cut_and_signed_again_fails_against_an_earlier_anchor(tmp_path):
    anchor = Anchor(DirectoryPlace(tmp_path), ORIGIN)
    filled(9, sealed={9}, anchors=[anchor])
    with pytest.raises(TamperingFound, match="entries 7 to 9 are missing"):
        verify(filled(6, sealed={6}), [anchor], signer().key)


def test_a_forged_checkpoint_is_not_put_beside_the_anchored_one(tmp_path):
    anchor = Anchor(DirectoryPlace(tmp_path), ORIGIN)
    ledger = filled(9, sealed={9}, anchors=[anchor])
    forged = MemoryLedger()
    forged.all = rewritten(ledger, signer()).all
    with pytest.raises(TamperingFound, match="covers 9 entries with another root"):
        seal(forged, [signer()], [anchor], AT)
    assert len(list(anchor.checkpoints())) == 1


def test_a_verifier_pinned_to_another_key_refuses():
    with pytest.raises(TamperingFound, match="no checkpoint is signed by the key"):
        verify(filled(9, sealed={9}), (), signer(2).key)


def test_a_signature_of_the_right_name_that_does_not_verify_refuses():
    ledger = filled(3, sealed={3})
    (note,) = ledger.recorded
    line = note.rstrip("\n").split(" ")[-1]
    data = bytearray(base64.b64decode(line))
    data[20] ^= 1
    ledger.recorded = [note.replace(line, base64.b64encode(data).decode())]
    with pytest.raises(TamperingFound, match="does not verify"):
        verify(ledger, (), signer().key)


def test_a_rotated_key_is_trusted_through_the_old_one():
    ledger = filled(3, sealed={3})
    rotate_key(ledger, signer(1), signer(2), (), AT)
    ledger.append(event("batch"), policy=None, at=AT)
    seal(ledger, [signer(2)], (), AT)
    rotate_key(ledger, signer(2), signer(3), (), AT)
    assert verify(ledger, (), signer(1).key).key == signer(3).key
    assert verify(ledger, (), signer(1).key).covered == 6
    assert verify(ledger, (), signer(2).key).covered == 6


def test_a_key_that_only_names_itself_is_not_trusted():
    ledger = filled(3, sealed={3})
    ledger.append(event("key.rotated", old=str(signer(1).key), new=str(signer(2).key)), policy=None, at=AT)
    seal(ledger, [signer(2)], (), AT)
    assert verify(ledger, (), signer(1).key).covered == 3


def test_a_key_that_is_not_trusted_hands_nothing_over():
    """Whoever may append writes that another key follows; the trusted key signs that, as everything."""
    ledger = filled(3, sealed={3})
    handed = event("key.rotated", old=str(signer(5).key), new=str(signer(2).key))
    ledger.append(handed, policy=None, at=AT)
    seal(ledger, [signer(1)], (), AT)
    ledger.append(event("batch"), policy=None, at=AT)
    seal(ledger, [signer(2)], (), AT)
    verdict = verify(ledger, (), signer(1).key)
    assert (verdict.key, verdict.covered) == (signer(1).key, 4)


def test_a_checkpoint_of_another_root_or_head_is_refused():
    """Both are signed; each is compared."""
    ledger = filled(4)
    entries = [(item.data, None) for item in ledger.all]
    tree = Tree()
    for item in ledger.all:
        tree.add(leaf_hash(item.data))
    root, head = base64.b64encode(tree.root()).decode(), ledger.all[-1].hash
    other_root, other_head = base64.b64encode(bytes(32)).decode(), "0" * 64
    for chosen, last, agrees in ((root, head, True), (other_root, head, False), (root, other_head, False)):
        text = f"{ORIGIN}\n4\n{chosen}\nhead {last}\n"
        known = [Checkpoint.parse(f"{text}\n{signer().line(text.encode())}")]
        verifier = Verifier(known, signer().key)
        if agrees:
            assert verifier.run(entries).covered == 4
        else:
            with pytest.raises(TamperedError, match="covers 4 entries with another root"):
                verifier.run(entries)


def test_a_hash_beside_an_entry_that_is_not_its_own_is_refused():
    first, second = filled(2).all
    assert Verifier().run([(first.data, first.hash), (second.data, second.hash)]).entries == 2
    with pytest.raises(TamperedError, match=f"entry 2 was changed: its hash is not {first.hash}"):
        Verifier().run([(first.data, first.hash), (second.data, first.hash)])


def test_an_entry_of_an_earlier_time_is_refused():
    first = make(event("batch"), policy=None, at=AT, seq=1, previous=GENESIS)
    for seconds, earlier in ((0, False), (1, False), (-1, True)):
        at = AT + timedelta(seconds=seconds)
        second = make(event("batch"), policy=None, at=at, seq=2, previous=first.hash)
        entries = [(first.data, None), (second.data, None)]
        if earlier:
            with pytest.raises(TamperedError, match=r"entry 2 says .*, earlier than the entry before it"):
                Verifier().run(entries)
        else:
            assert Verifier().run(entries).entries == 2


def test_an_anchor_that_cannot_be_written_is_told_and_the_checkpoint_stands(tmp_path):
    (tmp_path / "file").write_text("in the way")
    broken = Anchor(DirectoryPlace(tmp_path / "file"), ORIGIN)
    (tmp_path / "good").mkdir()
    good = Anchor(DirectoryPlace(tmp_path / "good"), ORIGIN)
    ledger = filled(3)
    sealed = seal(ledger, [signer()], [broken, good], AT)
    assert sealed.anchors == ((tmp_path / "good").as_uri(),)
    assert "not anchored" in sealed.failures[0]
    assert verify(ledger, [good], signer().key).covered == 3
    with pytest.raises(StoreError):
        verify(ledger, [broken], None)


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    made = generate(tmp_path / "key.pem", ORIGIN)
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert Signer.load(tmp_path / "key.pem", ORIGIN).key == made.key
    with pytest.raises(ConfigurationError, match="cannot be made: File exists"):
        generate(tmp_path / "key.pem", ORIGIN)


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0, "cannot be read: No such file"),
        (b"rubbish", 0o600, "not an unencrypted PEM key"),
        (b"rubbish", 0o604, "everybody may use"),
    ],
)
def test_a_key_that_cannot_be_used_is_a_sentence(tmp_path, content, mode, said):
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(ConfigurationError, match=said) as caught:
        Signer.load(path, ORIGIN)
    assert "ledger.key_file" in f"{caught.value.message} {caught.value.hint}"


def test_a_directory_is_no_key_and_nobody_is_told_to_change_its_rights(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigurationError, match="is no file") as caught:
        Signer.load(tmp_path, ORIGIN)
    assert "chmod" not in str(caught.value.hint)


def test_settings_open_key_pin_and_anchors(tmp_path):
    nothing = LedgerSettings()
    assert (open_signer(nothing), open_anchors(settings_of())) == (None, ())
    assert trusted_key(nothing, None, filled(1, sealed={1})) is None
    made = generate(tmp_path / "key.pem", ORIGIN)
    configured = LedgerSettings(
        origin=ORIGIN,
        key_file=str(tmp_path / "key.pem"),
        public_key=str(made.key),
        anchors=((tmp_path / "anchor").as_uri(), "s3://evidence/ledger"),
    )
    whole = settings_of({"ledger": {"anchors": list(configured.anchors)}})
    assert open_signer(configured).key == trusted_key(configured, None, MemoryLedger()) == made.key
    unpinned = configured.model_copy(update={"public_key": ""})
    assert trusted_key(unpinned, None, MemoryLedger()) is None
    assert trusted_key(unpinned, None, filled(1, sealed={1})) == made.key
    assert trusted_key(configured, str(signer(3).key), MemoryLedger()) == signer(3).key
    assert [anchor.url for anchor in open_anchors(whole)][1] == "s3://evidence/ledger"
    with pytest.raises(ConfigurationError, match="'nonsense' is not an Ed25519 verifier key"):
        trusted_key(LedgerSettings(public_key="nonsense"), None, MemoryLedger())
    with pytest.raises(ValueError, match="neither white space nor a plus"):
        LedgerSettings(origin="a b")
    with pytest.raises(ValueError, match="must begin with"):
        LedgerSettings(anchors=("ftp://x",))


def test_a_file_ledger_keeps_its_checkpoints_beside_it(tmp_path):
    ledger = FileLedger(tmp_path / "ledger.jsonl")
    for number in range(5):
        ledger.append(event("batch", number=number), policy=None, at=AT)
        seal(ledger, [signer()], (), AT)
    seal(ledger, [signer()], (), AT)
    assert len(list(ledger.notes())) == 5
    assert ledger.newest_checkpoint()[0].size == 5
    beside = tmp_path / "ledger.jsonl.checkpoints"
    beside.write_text(beside.read_text() + '{"size": 6, "pea')
    ledger.append(event("batch"), policy=None, at=AT)
    assert seal(ledger, [signer()], (), AT).size == 6
    assert verify(ledger, (), signer().key).covered == 6
    beside.write_text(beside.read_text().replace('"size": 3', '"size": 2'))
    with pytest.raises(TamperingFound, match=r"line 3 of .* is not a recorded checkpoint"):
        verify(ledger, (), None)


def test_the_hash_of_a_made_entry_is_its_leaf():
    made = make(event("batch"), policy=None, at=AT, seq=1, previous="0" * 64)
    assert made.hash == leaf_hash(read(made.data).data).hex()
