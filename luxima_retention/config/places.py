"""Places: where archives, anchors and reports lie, and the connection through which a bucket is reached.

``file:///directory``, ``s3://bucket/prefix`` through ``s3.default``, or ``s3+NAME://bucket/prefix`` through
``s3.NAME``, so that each place may lie with somebody else.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_BUCKET = re.compile(r"s3(?:\+([a-z0-9_-]+))?(://.+)", re.DOTALL)


def check_place(value: str) -> str:
    """A place, or nothing.

    Raises:
        ValueError: it is neither a bucket nor a directory.
    """
    if value and not value.startswith("file:///") and not _BUCKET.fullmatch(value):
        raise ValueError(
            f"{value!r} must begin with s3://, s3+NAME:// (NAME of a section s3.NAME) or file:///"
        )
    return value


def connection(url: str) -> str | None:
    """The name below ``s3`` through which a bucket is reached; ``None`` for a directory."""
    match = _BUCKET.fullmatch(url)
    return (match[1] or "default") if match else None


def address(url: str) -> str:
    """The place without its connection: ``s3://bucket/prefix``."""
    match = _BUCKET.fullmatch(url)
    return f"s3{match[2]}" if match else url


Place = Annotated[str, AfterValidator(check_place)]
