"""Writes ``docs/settings.md`` and the options in ``docs/rotation.md`` from the settings.

``python -m luxima_retention.cli.reference > docs/settings.md``; a test compares both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from luxima_retention.config.policies import DEFAULTS, SHORT_FORMS, PolicySettings
from luxima_retention.config.settings import HttpSettings, Settings, TableSettings
from luxima_retention.config.variables import PREFIX
from luxima_retention.core.durations import spelled
from luxima_retention.stores.kind import Kind
from luxima_retention.stores.logfiles.importer_directives import DIRECTIVES
from luxima_retention.stores.logfiles.options import (
    LogFilesPolicy,
    RotationHookSettings,
    RotationSetSettings,
)
from luxima_retention.stores.registry import kinds

#: the marks in ``docs/rotation.md`` between which the options of log files stand
BEGIN, END = "<!-- options: begin -->\n", "<!-- options: end -->\n"

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
`python -m luxima_retention.cli.reference > docs/settings.md` writes it again, and the options of log files in
[rotation](rotation.md#options).
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "\n" + "\n".join(_sections())


def _sections() -> Iterator[str]:
    seen: set[type[BaseModel]] = set()
    for name, field in Settings.model_fields.items():
        model = model_of(field)
        if name == "policies":
            yield from _policies()
        elif model is not None and model not in seen:
            yield from _section(f"{name}.<name>" if get_origin(field.annotation) is dict else name, model)
            seen.add(model)
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
    options = {kind.name: _own(kind.settings) for kind in kinds().values()}
    shared = _shared(options.values())
    for kind in kinds().values():
        yield f"### kind = {kind.name}\n"
        yield from _kind(kind, options[kind.name], shared)
    yield "### Options of several kinds\n"
    yield from _rows("", shared)
    yield "\n### A table of `tables`\n"
    yield from _table("<name>", TableSettings)
    yield "### Short forms\n"
    for section, (policy, *rest) in SHORT_FORMS.items():
        place = "the only table of policy" if rest else "policy"
        yield f"* Section `{section}` holds options of {place} `{policy}`."
    yield "\nIn the environment: `LUXIMA_POLICIES__AUDIT_LOGS__RETENTION_DAYS` and so on.\n"


def _own(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The options that not every policy has."""
    return {
        name: field for name, field in model.model_fields.items() if name not in PolicySettings.model_fields
    }


def _shared(kinds_options: Iterable[Mapping[str, FieldInfo]]) -> dict[str, FieldInfo]:
    """The options that mean the same in several kinds."""
    told = [(name, field, field.description) for own in kinds_options for name, field in own.items()]
    counted = Counter((name, meaning) for name, _, meaning in told)
    return {name: field for name, field, meaning in told if counted[name, meaning] > 1}


def _kind(kind: Kind[Any], own: Mapping[str, FieldInfo], shared: Mapping[str, FieldInfo]) -> Iterator[str]:
    """What a kind takes: its own options, and the names of those that it has in common with others."""
    if kind.settings is LogFilesPolicy:
        yield f"{_first_line(kind.settings)} See [log files](rotation.md#options).\n"
        return
    common = [name for name in own if name in shared]
    besides = f" Besides, {', '.join(f'`{name}`' for name in common)}: see below." if common else ""
    yield f"{_first_line(kind.settings)}{besides}\n"
    if rest := {name: field for name, field in own.items() if name not in shared}:
        yield from _rows("", rest)
        yield ""


def rotation() -> str:
    """The options of log files, as ``docs/rotation.md`` has them: each beside logrotate's word for it."""
    sets, hooks = RotationSetSettings.model_fields, RotationHookSettings.model_fields
    lines = [
        "### rotation, or policies.<name> of kind = logfiles\n",
        *_rows("", _own(LogFilesPolicy)),
        "\n### rotation.sets.<name>\n",
        "| setting | default | logrotate says | meaning |",
        "|---|---|---|---|",
        *(
            f"| `{name}` | {_default(field)} | {_words(name)} | {_meaning(field)} |"
            for name, field in sets.items()
        ),
        "\n### A hook: an entry of first, before, after, before_removal, last\n",
        f"{_first_line(RotationHookSettings)}\n",
        *_rows("", hooks),
    ]
    return "\n".join(lines) + "\n"


def _words(name: str) -> str:
    """The directives of logrotate that become an option."""
    said = [
        word for word, meaning in DIRECTIVES.items() if re.search(rf"`{name}( = [^`]*)?`", meaning.becomes)
    ]
    return ", ".join(f"`{word}`" for word in said) or "none"


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0].replace("``", "`")


def _section(name: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"## {name}\n"
    yield f"{_first_line(model)}\n"
    yield from _table(name, model)


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
    if isinstance(value, Mapping):
        return ", ".join(f"`{name} = {item}`" for name, item in value.items())
    if isinstance(value, tuple) and isinstance(value[0], BaseModel):
        return f"`{', '.join(f'{name} = {item}' for name, item in value[0])}`"
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


def within(document: str) -> str:
    """``docs/rotation.md`` with its options written again, between the two marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{rotation()}{end}{after}"


if __name__ == "__main__":
    _ROTATION = Path("docs/rotation.md")
    _ROTATION.write_text(within(_ROTATION.read_text(encoding="utf-8")), encoding="utf-8")
    print(page())  # noqa: T201 - the page is its output
