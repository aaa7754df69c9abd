"""``luxima-retention manifests``: CronJobs, Helm chart and crontab from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from luxima_retention.cli import Context


@click.command("manifests")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIRECTORY",
    help="Where base/, chart/, components/ and crontab are written.",
)
@click.option("--check", is_flag=True, help="Write nothing; print the files that differ, and exit with 8.")
@click.pass_context
def command(context: click.Context, *, output: Path, check: bool) -> int:
    """Write kustomize base, Helm chart and crontab of the policies that are configured.

    Secrets come from secret files or the environment, and become references to Secrets; everything else must
    stand in the settings file, which the pods get. It never overwrites a file that it did not write.
    """
    from luxima_retention.core.errors import ExitCode
    from luxima_retention.run.manifests import SETTINGS, differing, manifests, write

    shared: Context = context.obj
    file = shared.configuration.file
    wanted = manifests(shared.configuration)
    if file is not None and file.resolve() == (output / SETTINGS).resolve():
        wanted.pop(SETTINGS, None)
    names = differing(wanted, output) if check else write(wanted, output)
    for name in names:
        click.echo(name)
    return ExitCode.DRIFT if check and names else ExitCode.DONE
