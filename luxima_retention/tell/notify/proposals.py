"""A proposal, told with its digest and the command that approves it: by Telegram and e-mail."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING

from luxima_retention.core.deadline import UNLIMITED
from luxima_retention.core.errors import RetentionError
from luxima_retention.tell.notify.channel import reason_of
from luxima_retention.tell.notify.mail import SECONDS, Mail
from luxima_retention.tell.notify.send import BUDGET, style_of
from luxima_retention.tell.notify.telegram import Telegram

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.evidence.events import ActionProposed
    from luxima_retention.tell.notify.texts import Style


def tell(settings: Settings, event: ActionProposed) -> Iterator[str]:
    """Send it; a sentence for each receiver that did not get it."""
    notify, style = settings.notify, style_of(settings)
    text = body(event, style)
    if notify.telegram_token:
        try:
            Telegram(notify, style, UNLIMITED.within(BUDGET)).say(text)
        except RetentionError as error:
            yield f"the proposal was not told in Telegram: {reason_of(error)}"
    if notify.mail_to:
        subject = style.word("proposal_subject", target=event.target, environment=style.environment)
        try:
            Mail(notify, style, UNLIMITED.within(SECONDS)).attach(subject, text, notify.mail_to, None)
        except RetentionError as error:
            yield f"the proposal was not sent by e-mail: {error.message}"


def body(event: ActionProposed, style: Style) -> str:
    """The message as Telegram's HTML."""
    told = {name: html.escape(getattr(event, name)) for name in ("target", "before", "after", "reason")}
    command = f"<code>luxima-retention approve --key FILE {html.escape(event.digest)}</code>"
    head = style.word("proposal", environment=html.escape(style.environment), **told)
    return f"{head}\n{style.word('proposal_approve', command=command)}"
