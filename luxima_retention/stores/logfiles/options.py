"""The options of the kind ``logfiles``."""

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from luxima_retention.config.addresses import Url
from luxima_retention.config.policies import PolicySettings
from luxima_retention.config.values import (
    Bytes,
    Duration,
    Mode,
    Section,
    as_json,
    listed,
    shaped,
    zone_or_local,
)

_ENDING = shaped(r"[^/]*", "it must not contain /")


class RotationHookSettings(Section):
    """Something to do around a rotation: a signal, a request or a program; one of them."""

    pid_file: str = Field("", description="File with the number of the process that gets the signal.")
    signal: Annotated[str, shaped(r"[A-Z0-9]+", "it must be a name such as HUP or USR1")] = Field(
        "HUP", description="The signal for pid_file: HUP, USR1."
    )
    url: Url = Field("", description="Address that gets a POST with the paths as JSON.")
    run: Annotated[tuple[str, ...], BeforeValidator(as_json)] = Field(
        (),
        description="A program with its arguments, never a shell; {path} and {rotated} as whole arguments are"
        " the log and what it became.",
    )
    timeout: Duration = Field(timedelta(seconds=60), description="How long the hook may take.")
    tolerate: Literal["nothing", "missing", "failure"] = Field(
        "nothing",
        description="What does not fail the rotation: missing, a pid_file that does not exist; failure,"
        " anything, which is reported.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if sum(map(bool, (self.pid_file, self.url, self.run))) != 1:
            raise ValueError("a hook is one of pid_file, url and run")
        return self


Hooks = Annotated[tuple[RotationHookSettings, ...], BeforeValidator(as_json)]


def _date_format(value: str) -> str:
    """Specifiers that names can be read back by, and no directory."""
    unknown = [
        found for found in re.findall(r"%(.?)", value) if found not in "YmdHMSGVUWuwygjsz" or not found
    ]
    if unknown or "/" in value or "%" not in value:
        raise ValueError(f"{value!r} is not a valid format of dates in names: use %Y %m %d %H %M %S %s")
    return value


class RotationSetSettings(Section):
    """``rotation.sets.<name>``: log files that rotate alike."""

    paths: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        min_length=1,
        description="Patterns of absolute paths, as glob(7) has them: /var/log/api/*.log, ~api/[!a]*.log.",
    )
    every: Literal["minutes", "hourly", "daily", "weekly", "monthly", "yearly", "size"] = Field(
        "weekly", description="How often; size looks at the size alone."
    )
    minutes: int = Field(60, ge=1, description="Minutes of every = minutes.")
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
        None, ge=0, description="Rotated files whose last write is older are deleted at any run; none is off."
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
    extension: Annotated[str, _ENDING] = Field("", description="Kept at the end of rotated names: .log.")
    add_extension: Annotated[str, _ENDING] = Field("", description="Put at the end of rotated names.")
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
    compress_extension: Annotated[str, shaped(r"(\.[^/]+)?", "it must begin with a dot: .gz")] = Field(
        "", description="Extension of compressed files; empty takes the usual."
    )
    compress_program: Annotated[tuple[str, ...], BeforeValidator(as_json)] = Field(
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
    user: str = Field(
        "", description="User that the set is worked on as, when run by root: in a process of its own."
    )
    group: str = Field("", description="Group of user; empty takes the user's.")
    hooks_as_user: bool = Field(
        False, description="Whether programs of hooks run as user, too, instead of whoever runs the rotation."
    )
    shared_hooks: bool = Field(False, description="Run before and after once for the whole set.")
    first: Hooks = Field((), description="Hooks before the first log of the set, if any rotates.")
    before: Hooks = Field((), description="Hooks before a log rotates.")
    after: Hooks = Field((), description="Hooks after a log was rotated: the writer reopens its log.")
    before_removal: Hooks = Field((), description="Hooks before keep or max_age_days deletes rotated files.")
    last: Hooks = Field((), description="Hooks after the last log of the set, if any rotated.")
    mail: Annotated[str, shaped(r"([^-\s][^\s]*)?", "it must be an address without spaces")] = Field(
        "",
        description="Address that gets the files which keep or max_age_days deletes.",
    )
    mail_newest: bool = Field(False, description="Whether mail sends each file just rotated instead.")
    shred: bool = Field(
        False, description="Whether files that keep or max_age_days deletes are overwritten with shred first."
    )
    shred_cycles: int = Field(3, ge=1, description="How often shred overwrites.")
    expire: bool = Field(
        True,
        description="Whether rotated files are also deleted after the policy's period, which needs a ledger;"
        " else by keep and max_age_days alone.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if wrong := [path for path in self.paths if not re.match(r"/|~[^/]*/", path) or "\0" in path]:
            raise ValueError(f"paths names {wrong[0]!r}: it must begin with /, ~/ or ~user/")
        if (self.compress == "program") != bool(self.compress_program):
            raise ValueError("compress = program and compress_program go together")
        if self.compress == "program" and not self.compress_extension:
            raise ValueError("compress = program needs compress_extension")
        if (self.group or self.hooks_as_user) and not self.user:
            raise ValueError(f"{'group' if self.group else 'hooks_as_user'} is about user: set user as well")
        return self


class LogFilesPolicy(PolicySettings):
    """Options of ``kind = "logfiles"``: sets of log files; section ``rotation`` for short."""

    sets: Annotated[dict[str, RotationSetSettings], BeforeValidator(as_json)] = Field(
        {}, description="The sets, each a table sets.<name>; as JSON in the environment."
    )
    time_zone: Annotated[str, AfterValidator(zone_or_local)] = Field(
        "Asia/Jakarta",
        description="Zone in which days begin, and of the dates in names; local is the machine's, by TZ or"
        " /etc/localtime.",
    )
    state_dir: str = Field(
        "",
        description="Directory of journals, locks and state, which only who runs may write; empty is"
        " /var/lib/luxima-retention for root, else $STATE_DIRECTORY, $XDG_STATE_HOME/luxima-retention or"
        " ~/.local/state/luxima-retention.",
    )
    state_file: str = Field(
        "", description="logrotate's own state file, to be used instead of the one in state_dir."
    )
    mail_program: str = Field("mail", description="Program that sends mail, as mail -s SUBJECT ADDRESS.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name, path in (("state_file", self.state_file), ("state_dir", self.state_dir)):
            if path and not path.startswith("/"):
                raise ValueError(f"{name} is {path!r}: it must begin with /")
        return self
