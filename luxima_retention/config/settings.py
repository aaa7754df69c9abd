"""Every option, declared once: name, type, default, validation and help.

Sources, first wins: command line flag, ``LUXIMA_…`` environment (nested by ``__``), mounted secret
files, ``luxima-retention.toml``, defaults. Unknown and duplicate keys are errors.
``docs/settings.md`` is generated from the descriptions here; a test compares them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from luxima_retention.config.cronline import parse as parse_cron
from luxima_retention.config.matrix import BY_KEY
from luxima_retention.core.durations import parse_duration


class Section(BaseModel):
    """A table of the settings file: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)


def _whole(value: object) -> object:
    """A whole number, or its text; ``true`` and ``1.5`` are no period."""
    if isinstance(value, (bool, float)) or (isinstance(value, str) and not value.strip().isdecimal()):
        raise ValueError(f"{value!r} is not a whole number of days")
    return value


Days = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Fraction = Annotated[Decimal, Field(ge=0, le=1)]


def _listed(value: object) -> object:
    """The list that a file gives; from the environment comma separated, or as JSON."""
    if not isinstance(value, str):
        return value
    if value.strip().startswith("["):
        return json.loads(value)
    return tuple(filter(None, (item.strip() for item in value.split(","))))


def _bucket(value: str) -> str:
    """As a client of S3 takes it; a service may ask for more."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", value):
        raise ValueError(f"{value!r} is no name of a bucket")
    return value


Bucket = Annotated[str, AfterValidator(_bucket)]


def _check_address(setting: str, url: str) -> None:
    """``https://host/prefix``, with neither credentials nor a query in it."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{setting} must begin with http:// or https:// and end with host or path")
    if parts.username or parts.password:
        raise ValueError(f"{setting} has credentials in it: they have settings of their own")


class PolicySettings(Section):
    """``policies.<name>``: how long, and what must be true before anything goes."""

    retention_days: Days = Field(description="Whole days that a record is kept; strictly older ones go.")
    archive: Literal["auto", "required", "off"] = Field(
        "auto",
        description="Whether records are archived before they are destroyed; auto does so where an archive"
        " is configured and the matrix says so.",
    )
    max_silence: Annotated[timedelta | None, BeforeValidator(parse_duration)] = Field(
        description="Age of the newest record from which its producer counts as stalled (guard stale-source);"
        " off switches it off."
    )
    min_remaining: int = Field(
        ge=0, description="Records that must be left after a run (guard min-remaining)."
    )
    max_items: int | None = Field(
        None, ge=0, description="Records that one run may destroy at most (guard max-items)."
    )
    max_fraction: Fraction | None = Field(
        None, description="Part of all records, 0 to 1, that one run may destroy (guard share)."
    )
    every: Annotated[timedelta | None, BeforeValidator(parse_duration)] = Field(
        timedelta(days=1),
        description="How often a run is expected; the run after a longer gap writes the missed ones into the"
        " ledger; off switches it off.",
    )
    identity: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="Fingerprints of the stores that may be touched, as doctor prints them; pins them."
    )


class PoliciesSettings(Section):
    """``policies``: the matrix; what is not written here is the seed's."""

    application_logs: PolicySettings = Field(description="Application logs in Loki.")
    security_events: PolicySettings = Field(description="Security events in Supabase.")
    audit_logs: PolicySettings = Field(description="Audit logs in PostgreSQL.")
    metrics: PolicySettings = Field(description="Metrics in Prometheus.")
    log_files: PolicySettings = Field(description="Log files of services beside the cluster's stdout.")

    @model_validator(mode="before")
    @classmethod
    def _from_matrix(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {**value, **{key: _with_defaults(key, value.get(key, {})) for key in BY_KEY}}


def _with_defaults(key: str, value: object) -> object:
    """A policy's values over those of the matrix."""
    policy = BY_KEY[key]
    silence = policy.max_silence_days
    defaults = {
        "retention_days": policy.retention_days,
        "max_silence": "off" if silence is None else f"{silence}d",
        "min_remaining": policy.min_remaining,
    }
    return {**defaults, **value} if isinstance(value, Mapping) else value


class GuardsSettings(Section):
    """``guards``: limits that hold for every policy."""

    max_fraction: Fraction = Field(
        Decimal("0.25"),
        description="Part of all records that a run may destroy without a word; more where the days since"
        " the last proved run explain it.",
    )
    max_clock_skew: Duration = Field(
        timedelta(seconds=60), description="Difference between this machine's clock and a store's."
    )


def _day(value: object) -> object:
    """``2026-11-03`` as TOML or the environment gives it."""
    return date.fromisoformat(value) if isinstance(value, str) else value


def _json(value: object) -> object:
    """A table or list of tables; from the environment as JSON."""
    return json.loads(value) if isinstance(value, str) else value


class LokiPeriodSettings(Section):
    """One entry of Loki's own ``schema_config``."""

    start: Annotated[date, BeforeValidator(_day)] = Field(
        description="First day of the period, as ``from`` in Loki's schema_config."
    )
    store: Literal["tsdb", "boltdb-shipper"] = Field("tsdb", description="Index store of the period.")
    schema_version: int = Field(13, ge=9, le=13, description="Schema: 9 to 13.")
    prefix: str = Field("index_", min_length=1, description="Prefix of the names of index tables.")


class LokiSettings(Section):
    """``loki``: the S3 buckets that hold Loki's chunks and index."""

    buckets: Annotated[tuple[Bucket, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="Buckets of all schema periods, as in Loki's bucketnames and named stores."
    )
    endpoint_url: str = Field("", description="Address of an S3 service other than AWS.")
    region: str = Field("", description="Region of the buckets; empty leaves it to the AWS defaults.")
    access_key_id: SecretStr | None = Field(
        None, description="Access key; empty leaves it to the AWS defaults."
    )
    secret_access_key: SecretStr | None = Field(None, description="Secret of loki.access_key_id.")
    object_prefix: str = Field("", description="Loki's object_prefix or storage_prefix.")
    chunk_delimiter: str = Field(
        ":",
        pattern=r"^[^0-9a-f/]$",
        description="Loki's chunk_delimiter: the character that stands for colons in keys; no digit of their"
        " numbers, and no slash.",
    )
    index_path: str = Field("index/", pattern=r"^[^/].*/$", description="Loki's path_prefix of index tables.")
    periods: Annotated[tuple[LokiPeriodSettings, ...], NoDecode, BeforeValidator(_json)] = Field(
        (LokiPeriodSettings(start=date(2020, 1, 1)),),
        min_length=1,
        description="Loki's schema_config: start, store, schema_version, prefix of each period; JSON in the"
        " environment.",
    )
    tenant_days: Annotated[dict[str, Days], NoDecode, BeforeValidator(_json)] = Field(
        {}, description="Tenants that keep their logs longer than the policy: days by tenant."
    )
    url: str = Field("", description="Address of Loki, best of its compactor, to read its configuration.")
    offline: bool = Field(
        False,
        description="No Loki reads these buckets: both phases run at once. Refused when loki.url answers.",
    )
    grace: Annotated[timedelta | None, BeforeValidator(parse_duration)] = Field(
        None,
        description="Time between an index table and its chunks, at least 2h; off computes it from Loki's own"
        " settings.",
    )
    min_object_age: Duration = Field(
        timedelta(hours=24), description="Chunks that were uploaded more recently are left alone."
    )
    state_url: str = Field(
        "",
        description="Where condemned chunks are listed; default: luxima-retention/loki in the first bucket.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.grace is not None and self.grace < timedelta(hours=2):
            raise ValueError("loki.grace is less than 2h: queries may still read what is about to go")
        if self.url:
            _check_address("loki.url", self.url)
        starts = [period.start for period in self.periods]
        if starts != sorted(set(starts)):
            raise ValueError("loki.periods must be in the order of their start, each day once")
        return self


_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


def _identifiers(value: str, parts: int) -> str:
    """``core.audit_log`` or ``created_at``: names as PostgreSQL takes them, in their own case."""
    names = value.split(".")
    if value and (len(names) != parts or not all(_IDENTIFIER.fullmatch(name) for name in names)):
        raise ValueError(f"{value!r} is not {'schema.table' if parts > 1 else 'a column'}")
    return value


Table = Annotated[str, AfterValidator(lambda value: _identifiers(value, 2))]
Column = Annotated[str, AfterValidator(lambda value: _identifiers(value, 1))]


class TableSettings(Section):
    """A table of records in PostgreSQL."""

    table: Table = Field(description="The table, with its schema: core.audit_log.")
    time_column: Column = Field("created_at", description="Column with the record's own time.")
    time_zone: Annotated[str, AfterValidator(lambda value: _zone(value) if value else value)] = Field(
        "", description="Zone of a time column that has none, such as UTC; such a column is refused without."
    )
    key_columns: Annotated[tuple[Column, ...], NoDecode, BeforeValidator(_listed)] = Field(
        ("id",), min_length=1, description="Columns that tell rows apart: a primary or unique key."
    )
    tenant_column: Column = Field("", description="Column that holds by tenant name; empty maps none.")
    subject_column: Column = Field("", description="Column that holds by subject name; empty maps none.")
    strategy: Literal["auto", "keyset", "tid_range", "partition_drop"] = Field(
        "auto",
        description="keyset walks an index on the time column; tid_range passes once over the pages of a"
        " table without one; auto asks the catalogue. partition_drop detaches and drops whole partitions"
        " (audit_log only; needs database.owner_dsn at each run).",
    )
    undo_window: Duration = Field(
        timedelta(days=7), description="How long a detached partition is kept before it is dropped."
    )


def _tables(value: object) -> object:
    """Tables as a file gives them; from the environment their names, or a JSON list of tables."""
    value = _listed(value)
    if isinstance(value, (list, tuple)):
        return tuple({"table": item} if isinstance(item, str) else item for item in value)
    return value


class SupabaseSettings(Section):
    """``supabase``: the tables of security events, over a DSN or over HTTPS."""

    tables: Annotated[tuple[TableSettings, ...], NoDecode, BeforeValidator(_tables)] = Field(
        (),
        description="Tables of security events, such as app.security_events or auth.audit_log_entries; each a"
        " name, or a table of its own with the settings of audit_log.",
    )
    dsn: SecretStr | None = Field(
        None, description="Connection string of the job's role: the server itself or a session pooler."
    )
    owner_dsn: SecretStr | None = Field(
        None, description="Connection string of the tables' owner there, for migrate only."
    )
    job_role: Column = Field(
        "luxima_retention", description="Role of supabase.dsn; migrate gives it its rights."
    )
    url: str = Field(
        "", description="Address of PostgREST, https://REF.supabase.co/rest/v1, where no DSN can be reached."
    )
    key: SecretStr | None = Field(
        None, description="Secret key (sb_secret_…) or legacy key for supabase.url."
    )
    rest_role: Column = Field(
        "",
        description="Role that supabase.key stands for; migrate lets it call the functions over PostgREST.",
    )
    ca_file: str = Field("", description="PEM file of the CA that signed the certificate of supabase.url.")
    timeout: float = Field(30.0, gt=0, le=300, description="Seconds to wait for an answer of supabase.url.")
    project_ref: str = Field("", description="Reference of the project, to ask the platform what it keeps.")
    management_token: SecretStr | None = Field(
        None, description="Access token of the Management API that may read the project."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.dsn and self.url:
            raise ValueError("supabase takes one transport: dsn or url")
        if (self.dsn or self.url) and not self.tables:
            raise ValueError("supabase.tables names no table to trim")
        if self.url:
            _check_address("supabase.url", self.url)
            if self.key is None:
                raise ValueError("supabase.key is required with supabase.url")
        if bool(self.project_ref) != bool(self.management_token):
            raise ValueError("supabase.project_ref and supabase.management_token go together")
        return self


class PrometheusSettings(Section):
    """``prometheus``: the replicas whose retention is checked."""

    urls: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="Addresses of the Prometheus servers, each replica by itself, with its path prefix."
    )
    mode: Literal["minimum", "maximum", "exact"] = Field(
        "exact",
        description="What the period promises: minimum (nothing younger goes), maximum (nothing older"
        " stays) or exact (both, give or take one block).",
    )
    username: str = Field("", description="User name for basic authentication.")
    password: SecretStr | None = Field(None, description="Password of prometheus.username.")
    password_file: str = Field(
        "", description="File with the password of prometheus.username, read for each request."
    )
    bearer_token: SecretStr | None = Field(None, description="Bearer token, when no user name is set.")
    bearer_token_file: str = Field(
        "", description="File with the bearer token, read for each request; it may be rotated."
    )
    ca_file: str = Field("", description="PEM file of the CA that signed the servers' certificates.")
    timeout: float = Field(
        10.0, gt=0, le=300, description="Seconds to wait for a connection and for each further byte."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for url in self.urls:
            _check_address("prometheus.urls", url)
        if bool(self.username) != bool(self.password or self.password_file):
            raise ValueError("prometheus.username and prometheus.password (or password_file) go together")
        given = (self.password, self.password_file, self.bearer_token, self.bearer_token_file)
        if sum(map(bool, given)) > 1:
            raise ValueError(
                "prometheus takes one of password, password_file, bearer_token, bearer_token_file"
            )
        return self


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{value!r} is no time zone: write Asia/Jakarta or UTC") from None
    return value


def _zone_or_local(value: str) -> str:
    return value if value == "local" else _zone(value)


_BYTES = re.compile(r"(\d+)\s*(|k|M|G)i?B?")


def _bytes(value: object) -> object:
    """``512``, ``100k``, ``10M``, ``1G``: powers of 1024."""
    if not isinstance(value, str):
        return value
    match = _BYTES.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is not a size: write 512, 100k, 10M or 1G")
    return int(match[1]) * 1024 ** ("", "k", "M", "G").index(match[2])


Bytes = Annotated[int, BeforeValidator(_bytes), Field(ge=0)]
Mode = Annotated[str, Field(pattern=r"^([0-7]{3,4})?$")]


class RotationHookSettings(Section):
    """Something to do around a rotation: a signal, a request or a program; one of them."""

    pid_file: str = Field("", description="File with the number of the process that gets the signal.")
    signal: str = Field("HUP", pattern=r"^[A-Z0-9]+$", description="The signal for pid_file: HUP, USR1.")
    url: str = Field("", description="Address that gets a POST with the paths as JSON.")
    run: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_json)] = Field(
        (),
        description="A program with its arguments, never a shell; {path} and {rotated} as whole arguments are"
        " the log and what it became.",
    )
    timeout: Duration = Field(timedelta(seconds=60), description="How long the hook may take.")
    tolerate: Literal["nothing", "missing", "failure"] = Field(
        "nothing",
        description="What is no failure of the rotation: missing, a pid_file that is not there; failure,"
        " anything, which is told.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if sum(map(bool, (self.pid_file, self.url, self.run))) != 1:
            raise ValueError("a hook is one of pid_file, url and run")
        if self.url:
            _check_address("url", self.url)
        return self


Hooks = Annotated[tuple[RotationHookSettings, ...], BeforeValidator(_json)]


def _date_format(value: str) -> str:
    """Specifiers that names can be read back by, and no directory."""
    unknown = [
        found for found in re.findall(r"%(.?)", value) if found not in "YmdHMSGVUWuwygjsz" or not found
    ]
    if unknown or "/" in value or "%" not in value:
        raise ValueError(f"{value!r} is no format of dates in names: use %Y %m %d %H %M %S %s")
    return value


class RotationSetSettings(Section):
    """``rotation.sets.<name>``: log files that rotate alike."""

    paths: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        min_length=1, description="Patterns of absolute paths: /var/log/api/*.log."
    )
    every: Literal["hourly", "daily", "weekly", "monthly", "yearly", "size"] = Field(
        "weekly", description="How often; size looks at the size alone."
    )
    weekday: int = Field(
        0, ge=0, le=7, description="Day of weekly: 0 is Sunday, 6 Saturday, 7 every seven days."
    )
    month_day: int = Field(
        0, ge=0, le=31, description="Day of monthly; 31 is the last one, 0 the first run in a month."
    )
    size: Bytes = Field(1024 * 1024, description="Size from which a log rotates where every = size.")
    min_size: Bytes = Field(0, description="A log that is due waits below this size.")
    max_size: Bytes = Field(0, description="A log rotates early above this size; 0 is off.")
    min_age_days: int = Field(0, ge=0, description="A log that is due waits while its last write is younger.")
    rotate_empty: bool = Field(False, description="Whether empty logs rotate.")
    first_run: Literal["age", "rotate", "wait"] = Field(
        "age",
        description="A log without any state: age counts from the date in its first line, rotate rotates it"
        " at once, wait starts its clock now.",
    )
    keep: int | None = Field(
        None,
        ge=0,
        description="Rotated files that stay of each log; none leaves it to the policy's period. Files that"
        " go by it go before their period.",
    )
    max_age_days: int | None = Field(
        None, ge=0, description="Rotated files whose last write is older go at any run; none is off."
    )
    method: Literal["rename", "copy", "copytruncate", "renamecopy"] = Field(
        "rename",
        description="rename loses nothing once the writer reopens; copytruncate loses what is written between"
        " copy and truncation; renamecopy reaches another device; copy leaves the log.",
    )
    dated: bool = Field(True, description="Rotated files carry a date; else a number.")
    date_format: Annotated[str, AfterValidator(_date_format)] = Field(
        "-%Y%m%d", description="The date in names, as strftime writes it."
    )
    date_ago: Literal["now", "hour", "day"] = Field(
        "now", description="What the date in names is counted back by."
    )
    extension: str = Field("", pattern=r"^[^/]*$", description="Kept at the end of rotated names: .log.")
    add_extension: str = Field("", pattern=r"^[^/]*$", description="Put at the end of rotated names.")
    start: int = Field(1, ge=0, description="The first number of files without a date.")
    create: bool = Field(True, description="Whether an empty log is made in place of the one renamed.")
    create_mode: Mode = Field("", description="Its mode, in octal; empty takes the old log's.")
    create_owner: str = Field("", description="Its owner; empty takes the old log's.")
    create_group: str = Field("", description="Its group; empty takes the old log's.")
    old_dir: str = Field("", description="Directory of rotated files, from the log's own; empty is that one.")
    create_old_dir: bool = Field(False, description="Whether old_dir is made where it is missing.")
    old_dir_mode: Mode = Field("0755", description="Its mode then.")
    old_dir_owner: str = Field("", description="Its owner then.")
    old_dir_group: str = Field("", description="Its group then.")
    compress: Literal["zstd", "gzip", "bzip2", "xz", "program", "none"] = Field(
        "zstd", description="How rotated files are compressed; gzip for zcat."
    )
    compress_level: int | None = Field(None, ge=1, le=19, description="Its level; none takes the usual.")
    compress_extension: str = Field(
        "", pattern=r"^(\.[^/]+)?$", description="Extension of compressed files; empty takes the usual."
    )
    compress_program: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_json)] = Field(
        (), description="The program of compress = program, from stdin to stdout, with its arguments."
    )
    delay_compress: bool = Field(
        True, description="Leave the newest rotated file plain: a writer or a reader may still have it."
    )
    missing_ok: bool = Field(False, description="A path that matches nothing is fine.")
    allow_hard_links: bool = Field(False, description="Whether files with several names rotate.")
    ignore_duplicates: bool = Field(
        False, description="Whether later sets may name logs of this one, and leave them to it."
    )
    trust_directory: bool = Field(
        False,
        description="Rotate although others may write to the directory; links are still never followed.",
    )
    trust_old_dir: bool = Field(False, description="Rotate although others may write to old_dir.")
    user: str = Field("", description="User that the set is worked on as, when run by root.")
    group: str = Field("", description="Group of user; empty takes the user's.")
    shared_hooks: bool = Field(False, description="Run before and after once for the whole set.")
    first: Hooks = Field((), description="Hooks before the first log of the set, if any rotates.")
    before: Hooks = Field((), description="Hooks before a log rotates.")
    after: Hooks = Field((), description="Hooks after a log was rotated: the writer reopens its log.")
    before_removal: Hooks = Field((), description="Hooks before rotated files go by keep or max_age_days.")
    last: Hooks = Field((), description="Hooks after the last log of the set, if any rotated.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if wrong := [path for path in self.paths if not path.startswith("/") or "\0" in path]:
            raise ValueError(f"paths names {wrong[0]!r}: it must begin with /")
        if (self.compress == "program") != bool(self.compress_program):
            raise ValueError("compress = program and compress_program go together")
        if self.compress == "program" and not self.compress_extension:
            raise ValueError("compress = program needs compress_extension")
        if self.group and not self.user:
            raise ValueError("group is that of user: set user as well")
        return self


class RotationSettings(Section):
    """``rotation``: sets of log files beside the cluster's stdout."""

    sets: Annotated[dict[str, RotationSetSettings], NoDecode, BeforeValidator(_json)] = Field(
        {}, description="The sets, each a table rotation.sets.<name>; as JSON in the environment."
    )
    time_zone: Annotated[str, AfterValidator(_zone_or_local)] = Field(
        "Asia/Jakarta",
        description="Zone in which days begin, and of the dates in names; local is the machine's, by TZ or"
        " /etc/localtime.",
    )
    state_file: str = Field(
        "", description="One file for all that names do not tell; empty keeps one beside the logs."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.state_file and not self.state_file.startswith("/"):
            raise ValueError(f"rotation.state_file is {self.state_file!r}: it must begin with /")
        return self


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


class WitnessSettings(Section):
    """``ledger.witnesses``: a second party that cosigns checkpoints."""

    url: str = Field(description="Where it is asked: https://witness.example/prefix.")
    key: str = Field(
        description="Its verifier key (name+id+key), as `luxima-retention witness keygen` prints it."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"ledger.witnesses.url is {self.url!r}: it must begin with https:// or http://")
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
    witnesses: Annotated[tuple[WitnessSettings, ...], NoDecode, BeforeValidator(_json)] = Field(
        (), description="Second parties that cosign each checkpoint (C2SP tlog-witness)."
    )
    timestamp_url: str = Field(
        "", description="RFC 3161 authority that time-stamps each checkpoint; needs the extra timestamp."
    )
    witness_quorum: int | None = Field(
        None, ge=1, description="How many of the witnesses must cosign; empty means all of them."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.origin or any(char.isspace() or char == "+" for char in self.origin):
            raise ValueError(f"ledger.origin is {self.origin!r}: it must have neither white space nor a plus")
        if self.timestamp_url and not self.timestamp_url.startswith(("https://", "http://")):
            raise ValueError(f"ledger.timestamp_url is {self.timestamp_url!r}: it must begin with https://")
        if self.witness_quorum is not None and self.witness_quorum > len(self.witnesses):
            raise ValueError(
                f"ledger.witness_quorum is {self.witness_quorum}: so many witnesses are not named"
            )
        if wrong := [url for url in self.anchors if not url.startswith(("s3://", "file:///"))]:
            raise ValueError(f"ledger.anchors names {wrong[0]!r}: it must begin with s3:// or file:///")
        return self


class DatabaseSettings(Section):
    """``database``: PostgreSQL with schema ``retention``: ledger, holds, leases; and the audit log."""

    dsn: SecretStr | None = Field(
        None, description="Connection string of the job's role: postgresql://role@host:5432/database."
    )
    owner_dsn: SecretStr | None = Field(
        None, description="Connection string of an owner, for migrate, and for detaching partitions."
    )
    job_role: Column = Field(
        "luxima_retention", description="Role that the job logs in as; migrate gives it its rights."
    )


class AuditLogSettings(TableSettings):
    """``audit_log``: the table of audit logs in ``database.dsn``."""

    table: Table = Field("core.audit_log", description="The table, with its schema.")


class PaceSettings(Section):
    """``pace``: how gently tables are emptied."""

    batch_seconds: float = Field(
        0.5, gt=0, le=60, description="Seconds that one batch aims for; its number of rows follows."
    )
    max_batch_rows: int = Field(
        2000, ge=1, description="Rows of one batch at most: more are faster, fewer are felt less by others."
    )
    duty_cycle: float = Field(
        0.25, gt=0, le=1, description="Part of the time that is spent deleting, 0 to 1; 1 never pauses."
    )
    lock_timeout: Duration = Field(timedelta(seconds=2), description="How long a batch waits for a lock.")
    statement_timeout: Duration = Field(timedelta(seconds=60), description="How long one batch may take.")
    max_replica_lag: Duration = Field(
        timedelta(seconds=30), description="Replay lag of a standby beyond which batches wait."
    )
    min_slot_headroom_mib: int = Field(
        256, ge=0, description="MiB of WAL that each replication slot must have left before it is lost."
    )
    max_wal_mib_per_minute: int = Field(
        0, ge=0, description="MiB of WAL that batches may write in a minute; 0 does not limit."
    )


def _expression(value: str) -> str:
    """A cron expression, or nothing."""
    if value:
        parse_cron(value)
    return value


CronExpression = Annotated[str, AfterValidator(_expression)]


class ScheduleSettings(Section):
    """``schedule``: when everything runs; the daemon reads it, CronJobs and crontab say the same."""

    time_zone: Annotated[str, AfterValidator(_zone)] = Field(
        "Asia/Jakarta", description="Zone of all the times here."
    )
    log_files: CronExpression = Field(
        "7 1 * * *", description="When log-files runs, as a cron expression; empty never starts it."
    )
    audit_logs: CronExpression = Field("17 2 * * *", description="The same of audit-logs.")
    security_events: CronExpression = Field("37 2 * * *", description="The same of security-events.")
    application_logs: CronExpression = Field("57 2 * * *", description="The same of application-logs.")
    metrics: CronExpression = Field("47 3 * * *", description="The same of metrics.")
    application_logs_sweep: CronExpression = Field(
        "23 4 * * sun", description="The same of application-logs with --sweep."
    )
    archive_expire: CronExpression = Field(
        "43 5 * * sun",
        description="When archives go whose own retention is over; never while archive.url is empty.",
    )
    archive_verify: CronExpression = Field(
        "3 6 * * sat", description="When all archives are verified; never while archive.url is empty."
    )
    archive_drill: CronExpression = Field(
        "53 6 2 * *", description="When a restore is rehearsed; never while archive.url is empty."
    )
    ledger_verify: CronExpression = Field("13 5 * * *", description="When the whole ledger is verified.")
    report: CronExpression = Field(
        "37 5 1 * *",
        description="When the report about the month before goes to report.url; never while that is empty.",
    )
    max_runtime: Duration = Field(timedelta(minutes=50), description="Time budget of each run.")
    grace: Duration = Field(
        timedelta(hours=1),
        description="How late a run may still start; after that it is recorded as missed, and waits for the"
        " next time.",
    )
    health_host: str = Field("127.0.0.1", description="Address that answers /healthz of the daemon.")
    health_port: int = Field(8086, ge=0, le=65535, description="Its port; 0 takes a free one.")


class ReportSettings(Section):
    """``report``: where reports go that nobody waits for."""

    url: str = Field(
        "",
        description="Place of reports written without -o: s3://bucket/prefix or file:///directory; a bucket"
        " is reached as ledger.anchors are.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.url and not self.url.startswith(("s3://", "file:///")):
            raise ValueError(f"report.url is {self.url!r}: it must begin with s3:// or file:///")
        return self


class TelemetrySettings(Section):
    """``telemetry``: what a run tells the stack that watches; it never decides how a run ends."""

    pushgateway_url: str = Field("", description="Pushgateway that takes the metrics of each real run.")
    otlp_url: str = Field(
        "",
        description="OTLP/HTTP collector, such as Tempo on port 4318, that takes a trace of each real run.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name in ("pushgateway_url", "otlp_url"):
            if url := getattr(self, name):
                _check_address(f"telemetry.{name}", url)
        return self


class Settings(Section):
    """Every section. :func:`luxima_retention.config.sources.load` fills it."""

    policies: PoliciesSettings = Field(description="The retention matrix.")
    guards: GuardsSettings = Field(default_factory=GuardsSettings, description="Limits of the guards.")
    database: DatabaseSettings = Field(default_factory=DatabaseSettings, description="PostgreSQL.")
    audit_log: AuditLogSettings = Field(default_factory=AuditLogSettings, description="The audit log.")
    pace: PaceSettings = Field(default_factory=PaceSettings, description="How gently tables are emptied.")
    loki: LokiSettings = Field(default_factory=LokiSettings, description="Loki's buckets.")
    supabase: SupabaseSettings = Field(default_factory=SupabaseSettings, description="Supabase.")
    prometheus: PrometheusSettings = Field(default_factory=PrometheusSettings, description="Prometheus.")
    rotation: RotationSettings = Field(default_factory=RotationSettings, description="Log files.")
    archive: ArchiveSettings = Field(default_factory=ArchiveSettings, description="The archive.")
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings, description="Metrics and traces.")
    ledger: LedgerSettings = Field(default_factory=LedgerSettings, description="The ledger.")
    report: ReportSettings = Field(default_factory=ReportSettings, description="Reports.")
    schedule: ScheduleSettings = Field(default_factory=ScheduleSettings, description="When each policy runs.")
