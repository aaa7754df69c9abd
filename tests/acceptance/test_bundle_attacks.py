"""``verify.py`` against an editor of bundles, a thief of the key, and a bundle made to harm its reader."""

import ast
import hashlib
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import vermin

from luxima_retention.evidence.ledger import verify
from tests import bundles

SOURCE = Path(verify.__file__)
BARE = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def check(bundle, *arguments, key=bundles.SIGNER.key):
    """The program's own copy, isolated, in 200 MiB of memory: the one in the bundle may be anybody's."""
    command = [sys.executable, "-I", "-S", str(SOURCE), "--key", str(key), *arguments, str(bundle)]
    limit = 200 << 20
    return subprocess.run(
        command,
        env=BARE,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )


def test_the_good_one_is_verified_with_its_figures(good):
    done = check(good)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 refusals, 1 overrides, 1 holds, 3 missed runs" in done.stdout
    assert "bound      by a signature of the same key" in done.stdout
    assert "no witness was asked for" in done.stdout


@pytest.mark.parametrize("name", bundles.EDITED)
def test_an_edited_bundle_is_refused(bundle, name):
    bundles.edit(bundle, name)
    done = check(bundle)
    assert (done.returncode, done.stdout) == (6, ""), done.stdout
    assert done.stderr.startswith("NOT VERIFIED: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", bundles.SIGNED_AGAIN)
def test_figures_that_the_entries_do_not_tell_are_refused_whoever_signed(bundle, name):
    bundles.edit(bundle, name, bundles.SIGNER)
    done = check(bundle)
    assert (done.returncode, done.stdout) == (6, ""), done.stdout
    assert "bundle.txt" not in done.stderr


def test_whoever_signs_is_no_witness_of_it(good):
    done = check(good, "--witness", str(bundles.SIGNER.key))
    assert (done.returncode, "who signs it is not its witness" in done.stderr) == (2, True)
    assert check(good, key=bundles.WITNESS).returncode == 2
    done = check(good, "--witness", bundles.WITNESS)
    assert (done.returncode, "cosigned 0 entries, not the" in done.stderr) == (6, True)


def test_a_bundle_made_anew_by_another_key_is_refused(tmp_path):
    forged = bundles.build(tmp_path, bundles.THIEF)
    assert check(forged, key=bundles.THIEF.key).returncode == 0
    done = check(forged)
    assert (done.returncode, "no checkpoint is signed by the key" in done.stderr) == (6, True)


@pytest.mark.parametrize(("name", "said"), [(name, said) for name, (_, said) in bundles.HOSTILE.items()])
def test_a_bundle_that_would_harm_its_reader_is_refused_in_a_sentence(bundle, name, said):
    bundles.HOSTILE[name][0](bundle)
    done = check(bundle)
    assert done.returncode == 6
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_entry_that_never_ends_is_not_read_to_its_end(bundle):
    with (bundle / "ledger.jsonl").open("r+b") as file:
        file.truncate(1 << 28)  # read whole, it would be told as cut, not as too long
    bundles.write_sums(bundle, bundles.SIGNER)
    done = check(bundle)
    assert (done.returncode, "longer than an entry can be" in done.stderr) == (6, True), done.stderr


def test_its_syntax_and_its_library_are_those_of_python_3_9():
    text = SOURCE.read_text()
    ast.parse(text, feature_version=(3, 9))
    _, newest = vermin.detect(text, config=vermin.Config())
    assert newest <= (3, 9)
    assert vermin.detect("import hashlib; hashlib.file_digest", config=vermin.Config())[1] == (3, 11)


def test_its_sum_is_published_and_told_by_the_program():
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()
    docs = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text()
    assert re.findall(r"\b[0-9a-f]{64}\b", docs) == [digest]
    done = subprocess.run(
        [sys.executable, "-m", "luxima_retention", "--version", "--verbose"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert digest in done.stdout
