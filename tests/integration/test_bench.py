"""Benchmarks are declared, measured and told as they should be; how fast anything is, no test says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

import pytest
import urllib3

from bench import measure, page, runner
from bench.__main__ import main
from bench.measure import ROOT, CommandError, cost_of
from bench.model import Aim, Benchmark, Figures, NotMeasuredError, of, ratio, read, spread
from bench.plot import Panel, short, svg, ticks
from bench.proxy import run_proxy
from bench.registry import BENCHMARKS
from tests.servers.stub import Answer, run_stub

FIGURES = ROOT / "docs" / "benchmarks"


def figures_of(tmp_path, name, **cases):
    figures = Figures(name=name, path=tmp_path / f"{name}.json", runs=3)
    for case, runs in cases.items():
        for seconds in runs:
            figures.record(case, {"seconds": seconds})
    return figures


def told(monkeypatch, figures, *aims, **more):
    """The page of one declared benchmark with these figures."""
    benchmark = Benchmark(
        name=figures.name,
        title="Some title",
        compares="This and that.",
        measure=print,
        minutes=1,
        aims=aims,
        **more,
    )
    monkeypatch.setattr(page, "BENCHMARKS", {figures.name: benchmark})
    return page.page({figures.name: figures})


def lines_of(picture):
    """The points of each line."""
    root = ET.fromstring(picture)  # noqa: S314 - we have written it
    return [line.get("points") for line in root.findall(".//{http://www.w3.org/2000/svg}polyline")]


def commands_of(directory):
    """Of every process that has something of a directory on its command line."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if str(directory) in line]


def test_figures_come_back_as_they_were_written(tmp_path):
    figures = figures_of(tmp_path, "some", ours=[3.0, 1.0, 2.0])
    figures.note("a sentence")
    figures.record("ours", {"seconds": 7}, axis="stored", size=10)
    again = read(figures.path)
    assert again == figures
    assert again.median("ours", "seconds") == 2.0


def test_figures_of_another_version_are_refused(tmp_path):
    figures = figures_of(tmp_path, "some", ours=[1.0])
    figures.path.write_text(figures.path.read_text().replace('"version": 1', '"version": 99'))
    with pytest.raises(ValueError, match="version 99"):
        read(figures.path)


def test_the_page_shows_medians_with_their_spread_and_the_ratio(tmp_path, monkeypatch):
    figures = figures_of(tmp_path, "some", theirs=[4.0, 4.0, 4.0], ours=[1.0, 9.0, 2.0])
    text = told(monkeypatch, figures, reference="theirs")
    assert "| way | seconds | seconds, × theirs |" in text
    assert "| ours | 2.00 (1.00 to 9.00) | 0.50 |" in text
    assert "`python -m bench some`" in text


@pytest.mark.parametrize(
    ("bounds", "met"),
    [({"least": 0.5}, True), ({"least": 0.51}, False), ({"most": 0.5}, True), ({"most": 0.49}, False)],
)
def test_an_aim_that_is_not_met_says_why_and_only_then(tmp_path, monkeypatch, bounds, met):
    aim = Aim(
        says="half of it", measured=ratio("seconds", "ours", "theirs"), why="The disk is slow.", **bounds
    )
    text = told(monkeypatch, figures_of(tmp_path, "some", theirs=[4.0], ours=[2.0]), aim)
    verdict = "yes" if met else "**no**: The disk is slow."
    assert f"| [some](#some-title) | half of it | 0.50 × | {verdict} |" in text
    assert ("The disk is slow." in text) is not met


def test_an_aim_is_not_judged_by_a_part_of_the_sizes(tmp_path, monkeypatch):
    aim = Aim(says="all of it", measured=of("seconds", "ours"), most=100)
    figures = figures_of(tmp_path, "some", ours=[1.0])
    figures.scale = 0.5
    text = told(monkeypatch, figures, aim)
    assert "| all of it | 1 × | not judged: sizes were 0.5 of the usual ones |" in text


def test_a_way_is_divided_by_its_own_reference_where_there_is_one(tmp_path, monkeypatch):
    cases = {"zstd: theirs": [4.0], "zstd: ours": [2.0], "theirs": [10.0], "one: two": [5.0]}
    text = told(monkeypatch, figures_of(tmp_path, "some", **cases), reference="theirs")
    assert "| zstd: ours | 2.00 | 0.50 |" in text
    assert "| one: two | 5.00 | 0.50 |" in text


def test_what_was_not_measured_is_not_called_met(tmp_path, monkeypatch):
    aim = Aim(says="all of it", measured=of("seconds", "ours"), most=1)
    assert "not measured: 'ours' was not measured" in told(monkeypatch, figures_of(tmp_path, "some"), aim)
    with pytest.raises(NotMeasuredError):
        figures_of(tmp_path, "other", ours=[1.0]).median("ours", "cpu_s")


def test_rounds_end_when_the_time_is_up_but_one_there_is(tmp_path):
    figures = figures_of(tmp_path, "some")
    assert list(figures.rounds()) == [0, 1, 2]
    assert figures.notes == []
    figures.deadline = time.monotonic()
    assert list(figures.rounds()) == [0]
    assert figures.notes == ["1 of 3 rounds were measured: the time was up."]


def test_growth_is_the_most_divided_by_the_least(tmp_path):
    figures = figures_of(tmp_path, "some")
    for size, memory in ((1, 50), (2, 60), (3, 55)):
        figures.record("ours", {"memory_mib": memory}, axis="expired", size=size)
    assert spread("memory_mib", "expired")(figures) == 1.2
    with pytest.raises(NotMeasuredError):
        spread("memory_mib", "stored")(figures)


def test_every_benchmark_is_on_the_page_whatever_became_of_the_others(tmp_path):
    failed = figures_of(tmp_path, "rotate", ours=[1.0])
    failed.error = "CommandError: it | ended\nwith 3"
    text = page.page({"rotate": failed})
    assert "**Failed**: CommandError: it \\| ended with 3" in text
    for name, benchmark in BENCHMARKS.items():
        assert f"\n## {benchmark.title}\n\n{benchmark.compares}" in text
        assert f"`python -m bench {name}`" in text
        assert all(aim.says in text for aim in benchmark.aims)
        assert benchmark.minutes > 0


def test_growth_is_plotted_and_the_picture_is_beside_the_page(tmp_path):
    (name, benchmark) = next((name, item) for name, item in BENCHMARKS.items() if item.plots)
    (tmp_path / "benchmarks").mkdir()
    figures = Figures(name=name, path=tmp_path / "benchmarks" / f"{name}.json")
    for axis in benchmark.plots:
        for size in (1000, 2000, 3000):
            figures.record(
                "ours", {"seconds": size / 1e3, "memory_mib": 60, "cpu_s": 1}, axis=axis, size=size
            )
    page.write(tmp_path)
    assert f"](benchmarks/{name}.svg)" in (tmp_path / "benchmarks.md").read_text()
    lines = lines_of((tmp_path / "benchmarks" / f"{name}.svg").read_text())
    # time and CPU, and memory, against each axis
    assert len(lines) == 3 * len(benchmark.plots)
    assert all(len(line.split()) == 3 for line in lines)


def test_a_line_lies_where_its_figures_are():
    panel = Panel(title="a < b", x="rows", lines={"one": [(0, 0), (100, 10)]})
    assert lines_of(svg([panel])) == ["58.0,216.0 356.0,54.0"]


@pytest.mark.parametrize(
    ("most", "expected"),
    [(10, [0, 2.5, 5, 7.5, 10]), (0.9, [0, 0.25, 0.5, 0.75, 1]), (61, [0, 20, 40, 60, 80])],
)
def test_axes_begin_at_zero_and_have_round_figures(most, expected):
    assert ticks(most) == pytest.approx(expected)
    assert [short(value) for value in (0, 0.25, 1500, 2_000_000)] == ["0", "0.25", "1.5k", "2M"]


def test_the_committed_page_is_the_one_that_the_committed_figures_make():
    found = {name: read(path) for name in BENCHMARKS if (path := FIGURES / f"{name}.json").exists()}
    assert found
    assert {path.stem for path in FIGURES.glob("*.json")} == set(found), "figures of no benchmark"
    assert (ROOT / "docs" / "benchmarks.md").read_text() == page.page(found), "run: python -m bench page"
    for name, figures in found.items():
        if panels := list(page.panels(BENCHMARKS[name], figures)):
            assert (FIGURES / f"{name}.svg").read_text() == svg(panels), "run: python -m bench page"


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(FIGURES.glob("*.json")) if not read(path).error],
    ids=lambda path: path.stem,
)
def test_what_was_measured_is_what_aims_and_tables_ask_for(path):
    figures, benchmark = read(path), BENCHMARKS[path.stem]
    for aim in benchmark.aims:
        assert aim.measured(figures) >= 0
    metrics = {name for row in figures.rows for run in row.runs for name in run}
    assert benchmark.headline in metrics
    assert metrics - set(page.METRICS) <= {"left", "different"}, "asked by aims alone"
    cases = [row.case for row in figures.rows]
    assert not benchmark.reference or any(case.endswith(benchmark.reference) for case in cases)


def test_a_benchmark_that_fails_keeps_what_it_has_measured(tmp_path):
    def broken(figures):
        figures.record("ours", {"seconds": 1.0})
        raise RuntimeError("no more")

    benchmark = replace(BENCHMARKS["verify"], measure=broken)
    assert not runner.measure(benchmark, tmp_path / "verify.json", runs=1, scale=1)
    figures = read(tmp_path / "verify.json")
    assert figures.error == "RuntimeError: no more"
    assert figures.median("ours", "seconds") == 1.0


def test_a_benchmark_that_takes_too_long_is_ended_and_told(tmp_path):
    benchmark = replace(BENCHMARKS["verify"], minutes=0.0)
    figures = runner.run(benchmark, tmp_path / "verify.json", runs=1, scale=1)
    assert figures.error == read(tmp_path / "verify.json").error == "it was ended after 0 minutes"


def test_a_benchmark_that_is_ended_leaves_no_server_and_no_file(tmp_path):
    # Short, because of UNIX sockets; open, because PostgreSQL does not run as root.
    with TemporaryDirectory(prefix="b-") as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        with subprocess.Popen(
            [sys.executable, "-m", "bench", "inserts", "--quick", "--output", str(tmp_path)],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": name},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout.readline() == b"inserts: What concurrent inserts feel\n"
            assert process.stdout.readline().startswith(b"inserts: nothing else at work: ")
            assert any("postgres" in line for line in commands_of(scratch))
            process.terminate()
        assert process.returncode == 1
        assert commands_of(scratch) == []
        assert [*scratch.iterdir()] == []
    assert read(tmp_path / "benchmarks" / "inserts.json").error == "it was ended"


def test_a_quick_run_measures_and_writes_a_page(tmp_path, capfd):
    assert main(["verify", "--quick", "--output", str(tmp_path)]) == 0, capfd.readouterr().err
    text = (tmp_path / "benchmarks.md").read_text()
    assert "| verify.py over a bundle | " in text
    assert "Failed" not in text
    assert "Sizes were 0.005 of the usual ones." in text


def test_an_unknown_name_is_refused():
    with pytest.raises(SystemExit, match="no benchmark is called nothing"):
        main(["nothing"])


def test_a_command_is_measured_and_not_who_started_it():
    here = bytearray(200 << 20)
    nothing = cost_of(["true"])
    large = cost_of([sys.executable, "-c", "x = bytearray(80 << 20); print(sum(range(10**6)))"])
    del here
    assert nothing.memory < 40
    assert 80 < large.memory < 200
    assert large.cpu > 0
    assert large.stdout == "499999500000\n"
    both = nothing + large
    assert (both.seconds, both.memory) == (nothing.seconds + large.seconds, large.memory)


def test_a_command_that_fails_says_what_it_said():
    with pytest.raises(CommandError, match="ended with 3: so it is"):
        cost_of(["sh", "-c", "echo so it is; exit 3"])
    assert cost_of(["sh", "-c", "exit 3"], codes=(3,)).stdout == ""


def test_a_measured_command_has_none_of_our_variables(monkeypatch):
    monkeypatch.setenv("LUXIMA_ARCHIVE__URL", "file:///elsewhere")
    assert "LUXIMA_ARCHIVE__URL" not in measure.clean()
    assert cost_of(["printenv", "LUXIMA_X"], {"LUXIMA_X": "here"}).stdout == "here\n"


def test_the_proxy_delays_what_passes_and_counts_requests():
    with run_stub(lambda *asked: Answer(body=asked[3])) as stub:
        port = int(stub.url.rpartition(":")[2])
        with run_proxy(port, 0.2) as proxy, urllib3.PoolManager() as http:
            begun = time.monotonic()
            for number in range(3):
                body = bytes([number]) * 1_000_000
                answer = http.request(
                    "POST", f"http://127.0.0.1:{proxy.port}/b?list-type=2&n={number}", body=body
                )
                assert answer.data == body
            assert time.monotonic() - begun > 3 * 0.2
        assert proxy.counts == {"requests": 3, "list_requests": 3}
