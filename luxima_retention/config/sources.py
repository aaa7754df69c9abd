"""Where settings come from: environment, secret files, ``luxima-retention.toml``, defaults; first wins.

The origin of every value is kept, for ``luxima-retention matrix``. Unknown and duplicate keys are errors:
a misspelt option must not silently leave a default in force.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from luxima_retention.config.settings import Settings
from luxima_retention.core.errors import ConfigurationError

PREFIX = "LUXIMA_"
FILE = "luxima-retention.toml"
#: looked for in this order when neither --config nor LUXIMA_CONFIG names a file
PLACES = (Path(FILE), Path("/etc/luxima-retention") / FILE)
#: one file for each secret, named ``database__dsn``; LUXIMA_SECRETS_DIR names another directory
SECRETS = Path("/run/secrets/luxima-retention")
_LARGEST_SECRET = 64 * 1024


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
        """Where the value of ``policies.audit_logs.retention_days`` came from."""
        return self.origins.get(name, "default")


class _Environment(Settings, BaseSettings):
    """Tells pydantic-settings which variables there are; never instantiated."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__")


def load(config: Path | None = None) -> Configuration:
    """Read and validate all settings.

    Args:
        config: the settings file that the command line names.

    Raises:
        ConfigurationError: a value is missing, unknown, doubled or not valid; each is named, none shown.
    """
    _check_variables()
    path = _settings_file(config)
    layers = (
        (f"{path}", _file(path)),
        ("secret file", _secret_files(Path(os.environ.get(f"{PREFIX}SECRETS_DIR", SECRETS)))),
        ("environment", _environment()),
    )
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, values in layers:
        merged = _over(values, merged)
        origins |= dict.fromkeys(_leaves(values), origin)
    settings = _validated(merged, origins)
    if path is not None and os.geteuid() == 0:
        _check_sets(settings, path)
    return Configuration(settings=settings, origins=origins, file=path)


def _check_sets(settings: Settings, path: Path) -> None:
    """What root rotates, gives away and runs stands in a file that nobody else can write."""
    if not settings.rotation.sets:
        return
    status = path.stat()
    if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationError(
            f"{path} is read by root, which rotates files and runs programs by it,"
            " and others than root may write to it",
            f"chown root {path}, and chmod go-w it",
        )


def _check_variables() -> None:
    """Names with ``__`` are ours: each must be known, and stand there once, whatever its case."""
    ours = [name for name in os.environ if name.upper().startswith(PREFIX) and "__" in name]
    for name, count in Counter(name.upper() for name in ours).items():
        if count > 1:
            raise ConfigurationError(f"{name} is set {count} times, in upper and lower case")
        section = name.removeprefix(PREFIX).partition("__")[0].lower()
        if section not in Settings.model_fields:
            known = ", ".join(Settings.model_fields)
            raise ConfigurationError(f"{name} names no setting: there is no section {section}", known)


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
        return EnvSettingsSource(_Environment)()
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


def _validated(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    try:
        return Settings.model_validate({"policies": {}, **values})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise ConfigurationError(
            "; ".join(_sentence(problem, origins) for problem in problems),
            "see docs/settings.md, or `luxima-retention matrix` for what is in force",
        ) from None


def _sentence(problem: ErrorDetails, origins: Mapping[str, str]) -> str:
    """``policies.audit_logs.retention_days (environment): …``; the value itself may be a secret."""
    name = ".".join(map(str, problem["loc"]))
    origin = f" ({origins[name]})" if name in origins else ""
    if problem["type"] == "extra_forbidden":
        return f"{name}{origin} is not a setting"
    said = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{name}{origin}: {'must be ' if said != problem['msg'] and said[0].islower() else ''}{said}"
