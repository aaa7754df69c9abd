"""Where settings come from: environment, secret files, ``luxima-retention.toml``, defaults; first wins.

The origin of every value is kept, for ``luxima-retention matrix``. Unknown and duplicate keys are errors:
a misspelt option must not silently leave a default in force.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from luxima_retention.config import variables
from luxima_retention.config.policies import DEFAULTS, SHORT_FORMS, PolicySettings, policy_name
from luxima_retention.config.settings import S3Settings, Settings, TableSettings, tables_of
from luxima_retention.config.variables import PREFIX
from luxima_retention.core.errors import ConfigurationError
from luxima_retention.core.redact import is_distinctive, know

FILE = "luxima-retention.toml"
#: looked for in this order when neither --config nor LUXIMA_CONFIG names a file
PLACES = (Path(FILE), Path("/etc/luxima-retention") / FILE)
#: one file for each secret, named ``database__dsn``; LUXIMA_SECRETS_DIR names another directory
SECRETS = Path("/run/secrets/luxima-retention")
_LARGEST_SECRET = 64 * 1024
#: UTF-8; some editors put a mark before it, which is no part of the text
_TEXT = "utf-8-sig"
#: what a policy may be called; CronJobs take 52 letters, with the suffix of further runs
_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]|[a-z]")
#: taken by metrics, accounts and slots
RESERVED = ("archive", "ledger", "notify", "report")
#: where a short form waits for the table that it speaks of
_SHORT = "<short>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The settings in force.

    Args:
        settings: validated.
        origins: dotted name of each value that was set → where it was set.
        file: the settings file, if one was read.
    """

    settings: Settings
    origins: Mapping[str, str]
    file: Path | None

    def origin(self, name: str) -> str:
        """Where the value of ``policies.audit-logs.retention_days`` came from."""
        return self.origins.get(name, "default")


def load(config: Path | None, options: Mapping[str, type[PolicySettings]]) -> Configuration:
    """Read and validate all settings.

    Args:
        config: the settings file that the command line names.
        options: the options of each kind of policy, by the kind's name.

    Raises:
        ConfigurationError: a value is missing, unknown, doubled or not valid; each is named, none shown.
    """
    know(_secret_variables())
    _check_variables(os.environ, options)
    path = _settings_file(config)
    written = _file(path)
    layers = (
        (f"{path}", written),
        ("secret file", _nested(_secret_files(), "the secret file {}")),
        ("environment", _nested(_environment(os.environ), PREFIX + "{}")),
    )
    settings, origins = layered(layers, options)
    know([*_secret_variables(), *_secrets_of(settings)])
    if path is not None and os.geteuid() == 0:
        _check_writers(settings, path)
    return Configuration(settings=settings, origins=origins, file=path)


def layered(
    layers: Sequence[tuple[str, Mapping[str, Any]]], options: Mapping[str, type[PolicySettings]]
) -> tuple[Settings, Mapping[str, str]]:
    """The settings of these layers, each laid over the one before, over the defaults; and their origins.

    Args:
        layers: origin and values; only the first one may bring policies of its own.
        options: the options of each kind of policy, by the kind's name.

    Raises:
        ConfigurationError: as :func:`load`.
    """
    named = [(origin, _with_names(values, origin)) for origin, values in layers]
    known = {*DEFAULTS, *named[0][1].get("policies", {})}
    merged: dict[str, Any] = {"policies": {name: dict(values) for name, values in DEFAULTS.items()}}
    origins: dict[str, str] = {}
    for origin, values in named:
        _check_policies(values, known, origin)
        merged = _over(values, merged)
        origins |= dict.fromkeys(_leaves(values), origin)
    return _validated(merged, options, origins), origins


def _check_writers(settings: Settings, path: Path) -> None:
    """What root rotates, gives away and runs stands in a file that nobody else can write."""
    if not any(getattr(policy, "sets", None) for policy in settings.policies.values()):
        return
    status = path.stat()
    if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationError(
            f"{path} is read by root, which rotates files and runs programs by it,"
            " and others than root may write to it",
            f"chown root {path}, and chmod go-w it",
        )


def _with_names(values: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """The values with policies by name, and with the short forms where they belong."""
    found = {key: value for key, value in values.items() if key not in {"policies", *SHORT_FORMS}}
    policies: dict[str, Any] = {}
    for key, value in _table(values.get("policies", {}), "policies").items():
        _check_name(policy_name(key))
        if policy_name(key) in policies:
            raise ConfigurationError(f"policies.{key} is set twice in {origin}: - and _ are equal in names")
        policies[policy_name(key)] = _table(value, f"policies.{key}")
    for section in SHORT_FORMS.keys() & values.keys():
        policy, *rest = SHORT_FORMS[section]
        place = policies.setdefault(str(policy), {})
        if rest:  # the policy's only table
            place[_SHORT] = _table(values[section], section)
        else:
            _fill(place, _table(values[section], section), section)
    return {**found, **({"policies": policies} if policies else {})}


def _check_name(name: str) -> None:
    """A policy names CronJobs, accounts, leases, files of metrics and slots."""
    if name in RESERVED or not _NAME.fullmatch(name):
        said = (
            "stands for a job of the suite's own" if name in RESERVED else "is not a valid name of a policy"
        )
        raise ConfigurationError(
            f"policies.{name}: {name!r} {said}",
            "use letters, digits and hyphens, 40 at most, a letter first, and none of " + ", ".join(RESERVED),
        )


def _table(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} must be a table of settings")
    return value


def _fill(place: dict[str, Any], values: Mapping[str, Any], section: str) -> None:
    if doubled := sorted(place.keys() & values.keys()):
        raise ConfigurationError(
            f"{doubled[0]} is set in section {section} and in its policy: keep one of them"
        )
    place.update(values)


def _check_policies(values: Mapping[str, Any], known: Collection[str], origin: str) -> None:
    """Environment and secret files change policies; they do not make any."""
    if unknown := sorted(values.get("policies", {}).keys() - known):
        raise ConfigurationError(
            f"there is no policy {unknown[0]} for the value in {origin}: it is neither built in nor in the"
            " settings file",
            f"policies are {', '.join(sorted(known))}",
        )


def _check_variables(names: Iterable[str], options: Mapping[str, type[PolicySettings]]) -> None:
    """No variable that is meant for us may be without effect."""
    found = list(variables.problems(names, frozenset(known_paths(options))))
    if found:
        hints = dict.fromkeys(problem.hint for problem in found if problem.hint)
        raise ConfigurationError("; ".join(problem.message for problem in found), "; ".join(hints))


def known_paths(options: Mapping[str, type[PolicySettings]]) -> Iterator[variables.Path]:
    """The path of every setting: of sections, of policies of each kind, and of the short forms."""
    yield from variables.paths(Settings)
    # Each in full as well, so that a name without ``__`` can be told.
    yield from variables.paths(S3Settings, ("s3", "default"))
    names = (variables.ANY, *(name.replace("-", "_") for name in DEFAULTS))
    for model in options.values():
        below = tuple(variables.paths(model))
        yield from (("policies", name, *path) for name in names for path in below)
    for section, (policy, *rest) in SHORT_FORMS.items():
        kind = DEFAULTS[str(policy)]["kind"]
        yield from variables.paths(TableSettings if rest else options[kind], (section,))


def _settings_file(named: Path | None) -> Path | None:
    """The file to read; one that is named must be there."""
    chosen = named or (Path(text) if (text := os.environ.get(f"{PREFIX}CONFIG")) else None)
    if chosen is not None:
        return chosen
    return next((place for place in PLACES if place.is_file()), None)


def _file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding=_TEXT))
    except OSError as error:
        raise ConfigurationError(
            f"the settings file {path} cannot be read: {error.strerror}",
            "name another with --config or LUXIMA_CONFIG",
        ) from error
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"the settings file {path} is not text in UTF-8", "save it as UTF-8"
        ) from None
    except (ValueError, RecursionError) as error:  # ValueError: a number of thousands of digits
        raise ConfigurationError(f"the settings file {path} is not valid TOML: {error}") from None


def _secret_files() -> Iterator[tuple[str, str]]:
    """Name and text of each secret; what begins with a dot is Kubernetes' own.

    Raises:
        ConfigurationError: the directory that LUXIMA_SECRETS_DIR names is not there, or cannot be read.
    """
    named = os.environ.get(f"{PREFIX}SECRETS_DIR")
    directory = Path(named) if named else SECRETS
    try:
        files = sorted(directory.iterdir())
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not named:
            return
        raise ConfigurationError(
            f"the secrets directory {directory} cannot be read: {error.strerror}",
            "mount the secrets there, or correct LUXIMA_SECRETS_DIR",
        ) from error
    for file in files:
        if not file.name.startswith(".") and file.is_file():
            yield file.name.lower(), _secret(file)


def _secret(file: Path) -> str:
    try:
        if file.stat().st_size > _LARGEST_SECRET:
            raise ConfigurationError(f"the secret file {file} is larger than {_LARGEST_SECRET} bytes")
        return file.read_text(encoding=_TEXT).removesuffix("\n")
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"the secret file {file} is not text in UTF-8", "write it as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the secret file {file} cannot be read: {error.strerror}", "mount it readable for this user"
        ) from error


def _environment(given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Name without prefix and value of each variable that is a setting.

    Raises:
        ConfigurationError: a value is not text in UTF-8.
    """
    for name, value in given.items():
        if not name.upper().startswith(PREFIX) or "__" not in name:
            continue
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigurationError(f"{name} is not text in UTF-8", "correct its bytes") from None
        yield name.upper().removeprefix(PREFIX).lower(), value


def _nested(pairs: Iterable[tuple[str, str]], shown: str) -> dict[str, Any]:
    """``database__dsn`` is ``dsn`` of the table ``database``.

    Raises:
        ConfigurationError: one name is both a value and a table, such as ``rotation__sets`` as JSON.
    """
    values: dict[str, Any] = {}
    for name, value in pairs:
        *sections, last = name.split("__")
        place: Any = values
        for section in sections:
            place = place.setdefault(section, {}) if isinstance(place, dict) else place
        if not isinstance(place, dict) or last in place:
            raise ConfigurationError(
                f"{shown.format(name.upper())} and another one set the same table", "leave one of them"
            )
        place[last] = value
    return values


#: secrets that libraries take from the environment by themselves
_SECRET_VARIABLES = ("PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def _secret_variables() -> list[str]:
    return [value for name in _SECRET_VARIABLES if (value := os.environ.get(name))]


def _secrets_of(value: Any) -> Iterator[str]:
    """Every secret of the settings, wherever it stands."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets_of(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            # A secret by a free name is a header: a tenant's name among them is a word that sentences need.
            free = isinstance(item, SecretStr)
            yield from (found for found in _secrets_of(item) if not free or is_distinctive(found))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _secrets_of(item)


def _over(values: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``values`` laid over it, table by table."""
    merged = dict(base)
    for key, value in values.items():
        below = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = _over(value, below) if both else value  # type: ignore[arg-type]
    return merged


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted names of everything that is not a table."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def _validated(
    values: Mapping[str, Any], options: Mapping[str, type[PolicySettings]], origins: Mapping[str, str]
) -> Settings:
    policies: dict[str, PolicySettings] = {}
    problems: list[ErrorDetails] = []
    for name, written in values["policies"].items():
        try:
            policies[name] = _policy(name, written, options)
        except ValidationError as error:
            problems += _details(error, "policies", name)
    try:
        if not problems:
            return Settings.model_validate({**values, "policies": policies})
        Settings.model_validate({**values, "policies": {}})
    except ValidationError as error:
        problems += _details(error)
    raise ConfigurationError(
        "; ".join(_sentence(problem, origins) for problem in problems),
        "see docs/settings.md, or `luxima-retention matrix` for what is in force",
    )


def _policy(
    name: str, values: Mapping[str, Any], options: Mapping[str, type[PolicySettings]]
) -> PolicySettings:
    """One policy, by the options of its kind.

    Raises:
        ConfigurationError: it has no kind, or one that is not known.
        ValidationError: an option is not valid.
    """
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in options:
        said = f"{kind!r} is not a kind" if kind else "it has no kind"
        raise ConfigurationError(f"policies.{name}: {said}", f"kinds are {', '.join(options)}")
    model = options[kind]
    kept = {
        key: value for key, value in values.items() if key != _SHORT and not _of_another(name, key, model)
    }
    if _SHORT in values:
        kept["tables"] = _only_table(name, kept.get("tables", ()), values[_SHORT])
    return model.model_validate(kept)


def _of_another(name: str, key: str, model: type[PolicySettings]) -> bool:
    """Whether an option is the seed's for its own kind, and the settings chose another kind."""
    return key in DEFAULTS.get(name, {}) and key not in model.model_fields


def _only_table(name: str, tables: Any, values: Mapping[str, Any]) -> list[Any]:
    """The policy's tables, its only one changed by the short form."""
    listed = tables_of(tables)
    if len(listed) != 1:
        raise ConfigurationError(
            f"section audit_log is for a policy with one table, and policies.{name} has {len(listed)}",
            f"write the columns in policies.{name}.tables",
        )
    return [{**listed[0], **values}]


def _details(error: ValidationError, *place: str) -> list[ErrorDetails]:
    found = error.errors(include_url=False, include_input=False)
    return [{**item, "loc": (*place, *item["loc"])} for item in found]


#: kinds of problems, where the library speaks of Python
_PLAIN = {
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "tuple_type": "must be a list",
    "string_type": "must be a text",
    "decimal_parsing": "must be a number",
    "float_parsing": "must be a number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "date_type": "must be a day, such as 2026-11-03",
    "time_delta_type": "must be a duration, and not off",
    "too_short": "must not be empty",
    "missing": "is required",
}


def _sentence(problem: ErrorDetails, origins: Mapping[str, str]) -> str:
    """``policies.audit_logs.retention_days (environment): …``; the value itself may be a secret."""
    *place, last = (part for part in ("", *problem["loc"]) if isinstance(part, str))
    if last == "[key]":
        wanted = problem["msg"].removeprefix("Input should be ")
        return f"{'.'.join(place[1:])} is not a setting: write {wanted}"
    name = ".".join([*place[1:], last])
    origin = f" ({origins[name]})" if name in origins else ""
    if problem["type"] == "extra_forbidden":
        return f"{name}{origin} is not a setting"
    said = _PLAIN.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    said = said.replace("Input should be ", "must be ", 1)
    return f"{name}{origin}: {said}" if name else said
