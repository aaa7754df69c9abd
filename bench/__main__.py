"""Measure, and write the page.

    python -m bench                    every usual benchmark, then docs/benchmarks.md
    python -m bench prune rotate       these again, then the page of all figures that are there
    python -m bench page               the page alone
    python -m bench --quick            tiny sizes, one run each, below .cache/bench: does it work?
    python -m bench list               names, what they compare, and how long they may take

Ends with 1 where a benchmark failed; the page tells which, and why.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from bench import page, runner
from bench.measure import ROOT
from bench.model import QUICK
from bench.registry import BENCHMARKS

RUNS = 5


def main(words: list[str] | None = None) -> int:
    """The command; its exit status."""
    options = _parser().parse_args(words)
    if options.quick:
        options.runs, options.size, options.output = 1, QUICK, options.output or ROOT / ".cache" / "bench"
    if options.inside:
        benchmark = BENCHMARKS[options.names[0]]
        return not runner.measure(benchmark, options.inside, runs=options.runs, scale=options.size)
    if options.names == ["list"]:
        print(
            "\n".join(f"{item.name:14} {item.minutes:3g} min  {item.title}" for item in BENCHMARKS.values())
        )
        return 0
    output = options.output or ROOT / "docs"
    failed = [] if options.names == ["page"] else _measured(options, output / "benchmarks")
    page.write(output)
    print(f"{output / 'benchmarks.md'} is written" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return bool(failed)


def _measured(options: argparse.Namespace, directory: Path) -> list[str]:
    """The names of those that failed."""
    names = options.names or [item.name for item in BENCHMARKS.values() if item.usual or options.quick]
    if unknown := set(names) - set(BENCHMARKS):
        raise SystemExit(
            f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}"
        )
    failed = []
    for name in names:
        print(f"{name}: {BENCHMARKS[name].title}", flush=True)
        path = directory / f"{name}.json"
        figures = runner.run(BENCHMARKS[name], path, runs=options.runs, scale=options.size)
        if figures.error:
            failed.append(name)
            print(f"{name}: failed: {figures.error}", file=sys.stderr, flush=True)
    return failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one run each")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs that each median is of")
    parser.add_argument("--size", type=float, default=1.0, help="part of the usual sizes, such as 0.1")
    parser.add_argument("--output", type=Path, help="directory of the page, instead of docs")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, runner.ended)
    try:
        sys.exit(main())
    except (runner.EndedError, KeyboardInterrupt):
        sys.exit("ended; what was measured so far is kept")
