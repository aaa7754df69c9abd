"""``luxima-retention matrix``: what is in force, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from luxima_retention.cli.common import output_option

if TYPE_CHECKING:
    from luxima_retention.config.matrix import PolicyDefault
    from luxima_retention.config.sources import Configuration


@click.command("matrix")
@output_option
@click.pass_context
def command(context: click.Context, output: str) -> None:
    """Print the matrix in force, and where each value came from."""
    from luxima_retention.config.matrix import MATRIX

    configuration = context.obj.configuration
    rows = [_row(configuration, policy) for policy in MATRIX]
    if output == "json":
        file = str(configuration.file) if configuration.file else None
        click.echo(json.dumps({"version": 1, "file": file, "policies": rows}, indent=2))
    else:
        _print(rows, configuration)


def _row(configuration: Configuration, policy: PolicyDefault) -> dict[str, Any]:
    from luxima_retention.core.durations import spelled
    from luxima_retention.run.job import Opening, load

    chosen = getattr(configuration.settings.policies, policy.key)
    job = load(policy.name)
    values = chosen.model_dump(mode="json")
    values |= {name: spelled(getattr(chosen, name)) for name in ("max_silence", "every")}
    return {
        "policy": policy.name,
        "log_type": policy.log_type,
        "storage": policy.storage,
        "job": policy.job,
        "disposition": policy.disposition,
        "configured": bool(job.targets(configuration.settings, Opening())),
        "missing": job.missing,
        "values": {
            name: {"value": value, "origin": _origin(configuration, policy.key, name)}
            for name, value in values.items()
        },
    }


def _origin(configuration: Configuration, key: str, name: str) -> str:
    origin = configuration.origin(f"policies.{key}.{name}")
    return "matrix" if origin == "default" and name in _OF_THE_MATRIX else origin


_OF_THE_MATRIX = frozenset({"retention_days", "max_silence", "min_remaining"})


def _print(rows: list[dict[str, Any]], configuration: Configuration) -> None:
    from rich.table import Table

    from luxima_retention.cli.render import console

    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("policy", "keeps", "from", "storage", "disposition", "configured"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        days = row["values"]["retention_days"]
        configured = "yes" if row["configured"] else f"no: set {row['missing']}"
        table.add_row(
            row["policy"],
            f"{days['value']} d",
            days["origin"],
            row["storage"],
            row["disposition"],
            configured,
        )
    out.print(table)
    out.print(f"\nsettings file: {configuration.file or 'none'}")
    for row in rows:
        for name, item in row["values"].items():
            if name != "retention_days" and item["origin"] not in {"default", "matrix"}:
                key = row["policy"].replace("-", "_")
                out.print(f"policies.{key}.{name} = {item['value']} ({item['origin']})")
