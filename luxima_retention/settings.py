"""Every option, declared once: name, type, default, validation and help.

Sources, first wins: command line flag, ``LUXIMA_…`` environment (nested by ``__``), mounted secret
files, ``luxima-retention.toml``, defaults. Unknown and duplicate keys are errors.
``docs/settings.md`` is generated from the descriptions here; a test compares them.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


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

    url: str = Field("", description="Where archives are written: s3://bucket/prefix or file:///directory.")
    retention_days: Days | None = Field(
        None, description="Days that an archive is kept after it was written; required with archive.url."
    )
    endpoint_url: str = Field("", description="Address of an S3 service other than AWS.")
    region: str = Field("", description="Region of the S3 bucket; empty leaves it to the AWS defaults.")
    access_key_id: SecretStr | None = Field(
        None, description="Access key for the archive's bucket; empty leaves it to the AWS defaults."
    )
    secret_access_key: SecretStr | None = Field(None, description="Secret of archive.access_key_id.")
    object_lock: Literal["off", "governance", "compliance"] = Field(
        "off", description="S3 Object Lock that each archived object gets until its retention ends."
    )
    mirror_holds: bool = Field(
        False, description="Whether a legal hold is also set as S3 legal hold on the archives it covers."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.url and not self.url.startswith(("s3://", "file:///")):
            raise ValueError(f"archive.url is {self.url!r}: it must begin with s3:// or file:///")
        if self.url and self.retention_days is None:
            raise ValueError("archive.retention_days is required once archive.url is set")
        if self.object_lock != "off" and not self.url.startswith("s3://"):
            raise ValueError("archive.object_lock needs an archive.url that begins with s3://")
        return self


class LedgerSettings(Section):
    """``ledger``: the chain of entries, its key and the places that keep its signed heads."""

    path: str = Field(
        "", description="File of the ledger, on a persistent volume; only without database.dsn."
    )
    origin: str = Field(
        "luxima-retention", description="Name of this ledger in its checkpoints; unique, without spaces."
    )
    key_file: str = Field(
        "", description="Ed25519 key, PEM, that signs a checkpoint after each run; empty signs nothing."
    )
    public_key: str = Field(
        "", description="The verifier key (origin+id+key) that checkpoints must be signed with; pins it."
    )
    anchors: tuple[str, ...] = Field(
        (), description="Places that keep each checkpoint: file:///directory or s3://bucket/prefix."
    )
    endpoint_url: str = Field("", description="Address of an S3 service other than AWS, for anchors.")
    region: str = Field(
        "", description="Region of the anchors' buckets; empty leaves it to the AWS defaults."
    )
    access_key_id: SecretStr | None = Field(
        None, description="Access key for the anchors' buckets; empty leaves it to the AWS defaults."
    )
    secret_access_key: SecretStr | None = Field(None, description="Secret of ledger.access_key_id.")
    anchor_lock_days: int = Field(
        0, ge=0, description="Days of S3 Object Lock (compliance) on an anchored checkpoint; 0 is none."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.origin or any(char.isspace() or char == "+" for char in self.origin):
            raise ValueError(f"ledger.origin is {self.origin!r}: it must have neither white space nor a plus")
        if wrong := [url for url in self.anchors if not url.startswith(("s3://", "file:///"))]:
            raise ValueError(f"ledger.anchors names {wrong[0]!r}: it must begin with s3:// or file:///")
        return self
