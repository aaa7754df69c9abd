"""``luxima-retention explain``: why one record goes or stays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from luxima_retention.cli.common import output_option, policy_type

if TYPE_CHECKING:
    from luxima_retention.core.plan import Explanation, Hold
    from luxima_retention.stores.kind import Target


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
    from luxima_retention.core.errors import ConfigurationError, ExitCode
    from luxima_retention.run.runner import policy_config
    from luxima_retention.stores.kind import Opening
    from luxima_retention.stores.registry import kind_of

    config = policy_config(context.obj.settings, policy)
    kind, days = kind_of(config), config.options.retention_days
    if missing := kind.missing(config):
        raise ConfigurationError(f"{policy} has no store", f"set {missing}")
    targets = kind.targets(config, Opening())
    holds = tuple(hold for hold in context.obj.holds() if hold.covers(policy))
    found = _first_found(targets, item, policy, days, holds)
    if output == "json":
        values: dict[str, Any] = {
            "policy": policy,
            "item": found.item,
            "verdict": found.verdict,
            "rule": found.rule,
            "sentence": found.sentence,
            "dated": iso(found.dated) if found.dated else None,
            "due": iso(found.due) if found.due else None,
        }
        click.echo(json.dumps(values, indent=2))
    else:
        _print(found)
    return ExitCode.INCOMPLETE if found.verdict == "absent" else ExitCode.DONE


def _first_found(
    targets: tuple[Target, ...], item: str, policy: str, days: int, holds: tuple[Hold, ...]
) -> Explanation:
    """The explanation of the first target that knows the item; else the last one's."""
    from luxima_retention.core.clock import system_clock
    from luxima_retention.core.errors import ConfigurationError
    from luxima_retention.core.plan import Request, conservative_now, cutoff_at
    from luxima_retention.core.protocol import Expirable

    found: Explanation | None = None
    now = system_clock()
    for _, opener in targets:
        store = opener()
        try:
            if not isinstance(store, Expirable):
                continue
            present, _ = conservative_now(now, store.clock(), None)
            cutoff = cutoff_at(days, present)
            request = Request(policy=policy, retention_days=days, cutoff=cutoff, now=now, holds=holds)
            found = store.explain(item, request)
        finally:
            store.close()
        if found.verdict != "absent":
            return found
    if found is None:
        raise ConfigurationError(f"{policy} is only checked: nothing of it is ever deleted by us")
    return found


def _print(found: Explanation) -> None:
    from luxima_retention.cli.render import both_zones

    click.echo(f"{found.item} {found.verdict}: {found.sentence} (rule: {found.rule})")
    if found.dated:
        click.echo(f"dated {both_zones(found.dated)}")
    if found.due:
        click.echo(f"due   {both_zones(found.due)}: the first instant at which a run would take it")
