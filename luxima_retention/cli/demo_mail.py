"""The demo's mail server: on this machine only, over TLS, with a certificate of its own."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any


@dataclass
class Mailbox:
    """What arrived.

    Attributes:
        url: for ``notify.smtp_url``.
        ca_file: for ``notify.smtp_ca_file``.
        messages: in their order.
    """

    url: str = ""
    ca_file: Path = Path()
    messages: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - its name
        """Keep a message."""
        message = message_from_bytes(envelope.content, policy=policy.default)
        if isinstance(message, EmailMessage):
            self.messages.append(message)
        return "250 accepted"


@contextmanager
def mail_server(directory: Path) -> Iterator[Mailbox | None]:
    """A mail server until the block ends; ``None`` where the extra ``demo`` lacks it.

    Args:
        directory: gets the certificate and its key.
    """
    try:
        from aiosmtpd.controller import Controller
    except ImportError:
        yield None
        return
    context, certificate = server_context(directory)
    mailbox = Mailbox(ca_file=certificate)
    controller = Controller(mailbox, hostname="127.0.0.1", port=_free_port(), ssl_context=context)
    controller.start()
    mailbox.url = f"smtps://localhost:{controller.port}"
    try:
        yield mailbox
    finally:
        controller.stop()


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def server_context(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """A certificate for localhost, valid for a day: what a server needs, and the file to trust."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=1),
    )
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    certificate, private = directory / "mail-server.pem", directory / "mail-server.key"
    certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, private)
    return context, certificate
