"""Files of certificates, looked at before anything relies on them."""

from __future__ import annotations

from luxima_retention.core.errors import ConfigurationError


def check_certificates(path: str, hint: str) -> None:
    """Make sure that a file holds certificates.

    Args:
        path: of the file.
        hint: names the setting.

    Raises:
        ConfigurationError: it is not there, or not PEM.
    """
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigurationError(f"{path} holds no certificate in PEM form", hint) from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", hint) from error
