"""The image as it is written down: pinned, without root, from what is locked and tested."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
#: continued lines joined, comments gone
LINES = [
    line
    for line in re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", DOCKERFILE)).splitlines()
    if line.strip()
]
LAST_STAGE = LINES[max(number for number, line in enumerate(LINES) if line.startswith("FROM")) :]


def instructions(name, lines):
    return [line.removeprefix(name).strip() for line in lines if line.startswith(f"{name} ")]


def locked(name):
    return set(re.findall(r"(?m)^([a-z0-9-]+==\S+)", (ROOT / "requirements" / name).read_text()))


def test_both_stages_have_one_base_pinned_by_digest():
    bases = [line.split()[0] for line in instructions("FROM", LINES)]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.1\d-slim@sha256:[0-9a-f]{64}", bases[0])


def test_the_user_is_the_one_of_the_manifests_and_not_root():
    defaults = yaml.safe_load((ROOT / "cron" / "base" / "defaults.yaml").read_text())
    context = defaults["spec"]["jobTemplate"]["spec"]["template"]["spec"]["securityContext"]
    assert instructions("USER", LAST_STAGE) == [f"{context['runAsUser']}:{context['runAsGroup']}"]


def test_signals_reach_the_program():
    assert instructions("ENTRYPOINT", LAST_STAGE) == ['["luxima-retention"]']


def test_nothing_is_installed_without_its_hash():
    installs = [
        step
        for line in instructions("RUN", LINES)
        for step in line.split(" && ")
        if re.search(r"pip\b.* (install|wheel) ", step)
    ]
    assert len(installs) == 4
    for step in installs:
        ours = "--no-deps" in step and ("--no-build-isolation" in step or "--no-index" in step)
        assert "--require-hashes" in step or ours


def test_what_builds_the_wheel_stays_behind():
    assert any(name.startswith("hatchling==") for name in locked("build.lock"))
    assert not {name for name in locked("image.lock") if name.startswith(("hatchling", "editables"))}
    stays = [line for line in instructions("RUN", LINES) if "build.lock" in line]
    assert stays
    assert not any("--python" in line for line in stays)


def test_the_linter_of_dockerfiles_has_nothing_to_say():
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_bytecode_is_compiled_while_the_root_can_be_written():
    assert any("-m compileall" in line for line in instructions("RUN", LINES))
    assert instructions("RUN", LAST_STAGE) == []


def test_the_image_holds_the_versions_that_were_tested():
    for name in ("build.lock", "image.lock"):
        assert locked(name)
        assert locked(name) <= locked("dev.lock")
    # The CronJob of the report sends a bundle, which holds a PDF.
    assert any(name.startswith("typst==") for name in locked("image.lock"))
    assert not {
        name for name in locked("image.lock") if name.startswith(("pixeltable", "seaweedfs", "pytest"))
    }


def test_all_that_is_copied_is_there_and_let_through():
    let = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for line in instructions("COPY", LINES)
        if not line.startswith("--from")
        for source in line.split()[:-1]
    }
    assert copied == let
    assert all((ROOT / source).exists() for source in copied)
