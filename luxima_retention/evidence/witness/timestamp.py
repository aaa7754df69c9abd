"""Asks a time-stamping authority about a checkpoint (RFC 3161): somebody else says when it existed.

What comes back is kept as it is; ``openssl ts -verify`` verifies it against the authority's certificate,
which this program does not know.
"""

from __future__ import annotations

from luxima_retention.core.errors import ConfigurationError, StoreError

#: seconds for the whole answer, and its largest size
_PATIENCE, _LARGEST = 5, 64 << 10


def stamp(url: str, data: bytes) -> bytes:
    """The authority's reply about ``data``, in DER: a granted one, for our nonce and our hash.

    Raises:
        StoreError: it does not answer, or not with a time stamp of this.
        ConfigurationError: the extra ``timestamp`` is not installed.
    """
    from luxima_retention.io.http import Endpoint, Http, HttpError

    try:
        from rfc3161_client import TimestampRequestBuilder
    except ImportError as error:
        raise ConfigurationError(
            "ledger.timestamp_url needs rfc3161-client", "install luxima-retention[timestamp]"
        ) from error
    request = TimestampRequestBuilder().data(data).nonce(nonce=True).cert_request(cert_request=True).build()
    headers = {"Content-Type": "application/timestamp-query"}
    there = Endpoint(
        url=url, setting="ledger.timestamp_url", options="ledger", timeout=_PATIENCE, proxied=True
    )
    try:
        path = "/" if url.endswith("/") else ""  # it may matter, and the client leaves it out
        answer = Http(there, largest=_LARGEST).send("POST", path, body=request.as_bytes(), headers=headers)
    except HttpError as error:
        raise StoreError(f"the time-stamping authority {url} does not answer: {error.reason}") from error
    if not answer.ok:
        raise StoreError(f"the time-stamping authority {url} answers {answer.status}")
    _check(url, answer.body, request.nonce, request.message_imprint.message)
    return answer.body


def _check(url: str, reply: bytes, nonce: int | None, digest: bytes) -> None:
    from rfc3161_client import decode_timestamp_response

    try:
        response = decode_timestamp_response(reply)
        told = response.tst_info
        is_ours = (told.nonce, told.message_imprint.message) == (nonce, digest)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise StoreError(f"the time-stamping authority {url} sent no time stamp: {said}") from error
    if not is_ours:
        raise StoreError(f"the time-stamping authority {url} stamped something else")
