"""Connections, from settings to what opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from luxima_retention.io.objects import Access

if TYPE_CHECKING:
    from luxima_retention.config.settings import S3Settings


def s3_access(settings: S3Settings) -> Access:
    """How the buckets of this service are reached."""
    key, secret = settings.access_key_id, settings.secret_access_key
    return Access(
        endpoint_url=settings.endpoint_url,
        region=settings.region,
        access_key_id=key.get_secret_value() if key else "",
        secret_access_key=secret.get_secret_value() if secret else "",
        addressing_style=settings.addressing_style,
        ca_file=settings.ca_file,
    )
