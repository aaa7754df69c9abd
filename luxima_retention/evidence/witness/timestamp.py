"""Asks a time-stamping authority about a checkpoint (RFC 3161): somebody else says when it existed.

What comes back is kept as it is; ``openssl ts -verify`` verifies it against the authority's certificate,
which this program does not know.
"""

from __future__ import annotations

from luxima_retention.core.errors import ConfigurationError, StoreError

#: seconds for the answer, and its largest size
_PATIENCE, _LARGEST = 5, 64 << 10


def stamp(url: str, data: bytes) -> bytes:
    """The authority's reply about ``data``, in DER: a granted one, for our nonce and our hash.

    Raises:
        StoreError: it does not answer, or not with a time stamp of this.
        ConfigurationError: the extra ``timestamp`` is not installed.
    """
    import requests

    try:
        from rfc3161_client import TimestampRequestBuilder
    except ImportError as error:
        raise ConfigurationError(
            "ledger.timestamp_url needs rfc3161-client", "install luxima-retention[timestamp]"
        ) from error
    request = TimestampRequestBuilder().data(data).nonce(nonce=True).cert_request(cert_request=True).build()
    headers = {"Content-Type": "application/timestamp-query"}
    try:
        answer = requests.post(
            url, data=request.as_bytes(), headers=headers, timeout=_PATIENCE, allow_redirects=False
        )
        answer.raise_for_status()
    except requests.RequestException as error:
        kind = type(error).__name__
        raise StoreError(f"the time-stamping authority {url} does not answer: {kind}") from error
    _check(url, answer.content, request.nonce, request.message_imprint.message)
    return answer.content


def _check(url: str, reply: bytes, nonce: int | None, digest: bytes) -> None:
    from rfc3161_client import decode_timestamp_response

    try:
        if len(reply) > _LARGEST:
            raise ValueError(f"{len(reply)} bytes")  # noqa: TRY301 - one handler for all of it
        response = decode_timestamp_response(reply)
        told = response.tst_info
        is_ours = (told.nonce, told.message_imprint.message) == (nonce, digest)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise StoreError(f"the time-stamping authority {url} sent no time stamp: {said}") from error
    if not is_ours:
        raise StoreError(f"the time-stamping authority {url} stamped something else")
