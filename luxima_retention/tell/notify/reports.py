"""The report about a month: attached to an e-mail, and as one line in Telegram."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from luxima_retention.core.deadline import UNLIMITED
from luxima_retention.core.errors import RetentionError, StoreError
from luxima_retention.tell.notify.channel import reason_of
from luxima_retention.tell.notify.mail import SECONDS, Mail
from luxima_retention.tell.notify.send import BUDGET, style_of
from luxima_retention.tell.notify.telegram import Telegram

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings

_MIB = 1024 * 1024
#: MiB of a report that is attached: mail servers refuse more
_LARGEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A report that was written.

    Args:
        period: ``2026-10-01 to 2026-11-01``.
        verdict: its result, in a few words.
        where: the place that keeps it.
        file: in the form of ``notify.report_format``; ``None`` where nobody gets it by e-mail.
    """

    period: str
    verdict: str
    where: str
    file: Path | None


def send_report(settings: Settings, report: Written) -> Iterator[str]:
    """Send it; a sentence for each receiver that did not get it, which changes nothing else."""
    if settings.notify.report_to and report.file is not None:
        try:
            _by_mail(settings, report, report.file)
        except RetentionError as error:
            yield f"the report was not sent by e-mail: {error.message}"
    if settings.notify.telegram_token:
        try:
            Telegram(settings.notify, style_of(settings), UNLIMITED.within(BUDGET)).say(
                _line(settings, report)
            )
        except RetentionError as error:
            yield f"the report was not sent to Telegram: {reason_of(error)}"


def _by_mail(settings: Settings, report: Written, file: Path) -> None:
    """One e-mail; a report that is too large is left out, and its place told."""
    style, notify = style_of(settings), settings.notify
    text = style.word("report_body", period=report.period, verdict=report.verdict)
    try:
        size = file.stat().st_size
        attached = (file.name, file.read_bytes()) if size <= _LARGEST * _MIB else None
    except OSError as error:
        raise StoreError(f"{file.name} cannot be read: {error.strerror}") from error
    if attached is None:
        text += "\n" + style.word(
            "report_large",
            size=-(-size // _MIB),
            limit=_LARGEST,
            where=html.escape(report.where),
        )
    subject = style.word("report_subject", period=report.period, environment=style.environment)
    Mail(notify, style, UNLIMITED.within(SECONDS)).attach(subject, text, notify.report_to, attached)


def _line(settings: Settings, report: Written) -> str:
    style = style_of(settings)
    text = html.escape(style.word("report_body", period=report.period, verdict=report.verdict))
    link = settings.notify.links.get("report", "")
    shown = (
        f'<a href="{html.escape(link)}">{html.escape(report.where)}</a>'
        if link
        else html.escape(report.where)
    )
    return f"📄 {text} {shown}"
