"""Every option, declared once: name, type, default, validation and help.

Sources, first wins: command line flag, ``LUXIMA_…`` environment (nested by ``__``), mounted secret
files, ``luxima-retention.toml``, defaults. Unknown and duplicate keys are errors. The options of a kind of
policy stand in its ``kind.py``. ``docs/settings.md`` is generated from all of them; a test compares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    SerializeAsAny,
    model_validator,
)
from pydantic_settings import NoDecode

from luxima_retention.config.addresses import Dsn, Url
from luxima_retention.config.policies import DEFAULTS, Options, PolicySettings
from luxima_retention.config.values import (
    Column,
    CronExpression,
    Days,
    Duration,
    Fraction,
    HoldColumn,
    MailAddress,
    S3Name,
    Section,
    Table,
    as_json,
    listed,
    zone,
)

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class HttpSettings(Section):
    """``<section>.http``: how an HTTP endpoint is reached; every endpoint has these options."""

    username: str = Field("", pattern=r"^[^:\r\n]*$", description="User name for basic authentication.")
    password: SecretStr | None = Field(None, description="Password of username.")
    password_file: str = Field("", description="File with the password, read for each request.")
    bearer_token: SecretStr | None = Field(None, description="Bearer token, where no username is set.")
    bearer_token_file: str = Field(
        "", description="File with the bearer token, read for each request; it may be rotated."
    )
    headers: Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(as_json)] = Field(
        {}, description="More headers, such as X-Scope-OrgID; JSON in the environment."
    )
    headers_file: str = Field(
        "", description="File with more headers, one a line as Name: value; read for each request."
    )
    ca_file: str = Field("", description="PEM file of the CA that signed the server's certificate.")
    timeout: float = Field(30.0, gt=0, le=300, description="Seconds that one request may take in all.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = (self.password, self.password_file, self.bearer_token, self.bearer_token_file)
        if sum(map(bool, given)) > 1:
            raise ValueError("takes one of password, password_file, bearer_token and bearer_token_file")
        if bool(self.username) != bool(self.password or self.password_file):
            raise ValueError("username and password (or password_file) go together")
        if wrong := [name for name in self.headers if not _HEADER.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r} is not a valid name of a header")
        if any(map(bool, given)) and "authorization" in {name.lower() for name in self.headers}:
            raise ValueError("takes either a header Authorization or a password or token")
        return self


def http_options(description: str) -> Any:
    """The field of a section that reaches an HTTP endpoint."""
    return Field(default_factory=HttpSettings, description=description)


class GuardsSettings(Section):
    """``guards``: limits that hold for every policy."""

    max_fraction: Fraction = Field(
        Decimal("0.25"),
        description="Part of all records that a run may destroy without an approval; more where the days"
        " since the last proved run explain it.",
    )
    max_clock_skew: Duration = Field(
        timedelta(seconds=60), description="Difference between this machine's clock and a store's."
    )


class TableSettings(Section):
    """A table of records in PostgreSQL."""

    table: Table = Field(description="The table, with its schema: core.audit_log.")
    time_column: Column = Field("created_at", description="Column with the record's own time.")
    time_zone: Annotated[str, AfterValidator(lambda value: zone(value) if value else value)] = Field(
        "", description="Zone of a time column that has none, such as UTC; such a column is refused without."
    )
    key_columns: Annotated[tuple[Column, ...], NoDecode, BeforeValidator(listed)] = Field(
        ("id",), min_length=1, description="Columns that tell rows apart: a primary or unique key."
    )
    time_kind: Literal[
        "instant", "epoch_seconds", "epoch_milliseconds", "epoch_microseconds", "uuid_v7", "ulid"
    ] = Field(
        "instant",
        description="How time_column says when: a type of PostgreSQL's, numbers since 1970, or a key that"
        " begins with its time.",
    )
    tenant_column: HoldColumn = Field(
        "",
        description="Column that holds by tenant name, or a path into JSON such as payload->>'tenant'; empty"
        " maps none.",
    )
    subject_column: HoldColumn = Field("", description="The same of holds by subject.")
    skip_referenced: bool = Field(
        False,
        description="Leave and count rows that foreign keys of other tables need, instead of ending with 3.",
    )
    strategy: Literal["auto", "keyset", "tid_range", "partition_drop"] = Field(
        "auto",
        description="keyset walks an index on the time column; tid_range passes once over the pages of a"
        " table without one; auto asks the catalogue. partition_drop detaches and drops whole partitions"
        " (only where the suite's own state is in the same database; needs its owner_dsn at each run).",
    )
    undo_window: Duration = Field(
        timedelta(days=7), description="How long a detached partition is kept before it is dropped."
    )


def tables_of(value: object) -> tuple[Any, ...]:
    """Tables as a file gives them; from the environment their names, or a JSON list of tables."""
    value = listed(value)
    if not isinstance(value, (list, tuple)):
        raise ValueError("tables must be a list of names or of tables")  # noqa: TRY004 - pydantic tells it
    return tuple({"table": item} if isinstance(item, str) else item for item in value)


class DatabaseSettings(Section):
    """``database`` and ``databases.<name>``: a PostgreSQL database.

    ``database`` holds ledger, holds and leases, and is the connection of each policy that names none.
    """

    dsn: Dsn | None = Field(
        None, description="Connection string of the job's role: postgresql://role@host:5432/database."
    )
    owner_dsn: Dsn | None = Field(
        None,
        description="Connection string of an owner of the tables, for migrate, and for detaching partitions.",
    )
    job_role: Column = Field(
        "luxima_retention", description="Role that the job logs in as; migrate gives it its rights."
    )


class S3Settings(Section):
    """``s3.<name>``: an S3 service and who asks it; ``s3.default`` is that of whatever names none."""

    endpoint_url: Url = Field("", description="Address of an S3 service other than AWS.")
    region: str = Field("", description="Region of the buckets; empty leaves it to the AWS defaults.")
    access_key_id: SecretStr | None = Field(
        None, description="Access key; empty leaves it to the AWS defaults."
    )
    secret_access_key: SecretStr | None = Field(None, description="Secret of access_key_id.")
    addressing_style: Literal["auto", "path", "virtual"] = Field(
        "auto", description="Where the bucket stands in URLs; auto is path with an endpoint_url."
    )
    ca_file: str = Field("", description="PEM file of the CA that signed the service's certificate.")


class ArchiveSettings(Section):
    """``archive``: where records go before they are destroyed."""

    url: str = Field("", description="Where archives are written: s3://bucket/prefix or file:///directory.")
    retention_days: Days | None = Field(
        None, description="Days that an archive is kept after it was written; required with archive.url."
    )
    s3: S3Name = Field("", description="Name of the connection to an s3:// URL; empty is s3.default.")
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
    anchors: Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)] = Field(
        (), description="Places that keep each checkpoint: file:///directory or s3://bucket/prefix."
    )
    s3: S3Name = Field("", description="Name of the connection to s3:// anchors; empty is s3.default.")
    anchor_lock_days: int = Field(
        0, ge=0, description="Days of S3 Object Lock (compliance) on an anchored checkpoint; 0 is none."
    )
    witnesses: Annotated[tuple[WitnessSettings, ...], NoDecode, BeforeValidator(as_json)] = Field(
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
    max_slot_lag_mib: int = Field(
        4096,
        ge=0,
        description="MiB of WAL that a replication slot without a limit of its own may be behind before"
        " batches wait.",
    )
    max_wal_mib_per_minute: int = Field(
        0, ge=0, description="MiB of WAL that batches may write in a minute; 0 does not limit."
    )


class ScheduleSettings(Section):
    """``schedule``: what holds for all times; each policy has its own."""

    time_zone: Annotated[str, AfterValidator(zone)] = Field(
        "Asia/Jakarta", description="Zone of all cron expressions."
    )
    archive_expire: CronExpression = Field(
        "43 8 * * sun",
        description="When archives go whose own retention is over; never while archive.url is empty.",
    )
    archive_verify: CronExpression = Field(
        "3 9 * * sat", description="When all archives are verified; never while archive.url is empty."
    )
    archive_drill: CronExpression = Field(
        "53 9 2 * *", description="When a restore is rehearsed; never while archive.url is empty."
    )
    ledger_verify: CronExpression = Field("13 8 * * *", description="When the whole ledger is verified.")
    observability_check: CronExpression = Field(
        "23 9 * * mon",
        description="When rules and dashboards are checked; never while observability.directory and"
        " observability.prometheus_url are empty.",
    )
    report: CronExpression = Field(
        "37 8 1 * *",
        description="When the report about the month before goes to report.url; never while that is empty.",
    )
    max_runtime: Duration = Field(timedelta(minutes=50), description="Time budget of each run.")
    grace: Duration = Field(
        timedelta(hours=1),
        description="How late a run may still start; after that it is recorded as missed, and waits for the"
        " next time.",
    )
    shutdown: Duration = Field(
        timedelta(seconds=80),
        description="How long the daemon waits for its runs after SIGTERM before it kills them.",
    )
    notify_flush: CronExpression = Field(
        "*/5 * * * *",
        description="When messages are sent that waited, and the daily digest; never while nobody is told.",
    )
    health_host: str = Field("127.0.0.1", description="Address that answers /healthz of the daemon.")
    health_port: int = Field(8086, ge=0, le=65535, description="Its port; 0 takes a free one.")


class ReportSettings(Section):
    """``report``: where reports go that nobody waits for."""

    url: str = Field(
        "",
        description="Place of reports written without -o: s3://bucket/prefix or file:///directory.",
    )
    s3: S3Name = Field("", description="Name of the connection to an s3:// URL; empty is s3.default.")
    company: str = Field("", description="Company or body in the minutes; what is empty is left to the pen.")
    controller: str = Field("", description="Controller of personal data in the minutes.")
    place: str = Field("", description="Place of destruction in the minutes: where the systems stand.")
    number: str = Field("", description="Number of the minutes; {year} and {month} are those of the period.")
    schedule: str = Field("", description="Number and date of the retention schedule (jadwal retensi arsip).")
    officials: Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)] = Field(
        (), description="Who signs, in the order of the blocks: a list of `Name (position)`."
    )
    public_body: bool = Field(
        False, description="Minutes by the law on public archives, and not on company documents."
    )
    copies: dict[Literal["replicas", "wal", "backups", "drains", "object_versions"], Days] = Field(
        {},
        description="Days after which a kind of copy of what was destroyed is gone: replicas, wal, backups,"
        " drains, object_versions. What is not named is told as not examined.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.url and not self.url.startswith(("s3://", "file:///")):
            raise ValueError(f"report.url is {self.url!r}: it must begin with s3:// or file:///")
        try:
            self.number.format(year="2026", month="01")
        except (KeyError, IndexError, ValueError, AttributeError):
            raise ValueError(
                f"report.number is {self.number!r}: it may hold {{year}} and {{month}} only"
            ) from None
        return self


class TelemetrySettings(Section):
    """``telemetry``: what a run tells the stack that watches; it never decides how a run ends."""

    environment: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = Field(
        "production", description="Name of this installation in metrics, traces and alerts."
    )
    pushgateway_url: Url = Field("", description="Pushgateway that takes the metrics of each real run.")
    pushgateway_http: HttpSettings = http_options("How telemetry.pushgateway_url is reached.")
    textfile_directory: str = Field(
        "",
        description="Directory of a node exporter's textfile collector that gets a file for each policy.",
    )
    otlp_url: Url = Field(
        "",
        description="OTLP/HTTP collector, such as Tempo on port 4318, that takes a trace of each real run.",
    )
    otlp_http: HttpSettings = http_options("How telemetry.otlp_url is reached.")
    budget: Duration = Field(
        timedelta(seconds=2),
        description="What all of this may cost a run, whatever the receivers do; then they are left behind.",
    )


class ObservabilitySettings(Section):
    """``observability``: what the weekly look at rules and dashboards compares and asks."""

    directory: str = Field(
        "",
        description="Directory from which Grafana and Prometheus read the generated files; empty compares"
        " none.",
    )
    prometheus_url: Url = Field(
        "", description="Prometheus that is asked which of the metrics in rules and panels it has."
    )
    prometheus_http: HttpSettings = http_options("How observability.prometheus_url is reached.")


class NotifySettings(Section):
    """``notify``: who is told of trouble, and how; it never decides how a run ends."""

    environment: str = Field(
        "production",
        pattern=r"^[a-z0-9-]+$",
        description="Name of this installation in messages and in ids of work items.",
    )
    language: Literal["id", "en"] = Field("id", description="Language of messages.")
    quiet_hours: str = Field(
        "22-6",
        pattern=r"^(([01]?\d|2[0-3])-([01]?\d|2[0-3]))?$",
        description="Hours in schedule.time_zone in which warnings make no sound and send no e-mail; critical"
        " messages always do. Empty knows none.",
    )
    links: Annotated[
        dict[Literal["dashboard", "logs", "trace", "runbook", "report"], str],
        NoDecode,
        BeforeValidator(as_json),
    ] = Field(
        {},
        description="Addresses that messages link, with {policy}, {target} and {run_id} in them; JSON in the"
        " environment.",
    )
    telegram_url: Url = Field("https://api.telegram.org", description="Server of Telegram's Bot API.")
    telegram_token: SecretStr | None = Field(None, description="Token of the bot; empty sends nothing.")
    telegram_chat: str = Field("", description="Chat that gets the messages: its number, or @channel.")
    telegram_http: HttpSettings = http_options("How notify.telegram_url is reached.")
    alert_dsn: SecretStr | None = Field(
        None,
        description="libpq connection string of a role in `retention_alerter` of a Supabase project: messages"
        " become rows of its retention.alert; empty writes none.",
    )
    smtp_url: str = Field(
        "",
        pattern=r"^(smtps?://[^\s/@?#]+)?$",
        description="Mail server: smtp://host:587 (STARTTLS is required) or smtps://host:465.",
    )
    smtp_username: str = Field("", description="User name there; empty does not log in.")
    smtp_password: SecretStr | None = Field(None, description="Password of smtp_username.")
    smtp_ca_file: str = Field("", description="PEM file of the CA that signed the mail server's certificate.")
    smtp_timeout: float = Field(8.0, gt=0, le=60, description="Seconds that one e-mail may take in all.")
    mail_from: MailAddress | Literal[""] = Field("", description="Sender of e-mails.")
    mail_to: Annotated[tuple[MailAddress, ...], NoDecode, BeforeValidator(listed)] = Field(
        (), description="Who gets the messages by e-mail."
    )
    report_to: Annotated[tuple[MailAddress, ...], NoDecode, BeforeValidator(listed)] = Field(
        (), description="Who gets the report about the month before by e-mail."
    )
    report_format: Literal["pdf", "html", "bundle"] = Field("pdf", description="Form of the report there.")
    report_largest_mib: int = Field(
        10,
        ge=1,
        le=100,
        description="MiB of a report that is attached; of a larger one only the place is told.",
    )
    plane_url: Url = Field("", description="Server of Plane, for work items about critical trouble.")
    plane_workspace: str = Field("", pattern=r"^[A-Za-z0-9_-]*$", description="Slug of the workspace.")
    plane_project: str = Field("", pattern=r"^[0-9a-fA-F-]*$", description="UUID of the project.")
    plane_key: SecretStr | None = Field(None, description="API key of Plane.")
    plane_http: HttpSettings = http_options("How notify.plane_url is reached.")
    heartbeat_url: SecretStr | None = Field(
        None,
        description="Address of a healthchecks check that each run pings; {policy} in it makes one a policy.",
    )
    heartbeat_http: HttpSettings = http_options("How notify.heartbeat_url is reached.")
    webhook_url: Url = Field("", description="Receiver of messages as JSON.")
    webhook_secret: SecretStr | None = Field(
        None, description="Secret of the signature (HMAC-SHA-256) on them."
    )
    webhook_http: HttpSettings = http_options("How notify.webhook_url is reached.")
    grafana_secret: SecretStr | None = Field(
        None, description="Secret of the signature on what Grafana sends to notify grafana-webhook."
    )
    grafana_telegram: bool = Field(
        False, description="Whether notify grafana-webhook also tells Telegram; not where Grafana does."
    )
    grafana_host: str = Field("127.0.0.1", description="Address on which notify grafana-webhook listens.")
    grafana_port: int = Field(8087, ge=0, le=65535, description="Its port; 0 takes a free one.")

    @property
    def quiet(self) -> tuple[int, int] | None:
        """First and last hour without sound."""
        first, dash, last = self.quiet_hours.partition("-")
        return (int(first), int(last)) if dash and int(first) != int(last) else None

    @property
    def on(self) -> bool:
        """Whether anybody is told anything."""
        channels = (self.telegram_token, self.mail_to, self.plane_url, self.webhook_url, self.alert_dsn)
        return any(channels) or bool(self.heartbeat_url)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        pairs = (
            ("telegram_token", self.telegram_token, "telegram_chat", self.telegram_chat),
            ("mail_to", self.mail_to or self.report_to, "smtp_url", self.smtp_url),
            ("smtp_url", self.smtp_url, "mail_from", self.mail_from),
            ("smtp_username", self.smtp_username, "smtp_password", self.smtp_password),
            ("plane_url", self.plane_url, "plane_workspace", self.plane_workspace),
            ("plane_url", self.plane_url, "plane_project", self.plane_project),
            ("plane_url", self.plane_url, "plane_key", self.plane_key),
        )
        for name, value, other, needed in pairs:
            if value and not needed:
                raise ValueError(f"{name} needs {other}")
        if wrong := [name for name, url in self.links.items() if not url.startswith(("https://", "http://"))]:
            raise ValueError(f"links.{wrong[0]} must begin with https:// or http://")
        return self


class Settings(Section):
    """Every section. :func:`luxima_retention.config.sources.load` fills it."""

    policies: dict[str, SerializeAsAny[PolicySettings]] = Field(description="The retention matrix.")
    guards: GuardsSettings = Field(default_factory=GuardsSettings, description="Limits of the guards.")
    database: DatabaseSettings = Field(default_factory=DatabaseSettings, description="PostgreSQL.")
    databases: dict[str, DatabaseSettings] = Field({}, description="Further databases, by name.")
    s3: dict[str, S3Settings] = Field({}, description="S3 services, by name.")
    pace: PaceSettings = Field(default_factory=PaceSettings, description="How gently tables are emptied.")
    archive: ArchiveSettings = Field(default_factory=ArchiveSettings, description="The archive.")
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings, description="Metrics and traces.")
    observability: ObservabilitySettings = Field(
        default_factory=ObservabilitySettings, description="Rules and dashboards."
    )
    notify: NotifySettings = Field(default_factory=NotifySettings, description="Who is told of trouble.")
    ledger: LedgerSettings = Field(default_factory=LedgerSettings, description="The ledger.")
    report: ReportSettings = Field(default_factory=ReportSettings, description="Reports.")
    schedule: ScheduleSettings = Field(default_factory=ScheduleSettings, description="Times.")

    @model_validator(mode="after")
    def _connections_are_there(self) -> Self:
        """A connection that is named must be written; without the seed's own its policy is not configured."""
        users = [("archive", self.archive), ("ledger", self.ledger), ("report", self.report)]
        users += [(f"policies.{name}", policy) for name, policy in self.policies.items()]
        for user, section in users:
            s3, database = getattr(section, "s3", ""), getattr(section, "database", "")
            if s3 and s3 not in self.s3:
                raise ValueError(f"{user}.s3 names {s3!r}, and there is no section s3.{s3}")
            unwritten = database and database not in self.databases
            if unwritten and DEFAULTS.get(user.removeprefix("policies."), {}).get("database") != database:
                raise ValueError(
                    f"{user}.database names {database!r}, and there is no section databases.{database}"
                )
        return self

    def policy(self, name: str) -> PolicyConfig[PolicySettings]:
        """One policy with its options; ``name`` is one of ``policies``."""
        return PolicyConfig(name=name, options=self.policies[name], settings=self)

    def database_named(self, name: str) -> DatabaseSettings:
        """The connection of this name; empty is ``database``; one that is not written has no DSN."""
        return self.databases.get(name, DatabaseSettings()) if name else self.database

    def s3_named(self, name: str) -> S3Settings:
        """The connection of this name; empty is ``s3.default``, or what the AWS defaults say."""
        return self.s3.get(name or "default", S3Settings())


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyConfig(Generic[Options]):
    """One policy in force, with the settings around it.

    Args:
        name: ``audit-logs``, hyphens and lower case.
        options: validated, of the policy's kind.
        settings: all settings, for connections and what holds for every policy.
    """

    name: str
    options: Options
    settings: Settings

    @property
    def setting(self) -> str:
        """Where its options stand: ``policies.audit-logs``."""
        return f"policies.{self.name}"
