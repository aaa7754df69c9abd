"""Rows in ``retention.alert`` of a Supabase project, which its Edge Function sends on to Telegram."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from luxima_retention.core.deadline import Deadline
from luxima_retention.core.errors import ConfigurationError, RetentionError, StoreError
from luxima_retention.io.sqlfiles import named
from luxima_retention.tell.notify import texts
from luxima_retention.tell.notify.channel import Later, Refused, Sent, bounded
from luxima_retention.tell.notify.conditions import Message

if TYPE_CHECKING:
    from luxima_retention.config.settings import NotifySettings

_SETTING = "notify.alert_dsn"


class Alerts:
    """A role that may raise alerts, and nothing else."""

    name = "alert"
    waits = False

    def __init__(self, settings: NotifySettings, style: texts.Style, deadline: Deadline) -> None:
        self._dsn = settings.alert_dsn.get_secret_value() if settings.alert_dsn else ""
        self._style = style
        self._deadline = deadline

    def send(self, message: Message, sent: Sent) -> Any:  # noqa: ARG002 - the protocol's
        """See :class:`~luxima_retention.tell.notify.channel.Channel`. The same message twice is one row."""
        facts, style = message.notes[0].facts, self._style
        key = f"{style.environment}:{message.number}:{int(message.at)}:{message.notes[0].key}"
        self._raise(
            key=key,
            severity=str(message.severity),
            title=texts.subject(message, style),
            body=texts.plain(texts.body(message, style)),
            policy=facts.get("policy", ""),
            run_id=facts.get("run_id") or None,
        )
        return key

    def test(self) -> str:
        """See :class:`~luxima_retention.tell.notify.channel.Channel`."""
        style = self._style
        self._raise(
            key=f"{style.environment}:test:{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}",
            severity="info",
            title=style.word("test_subject", environment=style.environment),
            body=texts.plain(style.word("test", environment=style.environment)),
            policy="",
            run_id=None,
        )
        return "a row in retention.alert; the Edge Function sends it on"

    def _raise(self, **row: Any) -> None:
        values = {**row, "environment": self._style.environment}
        try:
            bounded(
                lambda: self._insert(values), self._deadline.remaining(), "the database of retention.alert"
            )
        except (ConfigurationError, Refused):
            raise
        except RetentionError as error:
            raise Later(error.message) from None

    def _insert(self, values: Mapping[str, Any]) -> None:
        import psycopg

        from luxima_retention.io.postgres import connect

        with connect(self._dsn, purpose="notify", setting=_SETTING) as connection:
            try:
                connection.execute(named("queries/notify.sql")["alert"].encode(), values)
            except psycopg.OperationalError:
                raise StoreError("the database of retention.alert ended the connection") from None
            except psycopg.Error as error:
                # Without the migration, or without its right, no later attempt would do better.
                raise Refused(
                    f"retention.raise_alert does not take the row: {error.diag.message_primary}",
                    f"apply supabase/migrations, and check {_SETTING}",
                ) from None
