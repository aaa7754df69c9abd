"""The options of the kind ``loki``."""

from datetime import date, timedelta
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from luxima_retention.config.addresses import Url
from luxima_retention.config.policies import PolicySettings
from luxima_retention.config.settings import HttpSettings, http_options
from luxima_retention.config.values import (
    Bucket,
    CronExpression,
    Days,
    Duration,
    S3Name,
    Section,
    as_day,
    as_json,
    listed,
    shaped,
)
from luxima_retention.core.durations import parse_duration


class LokiPeriodSettings(Section):
    """One entry of Loki's own ``schema_config``."""

    start: Annotated[date, BeforeValidator(as_day)] = Field(
        description="First day of the period, as ``from`` in Loki's schema_config."
    )
    store: Literal["tsdb", "boltdb-shipper"] = Field("tsdb", description="Index store of the period.")
    schema_version: int = Field(13, ge=9, le=14, description="Schema: 9 to 14.")
    prefix: str = Field("index_", min_length=1, description="Prefix of the names of index tables.")


class LokiPolicy(PolicySettings):
    """Options of ``kind = "loki"``: the S3 buckets that hold a Loki's chunks and index."""

    buckets: Annotated[tuple[Bucket, ...], BeforeValidator(listed)] = Field(
        (), description="Buckets of all schema periods, as in Loki's bucketnames and named stores."
    )
    s3: S3Name = Field("", description="Name of the connection to the buckets; empty is s3.default.")
    object_prefix: str = Field("", description="Loki's object_prefix or storage_prefix.")
    chunk_delimiter: Annotated[
        str, shaped(r"[^0-9a-f/]", "it must be one character, but not 0 to 9, a to f or /")
    ] = Field(
        ":",
        description="Loki's chunk_delimiter: the character that stands for colons in keys; no digit of their"
        " numbers, and no slash.",
    )
    index_path: Annotated[str, shaped(r"[^/].*/", "it must end with /, and not begin with it")] = Field(
        "index/", description="Loki's path_prefix of index tables."
    )
    periods: Annotated[tuple[LokiPeriodSettings, ...], BeforeValidator(as_json)] = Field(
        (LokiPeriodSettings(start=date(2020, 1, 1)),),
        min_length=1,
        description="Loki's schema_config: start, store, schema_version, prefix of each period; JSON in the"
        " environment.",
    )
    tenant_days: Annotated[dict[str, Days], BeforeValidator(as_json)] = Field(
        {}, description="Tenants that keep their logs longer than the policy: days by tenant."
    )
    url: Url = Field("", description="Address of Loki, best of its compactor, to read its configuration.")
    http: HttpSettings = http_options()
    offline: bool = Field(
        False,
        description="No Loki reads these buckets: both phases run at once. Refused when url answers.",
    )
    grace: Annotated[timedelta | None, BeforeValidator(parse_duration)] = Field(
        None,
        description="Time between an index table and its chunks, at least 2h; off computes it from Loki's own"
        " settings.",
    )
    min_object_age: Duration = Field(
        timedelta(hours=24), description="Chunks that were uploaded more recently are left alone."
    )
    sweep_schedule: CronExpression = Field(
        "23 8 * * sun", description="When the policy also runs with --sweep; empty never starts it."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.grace is not None and self.grace < timedelta(hours=2):
            raise ValueError("grace is less than 2h: queries may still read what would be deleted")
        starts = [period.start for period in self.periods]
        if starts != sorted(set(starts)):
            raise ValueError("periods must be in the order of their start, each day once")
        return self
