"""Every option, declared once: name, type, default, validation and help.

Sources, first wins: command line flag, ``LUXIMA_…`` environment (nested by ``__``), mounted secret
files, ``luxima-retention.toml``, defaults. Unknown and duplicate keys are errors.
``docs/settings.md`` is generated from the descriptions here; a test compares them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A table of the settings file: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


Days = Annotated[int, Field(ge=1, strict=False)]


class LokiSettings(Section):
    """``loki``: the S3 buckets that hold Loki's chunks and index."""


class SupabaseSettings(Section):
    """``supabase``: the tables of security events, over a DSN or over HTTPS."""


class PrometheusSettings(Section):
    """``prometheus``: the replicas whose retention is checked."""


class RotationSettings(Section):
    """``rotation``: sets of log files beside the cluster's stdout."""


class ArchiveSettings(Section):
    """``archive``: where records go before they are destroyed."""
