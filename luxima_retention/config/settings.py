"""Every option, declared once: name, type, default, validation and help.

Sources, first wins: command line flag, ``LUXIMA_…`` environment (nested by ``__``), mounted secret
files, ``luxima-retention.toml``, defaults. Unknown and duplicate keys are errors. The options of a kind of
policy stand in its ``kind.py``. ``docs/settings.md`` is generated from all of them; a test compares.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Generic, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    SerializeAsAny,
    model_validator,
)

from luxima_retention.config.addresses import Dsn, Url
from luxima_retention.config.places import Place, connection
from luxima_retention.config.policies import DEFAULTS, Options, PolicySettings
from luxima_retention.config.values import (
    Column,
    CronExpression,
    Days,
    Duration,
    HoldColumn,
    Listen,
    MailAddress,
    Section,
    Sender,
    Table,
    as_json,
    listed,
    shaped,
    zone,
)

#: server, workspace and project of an address that the browser shows
_PLANE = re.compile(r"(https?://.+?)/([A-Za-z0-9_-]+)/projects/([0-9a-fA-F-]{36})(?:/issues)?/?")
#: of an installation
_NAMES = r"[A-Za-z0-9._-]+"
_HOURS = r"(([01]?\d|2[0-3])-([01]?\d|2[0-3]))?"
_SMTP = "it must be smtp://host:port or smtps://host:port, without user and password"
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class HttpSettings(Section):
    """``<section>.http``: how an HTTP endpoint is reached; every endpoint has these options."""

    username: Annotated[str, shaped(r"[^:\r\n]*", "it must not contain a colon")] = Field(
        "", description="User name for basic authentication."
    )
    password: SecretStr | None = Field(None, description="Password of username.")
    bearer_token: SecretStr | None = Field(None, description="Bearer token, where no username is set.")
    headers: Annotated[dict[str, SecretStr], BeforeValidator(as_json)] = Field(
        {}, description="More headers, such as X-Scope-OrgID; JSON in the environment."
    )
    ca_file: str = Field("", description="PEM file of the CA that signed the server's certificate.")
    timeout: float = Field(30.0, gt=0, le=300, description="Seconds that one request may take in all.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.password and self.bearer_token:
            raise ValueError("takes either password or bearer_token")
        if bool(self.username) != bool(self.password):
            raise ValueError("username and password go together")
        if wrong := [name for name in self.headers if not _HEADER.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r} is not a valid name of a header")
        if (self.password or self.bearer_token) and "authorization" in {
            name.lower() for name in self.headers
        }:
            raise ValueError("takes either a header Authorization or a password or token")
        return self


def http_options(description: str = "How url or urls are reached.") -> Any:
    """The field of a section that reaches an HTTP endpoint."""
    return Field(default_factory=HttpSettings, description=description)


class TableSettings(Section):
    """A table of records in PostgreSQL."""

    table: Table = Field(description="The table, with its schema: core.audit_log.")
    time_column: Column = Field("created_at", description="Column with the record's own time.")
    time_zone: Annotated[str, AfterValidator(lambda value: zone(value) if value else value)] = Field(
        "", description="Zone of a time column without one, such as UTC; such a column needs it."
    )
    key_columns: Annotated[tuple[Column, ...], BeforeValidator(listed)] = Field(
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
    """``s3.<name>``: an S3 service and who asks it; ``s3.default`` is the one of places that name none."""

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

    url: Place = Field(
        "",
        description="Where archives are written: s3://bucket/prefix, s3+NAME://bucket/prefix through the"
        " connection s3.NAME, or file:///directory.",
    )
    retention_days: Days | None = Field(
        None, description="Days that an archive is kept after it was written; required with archive.url."
    )
    object_lock: Literal["off", "governance", "compliance"] = Field(
        "off", description="S3 Object Lock that each archived object gets until its retention ends."
    )
    mirror_holds: bool = Field(
        False, description="Whether a legal hold is also set as S3 legal hold on the archives it covers."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.url and self.retention_days is None:
            raise ValueError("retention_days is required with url")
        if self.object_lock != "off" and connection(self.url) is None:
            raise ValueError("object_lock needs a url that is a bucket")
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
            raise ValueError(f"url is {self.url!r}: it must begin with https:// or http://")
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
    anchors: Annotated[tuple[Place, ...], BeforeValidator(listed)] = Field(
        (), description="Places that keep each checkpoint, written like archive.url."
    )
    anchor_lock_days: int = Field(
        0, ge=0, description="Days of S3 Object Lock (compliance) on an anchored checkpoint; 0 is none."
    )
    witnesses: Annotated[tuple[WitnessSettings, ...], BeforeValidator(as_json)] = Field(
        (), description="Second parties that cosign each checkpoint (C2SP tlog-witness)."
    )
    timestamp_url: str = Field(
        "", description="RFC 3161 authority that time-stamps each checkpoint; needs the extra timestamp."
    )
    witness_quorum: int | None = Field(
        None, ge=1, description="How many of the witnesses must cosign; empty means all of them."
    )
    approvers: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        (), description="Verifier keys of the persons who may approve, as `ledger approver` prints them."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.origin or any(char.isspace() or char == "+" for char in self.origin):
            raise ValueError(f"origin is {self.origin!r}: it must have neither white space nor a plus")
        if self.timestamp_url and not self.timestamp_url.startswith(("https://", "http://")):
            raise ValueError(f"timestamp_url is {self.timestamp_url!r}: it must begin with https://")
        if self.witness_quorum is not None and self.witness_quorum > len(self.witnesses):
            raise ValueError(
                f"witness_quorum is {self.witness_quorum}, but witnesses names {len(self.witnesses)}"
            )
        if self.public_key and self.public_key.split("+", 2)[2:] in [
            key.split("+", 2)[2:] for key in self.approvers
        ]:
            raise ValueError("approvers names the key of the ledger: who runs jobs approves nothing")
        return self


class PaceSettings(Section):
    """``pace``: how gently tables are emptied."""

    max_batch_rows: int = Field(
        200_000, ge=1, description="Rows of one batch at most; fewer where they take long or write much WAL."
    )
    duty_cycle: float = Field(
        0.25,
        gt=0,
        le=1,
        description="Most of the time that is spent deleting, 0 to 1; less where commits are slow."
        " 1 never pauses, for a backlog.",
    )
    max_replica_lag: Duration = Field(
        timedelta(seconds=30), description="Replay lag of a standby beyond which batches wait."
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


Job = Literal[
    "ledger-verify",
    "archive-expire",
    "archive-verify",
    "archive-drill",
    "report",
    "observability-check",
    "notify-flush",
]
#: when the suite's own jobs run, by default
_JOBS: dict[Any, str] = {
    "ledger-verify": "13 8 * * *",
    "archive-expire": "43 8 * * sun",
    "archive-verify": "3 9 * * sat",
    "archive-drill": "53 9 2 * *",
    "report": "37 8 1 * *",
    "observability-check": "23 9 * * mon",
    "notify-flush": "*/5 * * * *",
}


def _jobs(value: object) -> object:
    """The times that are given, by name with ``-`` or ``_``, over the default ones."""
    value = as_json(value)
    if not isinstance(value, Mapping):
        raise ValueError("it must be a table of cron expressions by job")  # noqa: TRY004 - pydantic tells it
    times = dict(_JOBS)
    return times | {str(name).replace("_", "-"): given for name, given in value.items()}


class ScheduleSettings(Section):
    """``schedule``: what holds for all times; each policy has its own."""

    time_zone: Annotated[str, AfterValidator(zone)] = Field(
        "Asia/Jakarta", description="Zone of all cron expressions."
    )
    jobs: Annotated[dict[Job, CronExpression], BeforeValidator(_jobs)] = Field(
        _JOBS,
        description="When the suite's own jobs run: ledger-verify, archive-expire, archive-verify,"
        " archive-drill (these three only with archive.url), report (last month's, to report.url),"
        " observability-check (only with observability.directory or a policy of kind prometheus) and"
        " notify-flush (what waited, and the daily digest). What is not named stays; empty never starts it.",
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
    listen: Listen = Field(
        "127.0.0.1:8086",
        description="Host and port that answer /healthz and /metrics of the daemon; port 0 takes a free one.",
    )


class MinutesSettings(Section):
    """``report.minutes``: what the minutes of destruction say that no ledger knows."""

    company: str = ""
    controller: str = ""
    place: str = ""
    number: str = ""
    schedule: str = ""
    officials: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()
    public_body: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        try:
            self.number.format(year="2026", month="01")
        except (KeyError, IndexError, ValueError, AttributeError):
            raise ValueError(f"number is {self.number!r}: it may hold {{year}} and {{month}} only") from None
        return self


class ReportSettings(Section):
    """``report``: where reports go that nobody waits for."""

    url: Place = Field("", description="Place of reports written without -o, written like archive.url.")
    minutes: MinutesSettings = Field(
        default_factory=MinutesSettings,
        description="What the minutes of destruction say, a table: company, or body; controller of personal"
        " data; place, where the systems stand; number, with {year} and {month} of the period; schedule,"
        " number and date of the retention schedule (jadwal retensi arsip); officials who sign, in the order"
        " of the blocks, a list of `Name (position)`; public_body, true for the law on public archives"
        " instead of that on company documents. What is not named is left to the pen.",
    )
    copies: dict[Literal["replicas", "wal", "backups", "drains", "object_versions"], Days] = Field(
        {},
        description="Days after which a kind of copy of what was destroyed is gone: replicas, wal, backups,"
        " drains, object_versions. What is not named is reported as not examined.",
    )


class TelemetrySettings(Section):
    """``telemetry``: what a run tells the stack that watches; it never decides how a run ends."""

    environment: Annotated[str, shaped(_NAMES, "it must be letters, digits, dots, - and _")] = Field(
        "production",
        description="Name of this installation in metrics, traces, alerts, messages and ids of work items.",
    )
    pushgateway_url: Url = Field("", description="Pushgateway that takes the metrics of each real run.")
    textfile_directory: str = Field(
        "",
        description="Directory of a node exporter's textfile collector that gets a file for each policy.",
    )
    otlp_url: Url = Field(
        "",
        description="OTLP/HTTP collector, such as Tempo on port 4318, that takes a trace of each real run.",
    )
    http: dict[Literal["pushgateway", "otlp"], HttpSettings] = Field(
        {}, description="How they are reached: tables http.pushgateway and http.otlp."
    )


class ObservabilitySettings(Section):
    """``observability``: what the weekly look at rules and dashboards compares.

    Which of their metrics there are, it asks the servers of the policies of kind ``prometheus``.
    """

    directory: str = Field(
        "",
        description="Directory from which Grafana and Prometheus read the generated files; empty compares"
        " none.",
    )


class ComputeSettings(Section):
    """``compute``: a hosted Supabase database whose size is proposed, and changed once a person approved."""

    project_ref: str = Field("", pattern=r"^[a-z0-9]*$", description="Reference of the project.")
    largest: Literal[
        "",
        "ci_micro",
        "ci_small",
        "ci_medium",
        "ci_large",
        "ci_xlarge",
        "ci_2xlarge",
        "ci_4xlarge",
        "ci_8xlarge",
        "ci_12xlarge",
        "ci_16xlarge",
    ] = Field("", description="The largest compute that is ever proposed; empty proposes none.")
    http: HttpSettings = http_options(
        "How the Management API is reached; its bearer_token may read the add-ons, and change them only"
        " where `compute apply` runs."
    )


class NotifySettings(Section):
    """``notify``: who is told of problems, and how; it never decides how a run ends."""

    language: Literal["id", "en"] = Field("id", description="Language of messages.")
    quiet_hours: Annotated[str, shaped(_HOURS, "it must be two hours of the day, such as 22-6")] = Field(
        "22-6",
        description="Hours in schedule.time_zone in which warnings make no sound and send no e-mail; critical"
        " messages always do. Empty means none.",
    )
    links: Annotated[
        dict[Literal["dashboard", "logs", "trace", "runbook", "report"], str],
        BeforeValidator(as_json),
    ] = Field(
        {},
        description="Addresses that messages link, with {policy}, {target} and {run_id} in them; JSON in the"
        " environment.",
    )
    telegram_url: Url = Field("https://api.telegram.org", description="Server of Telegram's Bot API.")
    telegram_token: SecretStr | None = Field(None, description="Token of the bot; empty sends nothing.")
    telegram_chat: str = Field("", description="Chat that gets the messages: its number, or @channel.")
    alert_dsn: Dsn | None = Field(
        None,
        description="libpq connection string of a role in `retention_alerter` of a Supabase project: messages"
        " become rows of its retention.alert; empty writes none.",
    )
    smtp_url: Annotated[str, shaped(r"(smtps?://[^\s/@?#]+)?", _SMTP)] = Field(
        "",
        description="Mail server: smtp://host:587 (STARTTLS is required) or smtps://host:465.",
    )
    smtp_username: str = Field("", description="User name there; empty does not log in.")
    smtp_password: SecretStr | None = Field(None, description="Password of smtp_username.")
    smtp_ca_file: str = Field("", description="PEM file of the CA that signed the mail server's certificate.")
    mail_from: Sender = Field("", description="Sender of e-mails.")
    mail_to: Annotated[tuple[MailAddress, ...], BeforeValidator(listed)] = Field(
        (), description="Who gets the messages by e-mail."
    )
    report_to: Annotated[tuple[MailAddress, ...], BeforeValidator(listed)] = Field(
        (), description="Who gets the report about the month before by e-mail."
    )
    report_format: Literal["pdf", "html", "bundle"] = Field("pdf", description="Form of the report there.")
    plane_url: Url = Field(
        "",
        description="Address of a project in Plane, as the browser shows it, for work items about critical"
        " trouble: https://plane.example/WORKSPACE/projects/UUID.",
    )
    plane_key: SecretStr | None = Field(None, description="API key of Plane.")
    heartbeat_url: SecretStr | None = Field(
        None,
        description="Address of a healthchecks check that each run pings; {policy} in it makes one a policy.",
    )
    webhook_url: Url = Field("", description="Receiver of messages as JSON.")
    webhook_secret: SecretStr | None = Field(
        None, description="Secret of the signature (HMAC-SHA-256) on them."
    )
    http: dict[Literal["telegram", "plane", "heartbeat", "webhook"], HttpSettings] = Field(
        {},
        description="How they are reached: tables http.telegram, http.plane, http.heartbeat, http.webhook.",
    )
    grafana_secret: SecretStr | None = Field(
        None, description="Secret of the signature on what Grafana sends to notify grafana-webhook."
    )

    @property
    def quiet(self) -> tuple[int, int] | None:
        """First and last hour without sound."""
        first, dash, last = self.quiet_hours.partition("-")
        return (int(first), int(last)) if dash and int(first) != int(last) else None

    @property
    def plane(self) -> tuple[str, str] | None:
        """Server of Plane, and the path of the project in its API."""
        found = _PLANE.fullmatch(self.plane_url)
        return (found[1], f"/api/v1/workspaces/{found[2]}/projects/{found[3]}") if found else None

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
            ("plane_url", self.plane_url, "plane_key", self.plane_key),
        )
        for name, value, other, needed in pairs:
            if value and not needed:
                raise ValueError(f"{name} needs {other}")
        if self.plane_url and self.plane is None:
            raise ValueError("plane_url must look like https://plane.example/WORKSPACE/projects/UUID")
        if wrong := [name for name, url in self.links.items() if not url.startswith(("https://", "http://"))]:
            raise ValueError(f"links.{wrong[0]} must begin with https:// or http://")
        return self


class Settings(Section):
    """Every section. :func:`luxima_retention.config.sources.load` fills it."""

    policies: dict[str, SerializeAsAny[PolicySettings]] = Field(description="The retention matrix.")
    database: DatabaseSettings = Field(default_factory=DatabaseSettings, description="PostgreSQL.")
    databases: dict[str, DatabaseSettings] = Field({}, description="Further databases, by name.")
    s3: dict[str, S3Settings] = Field({}, description="S3 services, by name.")
    pace: PaceSettings = Field(default_factory=PaceSettings, description="How gently tables are emptied.")
    archive: ArchiveSettings = Field(default_factory=ArchiveSettings, description="The archive.")
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings, description="Metrics and traces.")
    observability: ObservabilitySettings = Field(
        default_factory=ObservabilitySettings, description="Rules and dashboards."
    )
    notify: NotifySettings = Field(default_factory=NotifySettings, description="Who is told of problems.")
    compute: ComputeSettings = Field(
        default_factory=ComputeSettings, description="Size of a hosted database."
    )
    ledger: LedgerSettings = Field(default_factory=LedgerSettings, description="The ledger.")
    report: ReportSettings = Field(default_factory=ReportSettings, description="Reports.")
    schedule: ScheduleSettings = Field(default_factory=ScheduleSettings, description="Times.")

    @model_validator(mode="after")
    def _connections_are_there(self) -> Self:
        """A connection that is named must be written; without the seed's own its policy is not configured."""
        for setting, s3 in self._s3_named():
            if s3 not in {"", "default", *self.s3}:
                raise ValueError(f"{setting} names {s3!r}, and there is no section s3.{s3}")
        for name, policy in self.policies.items():
            database = getattr(policy, "database", "")
            unwritten = database and database not in self.databases
            if unwritten and DEFAULTS.get(name, {}).get("database") != database:
                raise ValueError(
                    f"policies.{name}.database names {database!r}, and there is no section"
                    f" databases.{database}"
                )
        return self

    def _s3_named(self) -> Iterator[tuple[str, str]]:
        """Setting and the connection that it names."""
        places = [("archive.url", self.archive.url), ("report.url", self.report.url)]
        places += [("ledger.anchors", url) for url in self.ledger.anchors]
        yield from ((setting, connection(url) or "") for setting, url in places)
        yield from ((f"policies.{name}.s3", getattr(item, "s3", "")) for name, item in self.policies.items())

    def policy(self, name: str) -> "PolicyConfig[PolicySettings]":
        """One policy with its options; ``name`` is one of ``policies``."""
        return PolicyConfig(name=name, options=self.policies[name], settings=self)

    @property
    def keeps_state(self) -> bool:
        """Whether they name where ledger, holds and leases are: a database, or a ledger file."""
        return self.database.dsn is not None or bool(self.ledger.path)

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
