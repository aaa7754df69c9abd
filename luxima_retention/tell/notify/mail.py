"""Messages by e-mail, over TLS only.

Sources: RFC 5321, RFC 3207 (STARTTLS), RFC 8314 (TLS from the start), RFC 5322 (threads by In-Reply-To and
References), RFC 3834 (Auto-Submitted).
"""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from luxima_retention.core.deadline import Deadline
from luxima_retention.core.errors import ConfigurationError, RetentionError
from luxima_retention.core.redact import learn, redacted
from luxima_retention.tell.notify import texts
from luxima_retention.tell.notify.channel import Later, Refused, Sent, bounded
from luxima_retention.tell.notify.conditions import Message

if TYPE_CHECKING:
    from luxima_retention.config.settings import NotifySettings

#: that one e-mail may take in all
SECONDS = 8.0
_PERMANENT = 500
_LONGEST_SUBJECT = 200


class Mail:
    """An SMTP server and the people who get mail through it.

    Args:
        settings: of ``notify``.
        style: of the texts.
        deadline: of all of it.
    """

    name = "mail"
    waits = True

    def __init__(self, settings: NotifySettings, style: texts.Style, deadline: Deadline) -> None:
        self._settings = settings
        self._style = style
        self._deadline = deadline
        if settings.smtp_password:
            learn(settings.smtp_password.get_secret_value())

    def send(self, message: Message, sent: Sent) -> Any:
        """See :class:`~luxima_retention.tell.notify.channel.Channel`."""
        before = sent.get(message.answers)
        text = texts.body(message, self._style)
        mail = self._mail(texts.subject(message, self._style), text, self._settings.mail_to)
        mail["Message-ID"] = self._identifier(message)
        if before:
            mail["In-Reply-To"] = mail["References"] = before
        if run := next((note.facts["run_id"] for note in message.notes if note.facts.get("run_id")), ""):
            mail["X-Luxima-Run"] = run
        self._deliver(mail)
        return before or str(mail["Message-ID"])

    def test(self) -> str:
        """See :class:`~luxima_retention.tell.notify.channel.Channel`."""
        style = self._style
        text = style.word("test", environment=style.environment)
        subject = style.word("test_subject", environment=style.environment)
        self._deliver(self._mail(subject, text, self._settings.mail_to))
        return f"accepted for {', '.join(self._settings.mail_to)}"

    def attach(self, subject: str, text: str, to: Sequence[str], file: tuple[str, bytes] | None) -> None:
        """Send a text with a file, by name and content. Raises as :meth:`send`."""
        mail = self._mail(subject, text, to)
        if file is not None:
            main, _, sub = _type(file[0]).partition("/")
            mail.add_attachment(file[1], maintype=main, subtype=sub, filename=file[0])
        self._deliver(mail)

    def _mail(self, subject: str, text: str, to: Sequence[str]) -> EmailMessage:
        mail = EmailMessage(policy=POLICY)
        mail["Subject"] = " ".join(subject.split())[:_LONGEST_SUBJECT]
        mail["From"] = Address(display_name="luxima-retention", addr_spec=self._settings.mail_from)
        mail["To"] = tuple(Address(addr_spec=address) for address in to)
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(texts.plain(text))
        mail.add_alternative(text.replace("\n", "<br>\n"), subtype="html")
        return mail

    def _identifier(self, message: Message) -> str:
        """The same for the same message, so that one that is sent twice is shown once."""
        told = f"{self._style.environment} {message.number} {message.at} {message.notes[0].key}"
        domain = self._settings.mail_from.rpartition("@")[2]
        return f"<{hashlib.sha256(told.encode()).hexdigest()[:32]}@{domain}>"

    def _deliver(self, mail: EmailMessage) -> None:
        seconds = min(self._deadline.remaining(), SECONDS)
        server = urlsplit(self._settings.smtp_url).netloc
        try:
            bounded(lambda: self._transmit(mail, seconds), seconds, f"the mail server {server}")
        except RetentionError as error:
            if isinstance(error, (Refused, ConfigurationError)):
                raise
            raise Later(error.message) from None
        except smtplib.SMTPRecipientsRefused as error:
            raise _refused(server, *next(iter(error.recipients.values()))) from None
        except smtplib.SMTPResponseException as error:
            raise _refused(server, error.smtp_code, error.smtp_error) from None
        except smtplib.SMTPNotSupportedError:
            raise Refused(
                f"the mail server {server} offers no STARTTLS, or no login method that we know"
            ) from None
        except ssl.SSLError:
            # People mend certificates: it waits for that, as for a server that is away.
            raise Later(
                f"the mail server {server} has a certificate that is not trusted; set notify.smtp_ca_file"
            ) from None
        except (OSError, smtplib.SMTPException) as error:
            said = getattr(error, "strerror", None) or "the connection broke"
            raise Later(f"the mail server {server} cannot be reached: {said}") from None

    def _transmit(self, mail: EmailMessage, seconds: float) -> None:
        """One connection, one mail; nothing is said before TLS."""
        parts, settings = urlsplit(self._settings.smtp_url), self._settings
        context = ssl.create_default_context(cafile=settings.smtp_ca_file or None)
        host = parts.hostname or ""
        if parts.scheme == "smtps":
            client: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=seconds, context=context)
        else:
            client = smtplib.SMTP(host, parts.port or 587, timeout=seconds)
        with client:
            if parts.scheme == "smtp":
                client.starttls(context=context)
            if settings.smtp_username and settings.smtp_password:
                client.login(settings.smtp_username, settings.smtp_password.get_secret_value())
            client.send_message(mail)


def _refused(server: str, code: int, said: bytes | str) -> RetentionError:
    text = redacted(said.decode("utf-8", "replace") if isinstance(said, bytes) else said)
    sentence = f"the mail server {server} answers {code}: {text[:200]}"
    return Refused(sentence) if code >= _PERMANENT else Later(sentence)


def _type(name: str) -> str:
    import mimetypes

    return mimetypes.guess_type(name)[0] or "application/octet-stream"
