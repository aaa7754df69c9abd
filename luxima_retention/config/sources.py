"""Where settings come from: environment, secret files, ``luxima-retention.toml``, defaults; first wins.

The origin of every value is kept, for ``luxima-retention matrix``. Unknown and duplicate keys are errors:
a misspelt option must not silently leave a default in force.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from luxima_retention.config import variables
from luxima_retention.config.settings import Settings
from luxima_retention.config.variables import PREFIX
from luxima_retention.core.errors import ConfigurationError
from luxima_retention.core.redact import is_distinctive, know

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


def load(config: Path | None = None) -> Configuration:
    """Read and validate all settings.

    Args:
        config: the settings file that the command line names.

    Raises:
        ConfigurationError: a value is missing, unknown, doubled or not valid; each is named, none shown.
    """
    know(_secret_variables())
    _check_variables(os.environ)
    path = _settings_file(config)
    layers = (
        (f"{path}", _file(path)),
        ("secret file", _nested(_secret_files(), "the secret file {}")),
        ("environment", _nested(_environment(os.environ), PREFIX + "{}")),
    )
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, values in layers:
        merged = _over(values, merged)
        origins |= dict.fromkeys(_leaves(values), origin)
    settings = _validated(merged, origins)
    know([*_secret_variables(), *_secrets_of(settings)])
    return Configuration(settings=settings, origins=origins, file=path)


def _check_variables(names: Iterable[str]) -> None:
    """No variable that is meant for us may be without effect."""
    found = list(variables.problems(names, frozenset(variables.paths(Settings))))
    if found:
        hints = dict.fromkeys(problem.hint for problem in found if problem.hint)
        raise ConfigurationError("; ".join(problem.message for problem in found), "; ".join(hints))


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
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"the settings file {path} is not text in UTF-8", "save it as UTF-8"
        ) from None
    except tomllib.TOMLDecodeError as error:
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
        return file.read_text(encoding="utf-8").removesuffix("\n")
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


def _validated(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    try:
        return Settings.model_validate({"policies": {}, **values})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise ConfigurationError(
            "; ".join(_sentence(problem, origins) for problem in problems),
            "see docs/settings.md, or `luxima-retention matrix` for what is in force",
        ) from None


#: kinds of problems, where the library speaks of Python
_PLAIN = {"dict_type": "a table", "model_type": "a table", "tuple_type": "a list", "string_type": "a text"}


def _sentence(problem: ErrorDetails, origins: Mapping[str, str]) -> str:
    """``policies.audit_logs.retention_days (environment): …``; the value itself may be a secret."""
    name = ".".join(part for part in problem["loc"] if isinstance(part, str))
    origin = f" ({origins[name]})" if name in origins else ""
    if problem["type"] == "extra_forbidden":
        return f"{name}{origin} is not a setting"
    said = problem["msg"].removeprefix("Value error, ")
    if said.startswith("Input should be "):
        wanted = said.removeprefix("Input should be ")
        said = f"must be {_PLAIN.get(problem['type'], wanted)}"
    return f"{name}{origin}: {said}"
