"""An SMTP server in a thread of the test, from ``aiosmtpd``; it keeps what it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from tests.servers.process import free_ports


@dataclass
class Mailbox:
    """What arrived.

    Attributes:
        host: 127.0.0.1.
        port: TCP port.
        messages: parsed, in their order.
        recipients: of the envelopes, in the same order.
        refuse: an SMTP answer such as ``451 try again`` for the next messages; empty accepts them.
    """

    host: str
    port: int
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    refuse: str = ""

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - its name
        if self.refuse:
            return self.refuse
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        self.recipients.append(envelope.rcpt_tos)
        return "250 accepted"


@contextmanager
def run_smtp(**options: Any) -> Iterator[Mailbox]:
    """A server until the block ends; ``options`` go to aiosmtpd (``authenticator``, ``tls_context``)."""
    (port,) = free_ports(1)
    mailbox = Mailbox("127.0.0.1", port)
    controller = Controller(mailbox, hostname=mailbox.host, port=port, **options)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
