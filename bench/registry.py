"""Every benchmark, in the order of the page."""

from __future__ import annotations

from bench import archive, loki, prune
from bench.model import Benchmark

BENCHMARKS: dict[str, Benchmark] = {item.name: item for module in (prune, archive, loki) for item in module.BENCHMARKS}
