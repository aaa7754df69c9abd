"""``luxima-retention doctor``: reach everything and say what is missing."""

from __future__ import annotations

import json

import click

from luxima_retention.cli.common import fitted, output_option

_STYLES = {"info": "green", "warning": "yellow"}
#: below the level
_INDENT = " " * 8


@click.command("doctor")
@output_option
@click.pass_context
def command(context: click.Context, output: str) -> int:
    """Reach every store; check rights, clocks, versions, indexes, ledger, holds and archive.

    Changes nothing. The exit status is that of the worst finding, from the same table as run's.
    """
    from luxima_retention.core.clock import system_clock
    from luxima_retention.core.errors import worst
    from luxima_retention.run.doctor import examine

    checks = list(examine(context.obj.settings, system_clock))
    code = worst(check.code for check in checks)
    if output == "json":
        values = [
            {
                "subject": check.subject,
                "level": str(check.level),
                "message": check.message,
                "hint": check.hint,
                "exit_code": int(check.code),
            }
            for check in checks
        ]
        click.echo(json.dumps({"version": 1, "exit_code": int(code), "checks": values}, indent=2))
        return code
    for check in checks:
        line = fitted(f"{check.level:<8}{check.subject}: {check.message}", _INDENT)
        click.echo(click.style(line[:8], fg=_STYLES.get(check.level, "red")) + line[8:])
        if check.hint:
            click.echo(fitted(f"{_INDENT}hint: {check.hint}", _INDENT))
    click.echo(f"exit {int(code)}")
    return code
