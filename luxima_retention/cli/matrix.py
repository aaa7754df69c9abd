"""``luxima-retention matrix``: what is in force, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from luxima_retention.cli.common import both_zones, fitted, output_option

if TYPE_CHECKING:
    from luxima_retention.config.sources import Configuration

#: below what a line says, which begins with what it is about
_INDENT = " " * 15


@click.command("matrix")
@output_option
@click.pass_context
def command(context: click.Context, output: str) -> None:
    """Print the matrix in force: periods, stores, dispositions, next runs, and where each value came from."""
    from luxima_retention.core.clock import system_clock

    configuration = context.obj.configuration
    now = system_clock()
    rows = [_row(configuration, name, now) for name in configuration.settings.policies]
    if output == "json":
        file = str(configuration.file) if configuration.file else None
        click.echo(json.dumps({"version": 1, "file": file, "policies": rows}, indent=2))
    else:
        for line in _lines(rows, configuration):
            click.echo(fitted(line, _INDENT))


def _row(configuration: Configuration, name: str, now: datetime) -> dict[str, Any]:
    from luxima_retention.core.clock import iso
    from luxima_retention.run.matrix import about, archives, bound, next_run
    from luxima_retention.stores.registry import kind_of

    policy = configuration.settings.policy(name)
    missing, said, following = kind_of(policy).missing(policy), about(policy), next_run(policy, now)
    return {
        "policy": name,
        "kind": said.kind,
        "log_type": said.log_type,
        "retention_days": policy.options.retention_days,
        "storage": said.storage,
        "disposition": said.disposition,
        "archives": archives(policy),
        "basis": said.basis,
        "owner": said.owner,
        "review_by": said.review_by,
        "schedule": said.schedule,
        "next_run": iso(following) if following and not missing else None,
        "bound_seconds": int(bound(policy).total_seconds()) if said.schedule else None,
        "missing": missing,
        "values": {
            key: {"value": value, "origin": configuration.origin(f"policies.{name}.{key}")}
            for key, value in _values(policy.options).items()
        },
    }


def _values(options: Any) -> dict[str, Any]:
    from luxima_retention.core.durations import spelled

    values: dict[str, Any] = options.model_dump(mode="json")
    return {**values, "max_silence": spelled(options.max_silence)}


def _lines(rows: list[dict[str, Any]], configuration: Configuration) -> Iterator[str]:
    """One block for each policy, within 80 columns where its names are."""
    for row in rows:
        yield from _block(row)
        yield from _set_by_somebody(row)
        yield ""
    yield f"settings file: {configuration.file or 'none'}"


def _block(row: dict[str, Any]) -> Iterator[str]:
    days = row["values"]["retention_days"]
    what = "" if row["log_type"] == row["policy"] else f"{row['log_type']}, "
    yield f"{row['policy']}: {what}{days['value']} days ({days['origin']})"
    yield f"  store        {row['storage']}"
    yield f"  at the end   {row['disposition']}{_why(row)}"
    if row["basis"]:
        yield f"  basis        {row['basis']}"
    owner = ", ".join(filter(None, (row["owner"], row["review_by"] and f"review by {row['review_by']}")))
    if owner:
        yield f"  owner        {owner}"
    if row["missing"]:
        yield f"  not configured: set {row['missing']}"
    elif row["next_run"]:
        yield f"  next run     {both_zones(datetime.fromisoformat(row['next_run']))} ({row['schedule']})"
        yield f"  oldest ever  {_days(row)}: period, rounding to a day, and the time between runs"
    else:
        yield "  next run     none: it has no schedule"


def _why(row: dict[str, Any]) -> str:
    """Why records go without an archive, where the kind could have one."""
    if row["disposition"] != "destroy":
        return ""
    return "; archive = off" if row["values"]["archive"]["value"] == "off" else "; no archive is configured"


def _days(row: dict[str, Any]) -> str:
    from datetime import timedelta

    from luxima_retention.core.durations import in_words

    return in_words(timedelta(days=row["retention_days"], seconds=row["bound_seconds"]))


def _set_by_somebody(row: dict[str, Any]) -> Iterator[str]:
    """Values that are not defaults, with their origin; secrets stay hidden."""
    shown = {"retention_days", "basis", "owner", "review_by", "kind", "log_type", "schedule"}
    for key, item in row["values"].items():
        if key not in shown and item["origin"] != "default":
            value = item["value"]
            told = _number(len(value)) if isinstance(value, (list, dict)) else value
            yield f"  {key} = {told} ({item['origin']})"


def _number(entries: int) -> str:
    return "1 entry" if entries == 1 else f"{entries} entries"
