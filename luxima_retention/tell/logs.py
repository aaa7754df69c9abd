"""What the log says of a whole run: its last line, with all key figures. Pure.

LogQL can alert on it where there is no Pushgateway.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from luxima_retention.core.errors import ExitCode
from luxima_retention.core.results import RunResult, TargetResult


def finished(result: RunResult) -> dict[str, Any]:
    """The values of ``run.finished``; one entry for each target, one for a policy without any."""
    told = [
        {"policy": policy.policy, **_target(target)}
        for policy in result.policies
        for target in policy.targets
    ]
    told += [
        {"policy": policy.policy, "outcome": str(policy.outcome), "exit_code": int(policy.exit_code)}
        for policy in result.policies
        if not policy.targets
    ]
    return {
        "exit_code": int(result.exit_code),
        "outcome": result.exit_code.name.lower(),
        "dry_run": result.dry_run,
        "destroyed": sum(item.get("destroyed", 0) for item in told),
        "targets": told,
        "warnings": list(result.warnings),
    }


def broken_off(code: ExitCode, warnings: Iterable[str], *, dry_run: bool) -> dict[str, Any]:
    """The same of a run that ended before it had a result."""
    return {
        "exit_code": int(code),
        "outcome": code.name.lower(),
        "dry_run": dry_run,
        "destroyed": 0,
        "targets": [],
        "warnings": list(warnings),
    }


def _target(target: TargetResult) -> dict[str, Any]:
    survey, totals, proof = target.survey, target.totals, target.proof
    return {
        "target": target.target,
        "outcome": str(target.outcome),
        "exit_code": int(target.exit_code),
        "run_id": target.run_id,
        "expired": survey.expired if survey else None,
        "held": survey.held if survey else None,
        "left": proof.left if proof else None,
        "destroyed": totals.destroyed if totals else 0,
        "condemned": totals.condemned if totals else 0,
        "bytes": totals.size_bytes if totals else 0,
        "milliseconds": sum(target.milliseconds.values()),
    }
