"""``luxima-retention hold``: legal holds, placed and released by people."""

from __future__ import annotations

import getpass
import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from luxima_retention.cli.common import Instant, fitted, output_option, policy_type

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.core.plan import Hold
    from luxima_retention.core.protocol import Surveyable
    from luxima_retention.evidence.holds import Registered
    from luxima_retention.run.state import State


def _user() -> str:
    """The user's name; in a container without one, the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@click.group("hold")
def command() -> None:
    """Place, list and release legal holds: what a hold names is kept until it is released."""


@command.command("add")
@click.option("--policy", type=policy_type, help="The policy that it covers; default: all of them.")
@click.option("--tenant", help="Only records of this tenant.")
@click.option("--subject", help="Only records of this subject, as the mapped column names it.")
@click.option("--from", "start", type=Instant(), help="Only records dated at or after this instant.")
@click.option("--to", "end", type=Instant(), help="Only records dated before this instant.")
@click.option("--path", help="Only files whose path matches this pattern.")
@click.option("--reason", required=True, help="Why, for the register; the ledger keeps its digest only.")
@click.option("--case", "case_ref", default="", help="Reference of the case.")
@click.option("--by", "placed_by", default=_user, help="Who places it; default: the user.")
@click.option(
    "--review-by",
    type=Instant(),
    metavar="DATE",
    help="Reminder: from then on doctor and the report say that its review is overdue.",
)
@click.option("--id", "hold_id", help="Its name; default: H- and eight characters.")
@output_option
@click.pass_context
def add(
    context: click.Context,
    /,
    *,
    hold_id: str | None,
    output: str,
    **named: Any,
) -> None:
    """Put a hold in force, from the next batch of a running job on.

    A hold that names nothing but its policy pauses the policy. What a policy's stores cannot tell apart is
    refused: a tenant, for example, where no tenant column is mapped.
    """
    from luxima_retention.core.clock import system_clock
    from luxima_retention.core.plan import Hold
    from luxima_retention.run.state import mirror_holds

    hold = Hold(hold_id=hold_id or f"H-{uuid.uuid4().hex[:8]}", placed_at=system_clock(), **named)
    _check(context.obj.settings, hold)
    with _state(context) as state:
        state.register.place(hold, state.ledger)
        mirror_holds(context.obj.settings, state)
    _tell(hold, tuple(_kept(context.obj.settings, hold)), output)


def _tell(hold: Hold, kept: tuple[_Kept, ...], output: str) -> None:
    """The hold, what it keeps now, and a warning where that is nothing."""
    from luxima_retention.evidence.holds import to_json

    if output == "json":
        document = {"version": 1, "hold": to_json(hold), "keeps": [asdict(item) for item in kept]}
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(fitted(f"{hold.hold_id} is in force: {_words(hold)}"))
        for item in kept:
            click.echo(item.sentence())
    if kept and not any(item.records or item.error for item in kept):
        click.echo(
            f"warning: {hold.hold_id} keeps no record now; check that tenant, subject and times are written"
            " as in the records",
            err=True,
        )


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Released ones as well.")
@output_option
@click.pass_context
def list_holds(context: click.Context, everything: bool, output: str) -> None:
    """Print the holds in force."""
    from luxima_retention.evidence.holds import to_json

    with _state(context) as state:
        found = state.register.all(active=not everything)
    if output == "json":
        values = [{**to_json(item.hold), "released": _released(item)} for item in found]
        click.echo(json.dumps({"version": 1, "holds": values}, indent=2))
        return
    for item in found:
        for line in _lines(item):
            click.echo(fitted(line, " " * 12))
    if not found:
        click.echo("no hold is in force")


@command.command("release")
@click.argument("hold_id")
@click.option("--reason", required=True, help="Why it ends.")
@click.option("--by", "released_by", default=_user, help="Who releases it; default: the user.")
@click.pass_context
def release(context: click.Context, hold_id: str, reason: str, released_by: str) -> None:
    """End a hold. Nothing is deleted by that; the next run applies the policy again."""
    from luxima_retention.core.clock import system_clock
    from luxima_retention.evidence.holds import Release
    from luxima_retention.run.state import mirror_holds

    with _state(context) as state:
        end = Release(at=system_clock(), by=released_by, reason=reason)
        state.register.release(hold_id, end, state.ledger)
        mirror_holds(context.obj.settings, state)
    click.echo(f"{hold_id} is released; the next run of its policy may delete what it kept")


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """How many records of a target a hold keeps now; ``None``, with the reason, where nobody could count."""

    policy: str
    target: str
    records: int | None
    error: str | None = None

    def sentence(self) -> str:
        if self.records is None:
            return f"  {self.policy} {self.target}: not counted: {self.error}"
        return f"  {self.policy} {self.target}: keeps {self.records} records now, expired or not"


def _kept(settings: Settings, hold: Hold) -> Iterator[_Kept]:
    """What the hold keeps in each target that can count it; the hold is in force whatever comes of this."""
    from luxima_retention.stores.kind import Opening
    from luxima_retention.stores.registry import kind_of

    for name in settings.policies:
        policy = settings.policy(name)
        kind = kind_of(policy)
        if not hold.covers(name) or kind.checks_only or kind.missing(policy) is not None:
            continue
        for target, opener in kind.targets(policy, Opening(read_only=True)):
            if (item := _counted(name, target, opener, hold)) is not None:
                yield item


def _counted(policy: str, target: str, opener: Callable[[], Surveyable], hold: Hold) -> _Kept | None:
    from luxima_retention.core.errors import RetentionError
    from luxima_retention.core.protocol import Matching

    try:
        store = opener()
        try:
            if not isinstance(store, Matching):
                return None
            return _Kept(policy=policy, target=target, records=store.matching(hold))
        finally:
            store.close()
    except RetentionError as error:
        return _Kept(policy=policy, target=target, records=None, error=error.message)


@contextmanager
def _state(context: click.Context) -> Iterator[State]:
    from luxima_retention.core.errors import ConfigurationError
    from luxima_retention.run.state import open_state

    state = open_state(context.obj.settings)
    if state is None:
        raise ConfigurationError("there is no hold register", "set database.dsn, or ledger.path")
    try:
        yield state
    finally:
        state.close()


def _check(settings: Settings, hold: Hold) -> None:
    """Refuse what would keep nothing: an empty name or range, a field that no configured store knows."""
    from luxima_retention.core.errors import ConfigurationError

    for option, value in (("--tenant", hold.tenant), ("--subject", hold.subject)):
        if value is not None and not value.strip():
            raise ConfigurationError(f"{option} {value!r} is empty", f"name one, or leave {option} out")
    if hold.start and hold.end and hold.start >= hold.end:
        raise ConfigurationError("the range of the hold is empty", "--from must be before --to")
    if hold.review_by and hold.placed_at and hold.overdue(hold.placed_at):
        raise ConfigurationError(
            f"--review-by {hold.review_by:%Y-%m-%d} is not in the future", "name the day of the next review"
        )
    for name, known in _covered(settings, hold):
        if unknown := sorted(hold.dimensions() - known):
            can = ", ".join(sorted(known)) or "nothing but the whole policy"
            raise ConfigurationError(
                f"{name} cannot hold by {', '.join(unknown)}: its stores know {can}",
                "map the column in the settings, or place the hold with --policy on what knows it",
            )


def _covered(settings: Settings, hold: Hold) -> Iterator[tuple[str, frozenset[str]]]:
    """The policies that the hold speaks of, each with what its stores can tell apart.

    A policy that the hold names is checked whether it is configured or not; one that is only checked,
    never deleted from, has nothing to hold.
    """
    from luxima_retention.stores.registry import kind_of

    for name in settings.policies:
        policy = settings.policy(name)
        kind = kind_of(policy)
        deletes = not kind.checks_only and kind.missing(policy) is None
        if hold.policy == name or (hold.policy is None and deletes):
            yield name, kind.dimensions(policy)


def _lines(item: Registered) -> Iterator[str]:
    """A hold for people: which one, what it keeps, why, since when."""
    hold = item.hold
    yield hold.hold_id
    yield f"  keeps     {_words(hold)}"
    yield f"  case      {hold.case_ref}: {hold.reason}" if hold.case_ref else f"  reason    {hold.reason}"
    if hold.placed_at:
        yield f"  placed    {hold.placed_at:%Y-%m-%dT%H:%M:%SZ} by {hold.placed_by}"
    if item.released:
        yield f"  released  {_released(item)}"


def _words(hold: Hold) -> str:
    """``audit-logs, tenant acme, from 2026-01-01 00:00 UTC``."""
    parts = [
        hold.policy or "all policies",
        f"tenant {hold.tenant}" if hold.tenant else "",
        f"subject {hold.subject}" if hold.subject else "",
        f"from {hold.start:%Y-%m-%d %H:%M} UTC" if hold.start else "",
        f"to {hold.end:%Y-%m-%d %H:%M} UTC" if hold.end else "",
        f"path {hold.path}" if hold.path else "",
        f"review by {hold.review_by:%Y-%m-%d}" if hold.review_by else "",
    ]
    return ", ".join(filter(None, parts)) + ("" if hold.dimensions() else " (paused)")


def _released(item: Registered) -> str | None:
    return f"{item.released.at:%Y-%m-%dT%H:%M:%SZ} by {item.released.by}" if item.released else None
