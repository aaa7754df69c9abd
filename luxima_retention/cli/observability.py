"""``luxima-retention observability``: rules and dashboards as files, and whether they have what they need."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from luxima_retention.cli.common import output_option

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.tell.observability.check import Missing

_DIRECTORY = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("observability"),
    help="Where the files are.",
)


@click.group("observability")
def command() -> None:
    """Write, check and compare alert rules, dashboards and provisioning."""


@command.command("generate")
@_DIRECTORY
@click.pass_context
def generate(context: click.Context, directory: Path) -> None:
    """Write every file anew, for the policies that are configured; all of them where none is."""
    for path, text in _files(context.obj.settings).items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text, encoding="utf-8")
        click.echo(directory / path)


@command.command("check")
@_DIRECTORY
@click.option("--prometheus", metavar="URL", help="Ask this Prometheus which metrics it has.")
@output_option
@click.pass_context
def check(context: click.Context, directory: Path, prometheus: str | None, output: str) -> int:
    """Compare the files with what would be written, lint them, and tell which metrics nobody exports.

    Exit status: 0 all well, 8 a file differs, is wrong, or asks for a metric that the Prometheus lacks.
    """
    from luxima_retention.core.errors import ExitCode
    from luxima_retention.tell.observability.check import missing
    from luxima_retention.tell.observability.lint import lint

    files = _files(context.obj.settings)
    differs = [path for path, text in files.items() if _text(directory / path) != text]
    wrong = lint(files)
    lacking = missing(files, prometheus) if prometheus else []
    if output == "json":
        told = {
            "version": 1,
            "differs": differs,
            "wrong": wrong,
            "missing": [_member(item) for item in lacking],
        }
        click.echo(json.dumps(told, indent=2))
    else:
        for line in _lines(differs, wrong, lacking):
            click.echo(line)
    return ExitCode.DRIFT if differs or wrong or lacking else ExitCode.DONE


@command.command("forget")
@click.argument("policy")
@click.pass_context
def forget(context: click.Context, policy: str) -> None:
    """Delete from the Pushgateway what POLICY has told; for a policy that is no more."""
    from luxima_retention.core.errors import ConfigurationError
    from luxima_retention.tell import pushing
    from luxima_retention.tell.telemetry import pushgateway

    telemetry = context.obj.settings.telemetry
    if not telemetry.pushgateway_url:
        raise ConfigurationError("no Pushgateway is configured", "set telemetry.pushgateway_url")
    pushing.forget(pushgateway(telemetry), {"environment": telemetry.environment, "policy": policy})
    click.echo(f"{policy} is forgotten")


def _files(settings: Settings) -> Mapping[str, str]:
    from luxima_retention.run.runner import configured
    from luxima_retention.tell.observability.files import files

    return files(configured(settings) or tuple(settings.policies), settings.telemetry.environment)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _member(item: Missing) -> dict[str, object]:
    return {"name": item.name, "used_by": list(item.used_by), "exported_by": item.exported_by}


def _lines(differs: list[str], wrong: list[str], lacking: list[Missing]) -> Iterator[str]:
    yield from (f"differs  {path}: run `luxima-retention observability generate`" for path in differs)
    yield from (f"wrong    {sentence}" for sentence in wrong)
    for item in lacking:
        yield f"missing  {item.name}: exported by {item.exported_by}; used by {', '.join(item.used_by)}"
    if not differs and not wrong and not lacking:
        yield "all well"
