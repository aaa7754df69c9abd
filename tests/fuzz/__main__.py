"""Feed targets until the time is over: `python -m tests.fuzz [NAME …] --seconds 600 [--seed N] [--guided]`.

Changes are random, or guided by coverage with atheris (`pip install atheris`; it is in no lock, since it
follows the interpreter's releases slowly). What is found is printed as a line for ``found.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random
from typing import NoReturn

from tests.fuzz.mutate import mutants
from tests.fuzz.targets import check_answer, targets


def feed(name: str, seconds: float, seed: int) -> int:
    """Random changes of one target; the number of findings, each place once."""
    target, random = targets()[name], Random(f"{name} {seed}")  # noqa: S311 - repeatable, not secret
    seeds, places, count, refused = target.seeds(), set(), 0, 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        data = mutants(seeds, random)
        count += 1
        try:
            refused += check_answer(target, data)
        except Exception as error:
            place = (type(error).__name__, traceback.extract_tb(error.__traceback__)[-1].lineno)
            if place not in places:
                places.add(place)
                _tell(name, data, error)
    print(f"{name}: {count} inputs, {refused} refused, {len(places)} findings", flush=True)
    return len(places)


def _tell(name: str, data: bytes, error: Exception) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    ours = next((frame for frame in reversed(frames) if "luxima_retention" in frame.filename), frames[-1])
    print(f"  {type(error).__name__}: {str(error)[:200]} at {ours.filename}:{ours.lineno}")
    print("  " + json.dumps([name, data[:2000].decode("utf-8", "backslashreplace")]), flush=True)


def guided(name: str, seconds: float) -> int:
    """One target under atheris, in a process of its own: the first finding ends it."""
    pid = os.fork()
    if pid == 0:
        _guide(name, seconds)
    return int(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0)


def _guide(name: str, seconds: float) -> NoReturn:
    import atheris

    corpus = Path(tempfile.mkdtemp(prefix="corpus-", dir=os.environ.get("LUXIMA_FUZZ_DIR")))
    with atheris.instrument_imports(include=["luxima_retention"]):
        target = targets()[name]
        for number, seed in enumerate(target.seeds()):  # reading once imports what is to be instrumented
            (corpus / str(number)).write_bytes(seed)
            check_answer(target, seed)
    limits = [f"-max_total_time={seconds:.0f}", "-max_len=20000", "-verbosity=0"]
    limits += ["-print_final_stats=1", f"-artifact_prefix={corpus}/"]
    atheris.Setup(["fuzz", *limits, str(corpus)], lambda data: check_answer(target, data))
    print(f"{name}, guided:", flush=True)
    atheris.Fuzz()
    raise SystemExit


def main() -> int:
    """Exit with 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(targets()))
    parser.add_argument("--seconds", type=float, default=600, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", action="store_true", help="by coverage, with atheris")
    given = parser.parse_args()
    names = given.names or list(targets())
    if given.guided:
        return int(sum(guided(name, given.seconds) for name in names) > 0)
    return int(sum(feed(name, given.seconds, given.seed) for name in names) > 0)


if __name__ == "__main__":
    sys.exit(main())
