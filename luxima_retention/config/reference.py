"""Writes ``docs/settings.md`` from the settings: ``python -m luxima_retention.config.reference``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from luxima_retention.config.matrix import BY_KEY
from luxima_retention.config.settings import HttpSettings, PolicySettings, Settings
from luxima_retention.config.variables import PREFIX
from luxima_retention.core.durations import spelled

_HEAD = """\
# Settings

Sources, first wins:

1. the environment: `LUXIMA_…`, nested by `__`;
2. secret files: one for each secret in `/run/secrets/luxima-retention`, or in `LUXIMA_SECRETS_DIR`;
3. `luxima-retention.toml`: `--config`, `LUXIMA_CONFIG`, the working directory, `/etc/luxima-retention/`;
4. defaults.

Unknown and duplicate keys are errors.
So is a variable that begins with `LUXIMA_` and has `__` in it but is not a setting, and one within two
letters of a variable of ours, such as `LUXIMA_DATABASE_DSN` or `LUXMIA_DATABASE__DSN`; others are left alone.
`luxima-retention matrix` prints what is in force and where it came from.
A duration is written `90s`, `30m`, `2h`, `7d`; a list in the environment is separated by commas.

This page is made from the settings themselves.
`python -m luxima_retention.config.reference > docs/settings.md` writes it again.
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "\n" + "\n".join(_sections())


def _sections() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        if name == "policies":
            yield from _policies()
        elif (model := model_of(field)) is not None:
            yield from _section(name, model)
    yield from _endpoints()


def _endpoints() -> Iterator[str]:
    """The options that all HTTP endpoints share, once."""
    names = [
        f"`{name}.{inner}`"
        for name, field in Settings.model_fields.items()
        for inner, option in _model_fields(field)
        if option.annotation is HttpSettings
    ]
    yield "## HTTP endpoints\n"
    yield f"Each of {', '.join(names)} has the same options; see [HTTP endpoints](http.md).\n"
    yield from _table("<endpoint>", HttpSettings)
    yield "In the environment: `LUXIMA_PROMETHEUS__HTTP__USERNAME` and so on.\n"


def _model_fields(field: FieldInfo) -> Iterator[tuple[str, FieldInfo]]:
    model = model_of(field)
    yield from model.model_fields.items() if model is not None else ()


def _policies() -> Iterator[str]:
    yield "## policies\n"
    yield "Under `policies.<name>`, with the names " + ", ".join(f"`{key}`" for key in BY_KEY) + ".\n"
    yield from _table("policies.audit_logs", PolicySettings)


def _section(name: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"## {name}\n"
    yield f"{(model.__doc__ or '').strip().splitlines()[0].replace('``', '`')}\n"
    yield from _table(name, model)
    for inner, field in model.model_fields.items():
        if get_origin(field.annotation) is dict and (entry := model_of(field)) is not None:
            yield from _named(f"{name}.{inner}.<name>", entry)


def _named(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    """One entry of a table of tables, and the lists of tables in it that look alike."""
    yield f"### {prefix}\n"
    yield f"{(model.__doc__ or '').strip().splitlines()[0].replace('``', '`')}\n"
    yield from _table(prefix, model)
    kinds = (kind for field in model.model_fields.values() for kind in get_args(field.annotation))
    for listed in dict.fromkeys(
        kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)
    ):
        yield f"### Entries of such lists in {prefix}\n"
        yield f"{(listed.__doc__ or '').strip().splitlines()[0]}\n"
        yield from _table("<name>", listed)


def _table(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    if not model.model_fields:
        return
    yield "| setting | default | meaning |"
    yield "|---|---|---|"
    for name, field in model.model_fields.items():
        if field.annotation is HttpSettings:
            continue
        dotted = name if prefix == "<name>" else f"{prefix}.{name}"
        yield f"| `{dotted}` | {_default(field)} | {_meaning(field)} |"
    if prefix.endswith(("<name>", "<endpoint>")):
        yield ""
        return
    variable = f"{prefix}.{next(iter(model.model_fields))}".upper().replace(".", "__")
    yield f"\nIn the environment: `{PREFIX}{variable}` and so on.\n"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "the matrix's" if field.default_factory is None else "see below"
    if value is None or value in ("", (), {}):
        return "none"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    return f"`{spelled(value)}`"


def _meaning(field: FieldInfo) -> str:
    return (field.description or "").replace("|", "\\|")


def model_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a field holds, if it holds one."""
    kinds: tuple[Any, ...] = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


if __name__ == "__main__":
    print(page())  # noqa: T201 - the page is its output
