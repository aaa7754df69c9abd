"""Where settings come from: environment, secret files, ``luxima-retention.toml``, defaults; first wins.

The origin of every value is kept, for ``luxima-retention matrix``. Unknown and duplicate keys are errors:
a misspelt option must not silently leave a default in force.
"""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from luxima_retention.config.policies import DEFAULTS, SHORT_FORMS, PolicySettings, policy_name
from luxima_retention.config.settings import Settings, tables_of
from luxima_retention.core.errors import ConfigurationError

PREFIX = "LUXIMA_"
FILE = "luxima-retention.toml"
#: looked for in this order when neither --config nor LUXIMA_CONFIG names a file
PLACES = (Path(FILE), Path("/etc/luxima-retention") / FILE)
#: one file for each secret, named ``database__dsn``; LUXIMA_SECRETS_DIR names another directory
SECRETS = Path("/run/secrets/luxima-retention")
_LARGEST_SECRET = 64 * 1024
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


class _Variables(Settings, BaseSettings):
    """Tells pydantic-settings which variables there are; never instantiated."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__")
    #: the sections that are short forms hold what their policy holds
    audit_log: dict[str, Any]
    prometheus: dict[str, Any]
    rotation: dict[str, Any]


class _Environment(EnvSettingsSource):
    """Hands values on as texts: what reads JSON does so itself, and a password of digits stays a text."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ARG002 - theirs
        """See :class:`pydantic_settings.EnvSettingsSource`."""
        return value


def load(config: Path | None, options: Mapping[str, type[PolicySettings]]) -> Configuration:
    """Read and validate all settings.

    Args:
        config: the settings file that the command line names.
        options: the options of each kind of policy, by the kind's name.

    Raises:
        ConfigurationError: a value is missing, unknown, doubled or not valid; each is named, none shown.
    """
    _check_variables()
    path = _settings_file(config)
    written = _file(path)
    layers = (
        (f"{path}", written),
        ("secret file", _secret_files(_secrets_directory())),
        ("environment", _environment()),
    )
    settings, origins = layered(layers, options)
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


def _with_names(values: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """The values with policies by name, and with the short forms where they belong."""
    found = {key: value for key, value in values.items() if key not in {"policies", *SHORT_FORMS}}
    policies: dict[str, Any] = {}
    for key, value in _table(values.get("policies", {}), "policies").items():
        if policy_name(key) in policies:
            raise ConfigurationError(f"policies.{key} stands twice in {origin}: - and _ are equal in names")
        policies[policy_name(key)] = _table(value, f"policies.{key}")
    for section in SHORT_FORMS.keys() & values.keys():
        policy, *rest = SHORT_FORMS[section]
        place = policies.setdefault(str(policy), {})
        if rest:  # the policy's only table
            place[_SHORT] = _table(values[section], section)
        else:
            _fill(place, _table(values[section], section), section)
    return {**found, **({"policies": policies} if policies else {})}


def _table(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} must be a table of settings")
    return value


def _fill(place: dict[str, Any], values: Mapping[str, Any], section: str) -> None:
    if doubled := sorted(place.keys() & values.keys()):
        raise ConfigurationError(f"{doubled[0]} stands in section {section} and in its policy: write it once")
    place.update(values)


def _check_policies(values: Mapping[str, Any], known: Collection[str], origin: str) -> None:
    """Environment and secret files change policies; they do not make any."""
    if unknown := sorted(values.get("policies", {}).keys() - known):
        raise ConfigurationError(
            f"there is no policy {unknown[0]} for the value in {origin}: it is neither built in nor in the"
            " settings file",
            f"policies are {', '.join(sorted(known))}",
        )


def _secrets_directory() -> Path:
    return Path(os.environ.get(f"{PREFIX}SECRETS_DIR", SECRETS))


def _check_variables() -> None:
    """Names with ``__`` are ours: each must be known, and stand there once, whatever its case."""
    ours = [name for name in os.environ if name.upper().startswith(PREFIX) and "__" in name]
    sections = [*Settings.model_fields, *SHORT_FORMS]
    for name, count in Counter(name.upper() for name in ours).items():
        if count > 1:
            raise ConfigurationError(f"{name} is set {count} times, in upper and lower case")
        section = name.removeprefix(PREFIX).partition("__")[0].lower()
        if section not in sections:
            raise ConfigurationError(
                f"{name} names no setting: there is no section {section}", ", ".join(sections)
            )


def _settings_file(named: Path | None) -> Path | None:
    """The file to read; one that is named must be there."""
    chosen = named or (Path(text) if (text := os.environ.get(f"{PREFIX}CONFIG")) else None)
    if chosen is not None:
        return chosen
    return next((place for place in PLACES if place.is_file()), None)


def _file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"the settings file {path} cannot be read: {error.strerror}",
            "name another with --config or LUXIMA_CONFIG",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the settings file {path} is not valid TOML: {error}") from error


def _secret_files(directory: Path) -> dict[str, Any]:
    """``database__dsn`` in the directory is ``database.dsn``; what begins with a dot is Kubernetes' own."""
    values: dict[str, Any] = {}
    if not directory.is_dir():
        return values
    for file in sorted(directory.iterdir()):
        if file.name.startswith(".") or not file.is_file():
            continue
        *sections, name = file.name.lower().split("__")
        place = values
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = _secret(file)
    return values


def _secret(file: Path) -> str:
    try:
        if file.stat().st_size > _LARGEST_SECRET:
            raise ConfigurationError(f"the secret file {file} is larger than {_LARGEST_SECRET} bytes")
        return file.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the secret file {file} cannot be read: {type(error).__name__}") from error


def _environment() -> dict[str, Any]:
    try:
        return _Environment(_Variables)()
    except SettingsError as error:
        raise ConfigurationError(f"the environment cannot be read: {error}") from None


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
    if kind not in options:
        said = f"{kind!r} is not a kind" if kind else "it has no kind"
        raise ConfigurationError(f"policies.{name}: {said}", f"kinds are {', '.join(options)}")
    model = options[str(kind)]
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


def _sentence(problem: ErrorDetails, origins: Mapping[str, str]) -> str:
    """``policies.audit-logs.retention_days (environment): …``; the value itself may be a secret."""
    name = ".".join(map(str, problem["loc"]))
    origin = f" ({origins[name]})" if name in origins else ""
    if problem["type"] == "extra_forbidden":
        return f"{name}{origin} is not a setting"
    said = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{name}{origin}: {'must be ' if said != problem['msg'] and said[0].islower() else ''}{said}"
