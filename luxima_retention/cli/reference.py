"""Writes ``docs/settings.md`` from the settings: ``python -m luxima_retention.cli.reference``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from luxima_retention.config.policies import DEFAULTS, SHORT_FORMS, PolicySettings
from luxima_retention.config.settings import HttpSettings, Settings, TableSettings
from luxima_retention.config.variables import PREFIX
from luxima_retention.core.durations import spelled
from luxima_retention.stores.registry import kinds

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
`python -m luxima_retention.cli.reference > docs/settings.md` writes it again.
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "\n" + "\n".join(_sections())


def _sections() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        model = model_of(field)
        if name == "policies":
            yield from _policies()
        elif model is not None:
            yield from _section(f"{name}.<name>" if get_origin(field.annotation) is dict else name, model)
    yield from _endpoints()


def _endpoints() -> Iterator[str]:
    """The options that all HTTP endpoints share, once."""
    yield "## HTTP endpoints\n"
    yield "Each option that ends with `http` is a table of these; see [HTTP endpoints](http.md).\n"
    yield from _table("<name>", HttpSettings)
    yield "In the environment: `LUXIMA_PROMETHEUS__HTTP__USERNAME` and so on.\n"


def _policies() -> Iterator[str]:
    yield "## policies.<name>\n"
    yield (
        f"{', '.join(f'`{name}`' for name in DEFAULTS)} are there without being written; further policies are"
        " tables in the settings file, with `kind` and `retention_days` at least. In names `-` and `_` are"
        " equal. Environment and secret files change policies, they do not make any.\n"
    )
    yield from _table("<name>", PolicySettings)
    for kind in kinds().values():
        yield f"### kind = {kind.name}\n"
        yield f"{_first_line(kind.settings)}\n"
        own = {name: field for name, field in kind.settings.model_fields.items() if _is_own(name)}
        yield from _rows("", own)
        yield ""
        yield from _listed(own)
    yield "### A table of `tables`\n"
    yield from _table("<name>", TableSettings)
    yield "### Short forms\n"
    for section, (policy, *rest) in SHORT_FORMS.items():
        place = "the only table of policy" if rest else "policy"
        yield f"* Section `{section}` holds options of {place} `{policy}`."
    yield "\nIn the environment: `LUXIMA_POLICIES__AUDIT_LOGS__RETENTION_DAYS` and so on.\n"


def _is_own(name: str) -> bool:
    """Whether an option is not one of every policy."""
    return name not in PolicySettings.model_fields


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0].replace("``", "`")


def _listed(fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    """What tables and lists of tables of a kind hold; the tables of records have a place of their own."""
    for name, field in fields.items():
        entry = model_of(field)
        if entry is None or entry in {TableSettings, HttpSettings}:
            continue
        yield from _named(f"{name}.<name>" if get_origin(field.annotation) is dict else name, entry)


def _section(name: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"## {name}\n"
    yield f"{_first_line(model)}\n"
    yield from _table(name, model)


def _named(title: str, model: type[BaseModel]) -> Iterator[str]:
    """One entry of a table of tables or of a list of tables, and the lists of tables in it."""
    yield f"#### {title}\n"
    yield f"{_first_line(model)}\n"
    yield from _table("<name>", model)
    inner = (entry for field in model.model_fields.values() if (entry := model_of(field)) is not None)
    for entry in dict.fromkeys(inner):
        yield from _named(f"Entries of such lists in {title}", entry)


def _table(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    yield from _rows("" if prefix == "<name>" else f"{prefix}.", model.model_fields)
    if "<name>" in prefix:
        yield ""
        return
    variable = f"{prefix}.{next(iter(model.model_fields))}".upper().replace(".", "__")
    yield f"\nIn the environment: `{PREFIX}{variable}` and so on.\n"


def _rows(prefix: str, fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    yield "| setting | default | meaning |"
    yield "|---|---|---|"
    for name, field in fields.items():
        yield f"| `{prefix}{name}` | {_default(field)} | {_meaning(field)} |"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required" if field.default_factory is None else "see below"
    if value is None or value in ("", (), {}):
        return "none"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    return f"`{spelled(value)}`"


def _meaning(field: FieldInfo) -> str:
    return (field.description or "").replace("|", "\\|")


def model_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a field holds, alone, in a list or by name; ``None`` where it holds none."""
    return next(_models(field.annotation), None)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


if __name__ == "__main__":
    print(page())  # noqa: T201 - the page is its output
