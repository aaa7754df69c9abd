"""``luxima-retention explain``: why one record goes or stays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from luxima_retention.cli.common import both_zones, fitted, output_option, policy_type

if TYPE_CHECKING:
    from luxima_retention.run.explain import Explained


@click.command("explain")
@click.argument("policy", type=policy_type)
@click.argument("item")
@output_option
@click.pass_context
def command(context: click.Context, policy: str, item: str, output: str) -> int:
    """Say why ITEM of POLICY will go or stay, by which rule, and on which date.

    ITEM is a row's key (several columns separated by commas), an object's key, or a file's path.
    """
    from luxima_retention.core.clock import iso
    from luxima_retention.core.errors import ExitCode
    from luxima_retention.run.explain import explain

    told = explain(context.obj.settings, policy, item)
    found = told.explanation
    if output == "json":
        values: dict[str, Any] = {
            "policy": policy,
            "item": found.item,
            "verdict": found.verdict,
            "rule": found.rule,
            "sentence": found.sentence,
            "dated": iso(found.dated) if found.dated else None,
            "due": iso(found.due) if found.due else None,
            "refused": list(told.refused),
        }
        click.echo(json.dumps(values, indent=2))
    else:
        _print(told)
    return ExitCode.INCOMPLETE if found.verdict == "absent" else ExitCode.DONE


def _print(told: Explained) -> None:

    found = told.explanation
    click.echo(fitted(f"{found.item} {found.verdict}: {found.sentence} (rule: {found.rule})"))
    if found.dated:
        click.echo(f"dated {both_zones(found.dated)}")
    if found.due:
        since = "since " if found.verdict == "goes" else ""
        click.echo(
            fitted(f"due   {since}{both_zones(found.due)}: the first time that a run may delete it", " " * 6)
        )
    for sentence in told.refused:
        click.echo(fitted(f"a run would refuse now: {sentence}"))
