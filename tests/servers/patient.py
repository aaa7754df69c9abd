"""The command with a minute for its receivers: where a test asks what is told, not how long that takes."""

from __future__ import annotations

import runpy

from luxima_retention.tell import telemetry

if __name__ == "__main__":
    telemetry.BUDGET = 60.0
    runpy.run_module("luxima_retention", run_name="__main__", alter_sys=True)
