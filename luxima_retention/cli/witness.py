"""``luxima-retention witness``: cosign the ledgers of another party, after checking that they only grow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from luxima_retention.cli.common import listening

if TYPE_CHECKING:
    from http.server import ThreadingHTTPServer

    from luxima_retention.evidence.ledger.verify import Key
    from luxima_retention.evidence.witness.service import Cosigner


@click.group("witness")
def command() -> None:
    """Be the second party that cosigns a ledger. It needs no settings and no database."""


_KEY = click.option(
    "--key",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Its Ed25519 key, PEM; used for nothing else.",
)
_NAME = click.option("--name", required=True, help="Name of the witness, as a URL without a scheme.")


@command.command("keygen")
@_KEY
@_NAME
def make_key(path: Path, name: str) -> None:
    """Make a witness's key; print the verifier key for ledger.witnesses and `verify.py --witness`."""
    from luxima_retention.evidence.ledger.checkpoint import generate

    _check_name(name)
    generate(path, name)
    click.echo(str(_cosigner(path, name).key))


@command.command("serve")
@_KEY
@_NAME
@click.option(
    "--log",
    "logs",
    required=True,
    multiple=True,
    metavar="KEY",
    help="Verifier key of a ledger; again for more.",
)
@click.option(
    "--state",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory that keeps the last head of each ledger; must outlive the process.",
)
@click.option(
    "--listen",
    default="127.0.0.1:8043",
    show_default=True,
    metavar="HOST:PORT",
    callback=listening,
    help="Address.",
)
def serve(path: Path, name: str, *, logs: tuple[str, ...], state: Path, listen: tuple[str, int]) -> None:
    """Answer add-checkpoint and checkpoint of C2SP tlog-witness, until SIGTERM.

    Put a TLS proxy before it. To accept a ledger again whose owner recovered it from a backup, move its file
    out of --state; whether you do is yours to decide.
    """
    from luxima_retention.core.clock import system_clock
    from luxima_retention.evidence.ledger.checkpoint import library_verifies
    from luxima_retention.evidence.witness.service import Witness, bound

    _check_name(name)
    host, port = listen
    known: dict[str, tuple[Key, ...]] = {}
    for key in map(_log, logs):
        known[key.name] = (*known.get(key.name, ()), key)
    cosigner = _cosigner(path, name)
    state.mkdir(parents=True, exist_ok=True)
    server = bound(Witness(cosigner, known, state, library_verifies, system_clock), host, port)
    click.echo(f"{cosigner.key} answers at http://{host}:{server.server_port}", err=True)
    _until_told(server)


def _until_told(server: ThreadingHTTPServer) -> None:
    """Serve until SIGTERM or SIGINT; a request that is being answered is answered."""
    import signal
    import threading

    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the loop that this handler interrupts.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    with server:
        server.serve_forever()


def _log(text: str) -> Key:
    from luxima_retention.core.errors import ConfigurationError
    from luxima_retention.evidence.ledger.verify import SIGNER, Key

    try:
        key = Key.parse(text)
    except ValueError as error:
        raise ConfigurationError(f"--log cannot be used: {error}") from error
    if key.kind != SIGNER:
        raise ConfigurationError(f"{text} is the key of a witness", "name the one of `ledger keygen`")
    return key


def _cosigner(path: Path, name: str) -> Cosigner:
    from luxima_retention.evidence.ledger.checkpoint import Signer
    from luxima_retention.evidence.witness.service import Cosigner

    return Cosigner(name, Signer.load(path, name).private)


def _check_name(name: str) -> None:
    from luxima_retention.core.errors import ConfigurationError

    if not name or any(char.isspace() or char == "+" for char in name):
        raise ConfigurationError(f"--name is {name!r}", "it must have neither white space nor a plus")
