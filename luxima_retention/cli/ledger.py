"""``luxima-retention ledger``: read, verify, sign and hand over the chain of entries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from luxima_retention.cli.common import fitted, warn

if TYPE_CHECKING:
    from luxima_retention.evidence.ledger import Entry, Ledger


@click.group("ledger")
def command() -> None:
    """Read, verify and export the ledger of everything that was decided and destroyed."""


@command.command("list")
@click.option("--policy", help="Only entries of this policy.")
@click.option("--kind", "kinds", multiple=True, help="Only entries of this kind; may be given again.")
@click.option("--after", default=0, metavar="SEQ", help="Only entries numbered above this one.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
@click.pass_context
def list_entries(
    context: click.Context, policy: str | None, kinds: tuple[str, ...], after: int, output: str
) -> None:
    """Print entries in their order; as JSON, the very bytes that are hashed, one entry a line."""
    with _opened(context) as ledger:
        for entry in ledger.entries(after, kinds or None, policy):
            click.echo(entry.data if output == "json" else fitted(_line(entry), " " * 8))


@command.command("verify")
@click.option("--key", "pinned", metavar="KEY", help="Verifier key to pin; default: ledger.public_key.")
@click.option(
    "--checkpoint",
    "kept",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A checkpoint that you kept yourself; may be given again.",
)
@click.option("--record", is_flag=True, help="Enter the result into the ledger, and sign it: for schedules.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
@click.pass_context
def verify_ledger(
    context: click.Context, *, pinned: str | None, kept: tuple[Path, ...], record: bool, output: str
) -> None:
    """Follow the whole ledger, and compare it with its checkpoints, those of its anchors, and the holds.

    It ends with 6 where something is not what was written. Without a pinned key the ledger only agrees with
    itself: that is said, and nothing is called verified.
    """
    import json

    from luxima_retention.core.clock import system_clock
    from luxima_retention.evidence.approvals import approver_keys
    from luxima_retention.evidence.ledger import trust
    from luxima_retention.evidence.ledger.checkpoint import open_anchors, trusted_key, verify
    from luxima_retention.evidence.ledger.session import begin

    settings, now = context.obj.settings.ledger, system_clock()
    with _verdict_told(context), _opened(context) as ledger:
        key = trusted_key(settings, pinned, ledger)
        witnesses = trust.witness_keys(settings)
        people = approver_keys(settings)
        verdict = verify(ledger, open_anchors(context.obj.settings), key, kept, witnesses, approvers=people)
        _compare_holds(context.obj.settings)
        if record:
            session = begin(context.obj.settings, ledger, now)
            ledger.append(trust.verified(settings, verdict), policy=None, at=now)
            if session is not None:
                session.sign(now)
    gaps = trust.gaps(settings, verdict, pinned=pinned)
    result = trust.told(settings, verdict, gaps)
    if output == "json":
        click.echo(json.dumps(result, indent=2))
        return
    for line in _sentence(result).splitlines():
        click.echo(fitted(line, " " * 11))


@command.command("keygen")
@click.option(
    "--rotate", type=click.Path(path_type=Path), metavar="FILE", help="File for the key that follows."
)
@click.pass_context
def make_key(context: click.Context, rotate: Path | None) -> None:
    """Make the key that signs checkpoints, and print the verifier key that others pin.

    The key goes to ledger.key_file. With --rotate, a new one goes to FILE, the old one vouches for it in
    the ledger, and ledger.key_file must name FILE from then on.
    """
    from luxima_retention.core.clock import system_clock
    from luxima_retention.core.errors import ConfigurationError
    from luxima_retention.evidence.ledger.checkpoint import (
        check_unsigned,
        create,
        generate,
        open_anchors,
        open_signer,
        rotate_key,
    )
    from luxima_retention.evidence.ledger.session import begin

    settings = context.obj.settings.ledger
    if not settings.key_file:
        raise ConfigurationError("ledger.key_file is empty", "set it to the path of the key")
    with _opened(context) as ledger:
        anchors = open_anchors(context.obj.settings)
        old = open_signer(settings) if rotate else None
        check_unsigned(ledger, anchors) if old is None else begin(
            context.obj.settings, ledger, system_clock()
        )
        signer = generate(rotate or Path(settings.key_file), settings.origin)
        if old is None:
            create(ledger, signer, anchors, system_clock())
        else:
            rotate_key(ledger, old, signer, anchors, system_clock())
    click.echo(str(signer.key))


@command.command("approver")
@click.argument("name")
@click.option(
    "--key",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the key; on the person's own machine.",
)
def make_approver(name: str, path: Path) -> None:
    """Make the key of a person who may approve what was refused; print what ledger.approvers takes.

    NAME is how the ledger and the report name the person, without spaces and plus signs. Needs no settings.
    """
    from luxima_retention.core.errors import ConfigurationError
    from luxima_retention.evidence.ledger.checkpoint import generate

    if not name or not name.isprintable() or any(char.isspace() or char in "+," for char in name):
        raise ConfigurationError(f"{name!r} has spaces, a plus sign or a comma", "write it as rina.wijaya")
    click.echo(str(generate(path, name).key))


@command.command("recover")
@click.option("--reason", required=True, help="What was lost and why, for the auditor; no personal data.")
@click.pass_context
def recover_ledger(context: click.Context, reason: str) -> None:
    """Go on after a loss, with an entry that says what was kept and what is gone.

    For a database that was restored from a backup, an anchor that is new or was emptied, and a lost key: a
    new one is made where ledger.key_file is not there. It is an exception of the next report.
    """
    from luxima_retention.core.clock import system_clock
    from luxima_retention.evidence.ledger.session import recover

    with _opened(context) as ledger:
        made = recover(context.obj.settings, ledger, reason, system_clock())
    click.echo(f"recovered: {made.size} entries are signed, root {made.root}")


@command.command("export")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--key", "pinned", metavar="KEY", help="Verifier key to include; default: ledger.public_key.")
@click.pass_context
def export_bundle(context: click.Context, directory: Path, pinned: str | None) -> None:
    """Write a bundle that a third party can verify with Python alone, or with sha256sum and openssl."""
    from luxima_retention.core.clock import system_clock
    from luxima_retention.evidence.ledger.bundle import export
    from luxima_retention.evidence.ledger.checkpoint import open_anchors, open_signer, trusted_key
    from luxima_retention.evidence.ledger.session import begin

    settings = context.obj.settings.ledger
    with _opened(context) as ledger:
        begin(context.obj.settings, ledger, system_clock())
        key = trusted_key(settings, pinned, ledger)
        names = export(ledger, open_anchors(context.obj.settings), key, directory, open_signer(settings))
    click.echo(f"{len(names)} files in {directory}; VERIFY.txt there says how to verify them", err=True)


def _compare_holds(settings: Any) -> None:
    """Hold the register of holds against the ledger."""
    from luxima_retention.run.state import open_state

    state = open_state(settings)
    if state is not None:
        try:
            state.register.all()
        finally:
            state.close()


@contextmanager
def _verdict_told(context: click.Context) -> Iterator[None]:
    """Tell whether the ledger was whole; one that could not be read is told by nobody, and grows stale."""
    from luxima_retention.core.clock import system_clock
    from luxima_retention.core.errors import TamperingFound
    from luxima_retention.tell.telemetry import Telemetry

    def tell(*, whole: bool) -> None:
        for warning in Telemetry(context.obj.settings).verified(system_clock(), whole=whole):
            warn(warning)

    try:
        yield
    except TamperingFound:
        tell(whole=False)
        raise
    tell(whole=True)


class _opened:  # noqa: N801 - used like a function
    """The configured ledger, closed at the end of the block."""

    def __init__(self, context: click.Context) -> None:
        self._settings: Any = context.obj.settings

    def __enter__(self) -> Ledger:
        from luxima_retention.evidence.ledger import open_ledger

        dsn = self._settings.database.dsn
        self._ledger = open_ledger(dsn.get_secret_value() if dsn else "", self._settings.ledger.path)
        return self._ledger

    def __exit__(self, *_: object) -> None:
        self._ledger.close()


def _line(entry: Entry) -> str:
    """``    12  2026-11-23T08:30:00Z  audit-logs  batch  items=100 number=3``."""
    facts = " ".join(_facts(entry.body))
    return (
        f"{entry.seq:>6}  {entry.at:%Y-%m-%dT%H:%M:%SZ}  {entry.policy or '-':<16}  {entry.kind:<16}  {facts}"
    )


def _facts(body: Any) -> Iterator[str]:
    """The short facts of a body; what is nested is left to ``--output json``, and so is what is empty."""
    return (f"{key}={_quoted(value)}" for key, value in body.items() if isinstance(value, (str, int)))


def _quoted(value: str | int) -> str:
    """In quotes where it would not be seen where it ends."""
    text = str(value)
    return text if text and not any(char.isspace() for char in text) else f'"{text}"'


def _sentence(result: dict[str, Any]) -> str:
    word = "whole" if result["pinned"] and result["key"] else "in agreement with itself, and not verified"
    approved = "".join(
        f"\napproved   {count} plans or proposals that were carried out, signed by {name}"
        for name, count in result["approved"].items()
    )
    witnessed = "".join(
        f"\nwitnessed  {item['entries']} entries by {item['witness']} at {item['at']}"
        for item in result["witnessed"]
    )
    gaps = "".join(f"\nnot proved {gap['sentence']}" for gap in result["gaps"])
    return (
        f"the ledger is {word}: {result['entries']} entries up to {result['until'] or '-'},"
        f" {result['signed']} of them signed, {result['checkpoints']} checkpoints"
        f" and {len(result['anchors'])} anchors agree"
        f"\nkey  {result['key']}\nroot {result['root']}\nhead {result['head']}{approved}{witnessed}{gaps}"
    )
