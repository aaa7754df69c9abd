"""Results for people: tables on stdout. Wide on purpose where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from luxima_retention.cli.common import both_zones
from luxima_retention.core.results import Outcome, PolicyResult, RunResult, TargetResult

if TYPE_CHECKING:
    from luxima_retention.core.plan import Operation, Plan, Survey

_GOOD = {
    Outcome.DONE,
    Outcome.NOTHING_TO_DO,
    Outcome.COMPLIANT,
    Outcome.WOULD_DELETE,
    Outcome.PENDING,
    Outcome.CHECKED,
    Outcome.NOT_YET_PROVABLE,
}
_PALE = {Outcome.NOT_CONFIGURED, Outcome.NOT_APPLICABLE, Outcome.DECLINED}
_WIDTH = 160
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024
_PARTS = 8


def console(*, stderr: bool = False) -> Console:
    """A console that does not cut lines where its output goes to a file."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream,
        width=None if stream.isatty() else _WIDTH,
        highlight=False,
        soft_wrap=not stream.isatty(),
        emoji=False,  # a name may have colons in it, and the table of all emoji would be loaded
    )


def size(count: int) -> str:
    """``1.5 MiB``."""
    value, unit = float(count), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def render_run(result: RunResult) -> None:
    """A table over all policies, then what each of them has to say."""
    out = console()
    what = "dry run: nothing was changed" if result.dry_run else "run"
    out.print(f"{what}, {both_zones(result.now)}" + (f", as of {result.as_of}" if result.as_of else ""))
    out.print(_table(result.policies))
    for policy in result.policies:
        for line in _policy_lines(policy):
            _fold(out, line)
    if result.checkpoint:
        signed = f"ledger signed: {result.checkpoint['size']} entries, root {result.checkpoint['root']}"
        _fold(out, Text(signed))
    for warning in result.warnings:
        _fold(out, Text(f"warning: {warning}", style="yellow"))
    out.print(f"exit {int(result.exit_code)}")


def _fold(out: Console, line: Text) -> None:
    """Print a line; on a terminal what does not fit stands below what it belongs to."""
    text = line.plain.lstrip("\n")
    above, indent = len(line.plain) - len(text), len(text) - len(text.lstrip())
    if not out.is_terminal:
        out.print(line)
        return
    parts = line[above + indent :].wrap(out, out.width - indent - 2)
    for number, part in enumerate(parts):
        part.rstrip()
        before = " " * (indent + 2) if number else "\n" * above + " " * indent
        out.print(Text.assemble(before, part))


def _table(policies: Iterable[PolicyResult]) -> Table:
    """Fits 80 columns: only names are folded, a figure never is."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("policy, target", overflow="fold")
    for name in ("expired", "held", "destroyed"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    for policy in policies:
        for row in _rows(policy):
            table.add_row(*row)
    return table


def _rows(policy: PolicyResult) -> Iterator[tuple[Any, ...]]:
    name = f"{policy.policy}, {policy.retention_days} d"
    yield (name, "", "", "", "") if policy.targets else (name, "-", "-", "-", _label(policy.outcome))
    for target in policy.targets:
        plan, survey, totals = target.plan, target.survey, target.totals
        yield (
            Text(f"  {target.target}"),
            str(survey.expired) if plan and survey else "-",
            str(survey.held) if plan and survey else "-",
            str(totals.items) if totals else "-",
            _label(target.outcome),
        )


def _label(outcome: Outcome) -> Text:
    style = "green" if outcome in _GOOD else "dim" if outcome in _PALE else "bold red"
    return Text(outcome.label, style=style)


def _policy_lines(policy: PolicyResult) -> Iterator[Text]:
    if policy.sentence:
        yield Text.assemble(("\n" + policy.policy, "bold"), f": {policy.sentence}")
    if policy.hint:
        yield _hint(policy.hint)
    if policy.operation:
        yield from _operation_lines(policy.policy, policy.operation)
    for target in policy.targets:
        yield Text.assemble(("\n" + policy.policy, "bold"), f" {target.target}: {target.sentence}")
        yield from _target_lines(target)


def _operation_lines(policy: str, operation: Operation) -> Iterator[Text]:
    yield Text.assemble(("\n" + policy, "bold"), f" {operation.values['name']}: {operation.sentence}")
    for found in operation.values.get("sets", ()):
        for file in found["rotated"]["items"][:_PARTS]:
            yield Text(f"  {file['path']} -> {file['to']}: {file['sentence']}")
        for word, key, style in (("warning", "left", "yellow"), ("failed", "failures", "red")):
            for sentence in found[key]["items"]:
                yield Text(f"  {word}: {sentence}", style)
            if more := found[key]["count"] - len(found[key]["items"]):
                yield Text(f"  {word}: and {more} more", style)


def _target_lines(target: TargetResult) -> Iterator[Text]:
    if target.hint:
        yield _hint(target.hint)
    if target.approve:
        yield _hint(f"a person may approve this plan: luxima-retention approve --key FILE {target.approve}")
    for verdict in target.verdicts:
        if not verdict.passed:
            yield Text(
                f"  refused by {verdict.guard}: observed {verdict.observed}, limit {verdict.limit}", "red"
            )
            if verdict.hint and verdict.hint != target.hint:
                yield _hint(verdict.hint)
    if target.plan is not None:
        yield Text(f"  cutoff: {both_zones(target.plan.cutoff)}", "dim")
        for reason in target.plan.reasons:
            yield Text(f"  {reason.items:>12,} {reason.verdict}: {reason.sentence}")
    yield from _survey_lines(target)
    yield from _done_lines(target)


def _survey_lines(target: TargetResult) -> Iterator[Text]:
    survey = target.survey
    if survey is None:
        return
    for finding in survey.findings:
        if finding.message != target.sentence:
            yield Text(
                f"  {finding.level}: {finding.message}", "dim" if finding.level == "info" else "yellow"
            )
            if finding.hint:
                yield _hint(finding.hint)
    if target.outcome in {Outcome.WOULD_DELETE, Outcome.WOULD_REFUSE}:
        yield from _parts(survey)
    if survey.forecast and target.outcome in {Outcome.WOULD_DELETE, Outcome.WOULD_REFUSE}:
        yield Text(f"  forecast: {_forecast(survey.forecast)}")


def _parts(survey: Survey) -> Iterator[Text]:
    """What would be deleted, sliced, the largest slices of many."""
    shown = sorted(survey.parts, key=lambda part: part.items, reverse=True)[:_PARTS]
    for part in survey.parts:
        if part in shown:
            told = f", {size(part.size_bytes)}" if part.size_bytes else ""
            yield Text(f"  {part.items:>12,} {part.name}{told}", "dim")
    if len(survey.parts) > len(shown):
        yield Text(f"               and {len(survey.parts) - len(shown)} more, all in the JSON", "dim")


def _forecast(forecast: Any) -> str:
    told = {
        "batches": lambda value: f"{value} batches",
        "seconds": lambda value: f"about {value} s",
        "wal_bytes": lambda value: f"{size(value)} of WAL",
        "reusable_bytes": lambda value: f"{size(value)} reusable afterwards (not given back to the disk)",
    }
    return ", ".join(
        told[name](value) if name in told else f"{value} {name}" for name, value in forecast.items()
    )


def _done_lines(target: TargetResult) -> Iterator[Text]:
    totals = target.totals
    if totals is None or not totals.batches:
        return
    parts = [f"{totals.batches} batches"]
    parts += [f"{name} {value / 1000:.1f} s" for name, value in target.milliseconds.items()]
    parts += [f"archived {size(totals.archived_bytes)}"] if totals.archived_bytes else []
    parts += [
        f"waited {value / 1000:.1f} s for {name.removeprefix('wait_ms.')}"
        for name, value in totals.metrics.items()
        if name.startswith("wait_ms.") and value
    ]
    yield Text(f"  {', '.join(parts)}", "dim")
    if target.archive:
        yield Text(f"  archive: {target.archive}", "dim")
    yield Text(f"  run {target.run_id}" + (", resumed" if target.resumed else ""), "dim")


def _hint(hint: str) -> Text:
    return Text(f"  hint: {hint}", "cyan")


def render_plans(plans: Iterable[Plan]) -> None:
    """What a real run is about to destroy, on stderr, before it asks."""
    out = console(stderr=True)
    for plan in plans:
        out.print(
            f"{plan.policy} {plan.identity.target}: {plan.items:,} records before {both_zones(plan.cutoff)}"
        )
        for reason in plan.reasons:
            out.print(f"  {reason.items:>12,} {reason.verdict}: {reason.sentence}")
