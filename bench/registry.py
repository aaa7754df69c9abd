"""Every benchmark, in the order of the page."""

from __future__ import annotations

from bench import archive, delay, drain, evidence, loki, prune, rotate, start
from bench.model import Benchmark

_MODULES = (start, prune, archive, drain, loki, delay, rotate, evidence)
BENCHMARKS: dict[str, Benchmark] = {item.name: item for module in _MODULES for item in module.BENCHMARKS}
