"""Read logrotate's configuration into the values of ``rotation.sets``. No I/O but an injected reader.

What it knows is what the manual page logrotate(8) of 3.22 tells. A directive without a counterpart becomes a
note with its file and line; a set that cannot be understood becomes a problem, and the others are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, Protocol

from luxima_retention.core.errors import ConfigurationError
from luxima_retention.stores.logfiles.importer_directives import (
    DIRECTIVES,
    TAKES,
    BadValueError,
    Values,
    one_word,
)
from luxima_retention.stores.logfiles.importer_scripts import hook_of, needs_shell
from luxima_retention.stores.logfiles.importer_syntax import (
    Closed,
    Directive,
    Garbage,
    Opened,
    Takes,
    events,
)

#: files that an included directory is not asked for, as logrotate(8) lists them under ``tabooext``
TABOO = (
    *(",v", ".bak", ".cfsaved", ".disabled", ".dpkg-bak", ".dpkg-del", ".dpkg-dist", ".dpkg-new"),
    *(".dpkg-old", ".dpkg-tmp", ".new", ".old", ".orig", ".rhn-cfg-tmp-*", ".rpmnew", ".rpmorig"),
    *(".rpmsave", ".swp", ".ucf-dist", ".ucf-new", ".ucf-old", "~"),
)
_DEEPEST = 16


class Reader(Protocol):
    """Reads what ``include`` names."""

    home: str

    def text(self, path: str) -> str:
        """A file's text.

        Raises:
            ConfigurationError: it cannot be read, or must not be.
        """

    def files(self, path: str) -> Sequence[str] | None:
        """The names of the regular files in a directory, sorted; ``None`` for what is not a directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something about a line: a note, or a problem.

    Args:
        file: as named.
        line: from 1; 0 is the whole file.
        said: a sentence.
    """

    file: str
    line: int
    said: str

    def __str__(self) -> str:
        """As compilers write it."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSet:
    """A set of log files.

    Args:
        name: of ``rotation.sets.<name>``.
        file: that it stands in.
        line: of its patterns.
        values: of the settings, those that are not their defaults.
        notes: what has no counterpart.
    """

    name: str
    file: str
    line: int
    values: Mapping[str, Any]
    notes: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What files of logrotate say; ``notes`` belong to no set."""

    sets: tuple[ImportedSet, ...]
    notes: tuple[Remark, ...]
    problems: tuple[Remark, ...]


#: what logrotate does without any directive, where our own default is another
_DEFAULTS: Values = {
    "every": "size",
    "size": 1024 * 1024,
    "keep": 0,
    "rotate_empty": True,
    "first_run": "wait",
    "create": False,
    "dated": False,
    "delay_compress": False,
}
#: state that is a sentence
_NOTED = (
    "Overridden",
    "Create",
    "Create_old_dir",
    "Dot",
    "Uncompress",
    "Errors",
)
#: what logrotate has in names of sets that rotate more often than daily
_FORMATS = {"hourly": "-%Y%m%d%H", "minutes": "-%Y%m%d%H%M"}
_SCRIPTS = {"first": "firstaction", "before": "prerotate", "after": "postrotate"}
_SCRIPTS |= {"before_removal": "preremove", "last": "lastaction"}
_CODEC_OF = {
    "gzip": "gzip",
    "pigz": "gzip",
    "bzip2": "bzip2",
    "lbzip2": "bzip2",
    "pbzip2": "bzip2",
    "xz": "xz",
    "zstd": "zstd",
    "pzstd": "zstd",
}
_EXTENSION_OF = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "zstd": ".zst", "compress": ".Z", "zip": ".zip"}
_LEVELS = (1, 19)
_WORDED_LEVELS = {"--fast": 1, "--best": 9}
#: options that change nothing about what comes out
_IDLE = {"-f", "--force", "-q", "--quiet", "-n", "--no-name", "-c", "--stdout", "-k", "--keep"}


@dataclass(frozen=True, slots=True)
class _Said:
    """What a directive left in the state, and where."""

    value: Any
    file: str
    line: int


_State = dict[str, _Said]


@dataclass(slots=True, kw_only=True)
class _Block:
    """A set that is being read."""

    file: str
    line: int
    patterns: tuple[str, ...]
    state: _State
    sound: bool = True

    def overrides(self, every: str) -> str:
        """The criterion of another kind that this set has named itself: size after a period, or before."""
        before = self.state.get("every")
        if before is None or before.file != self.file or before.line <= self.line:
            return ""
        return "" if (before.value == "size") == (every == "size") else str(before.value)


def import_files(paths: Iterable[str], reader: Reader, *, expires: bool = False) -> Imported:
    """Read configurations, in their order, as logrotate reads its arguments.

    Args:
        paths: files, or directories of files.
        reader: for all of them, and what they include.
        expires: whether rotated files also go after the policy's period, which logrotate does not know of.
    """
    importer = _Importer(reader, expires=expires)
    for path in paths:
        importer.include(path, path, 0)
    importer.end()
    return Imported(sets=tuple(importer.sets), notes=tuple(importer.notes), problems=tuple(importer.problems))


@dataclass(slots=True)
class _Importer:
    reader: Reader
    expires: bool = False
    state: _State = field(default_factory=dict)
    taboo: dict[str, list[str]] = field(default_factory=lambda: {"tabooext": [*TABOO], "taboopat": []})
    idle: list[Remark] = field(default_factory=list)
    depth: int = 0
    sets: list[ImportedSet] = field(default_factory=list)
    notes: list[Remark] = field(default_factory=list)
    problems: list[Remark] = field(default_factory=list)

    def end(self) -> None:
        """What was said for nothing."""
        self.notes += self.idle

    def include(self, named: str, file: str, line: int) -> None:
        """A file, or every file of a directory that is not taboo."""
        path = self._home(named)
        self.idle.clear()
        if self.depth > _DEEPEST:
            self._problem(file, line, f"{named} is included more than {_DEEPEST} deep: skipping it")
            return
        self.depth += 1
        try:
            names = self.reader.files(path)
            if names is None:
                self._read(path)
            for name in names or ():
                if not self._is_taboo(name):
                    self._read(f"{path.rstrip('/')}/{name}")
        except ConfigurationError as error:
            self._problem(file, line, error.message)
        self.depth -= 1

    def _is_taboo(self, name: str) -> bool:
        extensions = (f"*{extension}" for extension in self.taboo["tabooext"])
        return any(fnmatchcase(name, pattern) for pattern in [*extensions, *self.taboo["taboopat"]])

    def _home(self, path: str) -> str:
        return self.reader.home.rstrip("/") + path[1:] if path.startswith("~/") else path

    def _problem(self, file: str, line: int, said: str) -> None:
        self.problems.append(Remark(file=file, line=line, said=said))

    def _read(self, file: str) -> None:
        """One file; an error outside of a set ends it, for every set after it builds on what failed."""
        try:
            text = self.reader.text(file)
        except ConfigurationError as error:
            self._problem(file, 0, error.message)
            return
        block: _Block | None = None
        for event in events(text, TAKES):
            match event:
                case Opened():
                    self._unclosed(block)
                    block = _Block(
                        file=file, line=event.line, patterns=event.patterns, state=dict(self.state)
                    )
                case Closed() if block is not None:
                    self._finish(block)
                    block = None
                case Directive() if self._apply(event, file, block):
                    pass
                case _:
                    said = event.said if isinstance(event, Garbage) else "unexpected }"
                    if not isinstance(event, Directive):
                        self._problem(file, event.line, self._skipping(said, block))
                    if block is None:
                        return
                    block.sound = False
        self._unclosed(block)

    def _unclosed(self, block: _Block | None) -> None:
        if block is not None:
            self._problem(
                block.file, block.line, self._skipping("missing } of the set that begins here", block)
            )

    def _skipping(self, said: str, block: _Block | None) -> str:
        what = "the rest of the file" if block is None else f"the set of {' '.join(block.patterns)}"
        return f"{said}; skipping {what}"

    def _apply(self, found: Directive, file: str, block: _Block | None) -> bool:
        """Whether the directive could be understood; a problem is told."""
        meaning = DIRECTIVES.get(found.word)
        if meaning is None or found.word == "endscript":
            unknown = f"unknown option {found.word!r} -- ignoring line, as logrotate does"
            self.notes.append(Remark(file=file, line=found.line, said=unknown))
            return True
        try:
            if found.takes is Takes.VALUE and not found.value:
                raise BadValueError(f"argument expected after {found.word}")  # noqa: TRY301 - told below
            if found.word in {"include", "tabooext", "taboopat"}:
                self._about_importing(found, file, block)
                return True
            said = meaning.values(found.word, found.value)
        except BadValueError as error:
            self._problem(file, found.line, self._skipping(str(error), block))
            return False
        state = self.state if block is None else block.state
        if block is not None and "every" in said and (overridden := block.overrides(said["every"])):
            said = said | {"Overridden": f"{found.word!r} overrides previously specified {overridden!r}"}
        state.update({key: _Said(value, file, found.line) for key, value in said.items()})
        return True

    def _about_importing(self, found: Directive, file: str, block: _Block | None) -> None:
        if block is not None:
            raise BadValueError(f"{found.word} may not appear inside of log file definition")
        if found.word == "include":
            self.include(one_word(found.word, found.value), file, found.line)
            return
        adds = found.value.startswith("+")
        listed = [item for item in re.split(r"[,\s]+", found.value.removeprefix("+")) if item]
        # ",v" begins with a separator of the list: logrotate(8) names it all the same.
        if re.search(r"(?:^|[\s,]),v(?:$|[\s,])", found.value.removeprefix("+")):
            listed = [",v" if item == "v" else item for item in listed]
        self.taboo[found.word] = [*(self.taboo[found.word] if adds else ()), *listed]
        said = f"{found.word} {found.value}: nothing is included after it"
        self.idle.append(Remark(file=file, line=found.line, said=said))

    def _finish(self, block: _Block) -> None:
        if not block.sound:
            return
        try:
            patterns = [self._home(pattern) for pattern in dict.fromkeys(block.patterns)]
            values, notes = _values_of(block, patterns, self._home)
            values = _checked(values | {"expire": self.expires})
        except BadValueError as error:
            self._problem(block.file, block.line, self._skipping(str(error), block))
            return
        name = _free(_name(patterns[0]), {item.name for item in self.sets})
        self.sets.append(
            ImportedSet(name=name, file=block.file, line=block.line, values=values, notes=tuple(notes))
        )


def _values_of(block: _Block, patterns: list[str], home: Callable[[str], str]) -> tuple[Values, list[Remark]]:
    """The settings of a set, and what is to be said about them."""
    state = block.state
    said = {key: item.value for key, item in state.items()}
    notes = [
        Remark(file=state[key].file, line=state[key].line, said=said[key]) for key in _NOTED if said.get(key)
    ]
    values = _DEFAULTS | {key: value for key, value in said.items() if key[0].islower()}
    values["paths"] = patterns
    values["method"] = _method(said)
    values["date_ago"] = "day" if said.get("Yesterday") else "hour" if said.get("Hour_ago") else "now"
    if values["every"] in _FORMATS:
        values.setdefault("date_format", _FORMATS[values["every"]])
    if values.get("old_dir"):
        values["old_dir"] = home(values["old_dir"])
        values["trust_old_dir"] = True  # logrotate looks at the directory of the logs alone
    compression, left = _compression(said)
    where = next((state[key] for key in ("Command", "Options") if key in state), None)
    if left and where is not None:
        notes.append(Remark(file=where.file, line=where.line, said=left))
    return values | compression | _hooks(block, notes), notes


def _method(said: Values) -> str:
    if said.get("Truncate"):
        return "copytruncate"
    if said.get("Copy"):
        return "copy"
    return "renamecopy" if said.get("Rename") else "rename"


def _compression(said: Values) -> tuple[Values, str]:
    """How rotated files are compressed, and what of it is left out; a named program stays that one."""
    command = said.get("Command")
    program = PurePosixPath(command or "gzip").name
    codec = _CODEC_OF.get(program)
    extension = said.get("Extension") or _EXTENSION_OF.get(codec or program, ".gz")
    options = said.get("Options", ())
    if command is not None and said.get("Compress"):
        values = {"compress": "program", "compress_program": [command, *options]}
        note = f"compresscmd {command}: the program must be there where the rotation runs"
        return values | {"compress_extension": extension}, note
    usual = extension == _EXTENSION_OF.get(codec or "")
    values = {"compress_extension": "" if usual else extension}
    if not said.get("Compress"):
        return values | {"compress": "none"}, ""
    level, left = _level(options)
    said_so = f"compressoptions {' '.join(options)}"
    note = f"{said_so}: only the level counts, not {' '.join(left)}" if left else ""
    return values | {"compress": "gzip", "compress_level": level}, note


def _level(options: Sequence[str]) -> tuple[int | None, list[str]]:
    """The level that options ask for, and the options that mean something else."""
    level, left = None, []
    for option in options:
        found = re.fullmatch(r"-([0-9]{1,2})", option)
        if found:
            level = int(found[1])
        elif option in _WORDED_LEVELS:
            level = _WORDED_LEVELS[option]
        elif option not in _IDLE and not re.fullmatch(r"-T[0-9]+|--threads=[0-9]+", option):
            left.append(option)
    if level is not None and level != min(max(level, _LEVELS[0]), _LEVELS[1]):
        left.append(f"-{level}")
        level = min(max(level, _LEVELS[0]), _LEVELS[1])
    return level, left


def _hooks(block: _Block, notes: list[Remark]) -> Values:
    """The scripts of a set; those that need a shell are noted."""
    shared = "shared_hooks" in block.state and block.state["shared_hooks"].value
    hooks: Values = {}
    for key, word in _SCRIPTS.items():
        script = block.state.get(key)
        hook = hook_of(script.value, rotated=key == "after" and not shared) if script else None
        hooks[key] = [] if hook is None else [hook]
        if script is not None and hook is not None and needs_shell(hook):
            said = f"{word}: its script needs /bin/sh where the rotation runs"
            notes.append(Remark(file=script.file, line=script.line, said=said))
    return hooks


def _checked(values: Values) -> Values:
    """In the order of the settings, without their defaults; what they refuse is refused here."""
    from pydantic import ValidationError

    from luxima_retention.stores.logfiles.options import RotationSetSettings

    try:
        RotationSetSettings.model_validate(values)
        "".join(values["paths"]).encode()
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = ".".join(map(str, problem["loc"]))
        raise BadValueError(f"{name}: {problem['msg'].removeprefix('Value error, ')}".lstrip(": ")) from None
    except UnicodeEncodeError:
        raise BadValueError("a name that is not UTF-8 cannot be written into settings") from None
    fields = RotationSetSettings.model_fields
    return {
        key: values[key]
        for key in fields
        if key in values and values[key] != fields[key].default and values[key] not in ([], None)
    }


def _name(pattern: str) -> str:
    """A set's name by its first pattern: ``nginx``, ``nginx-access``."""
    path = PurePosixPath(pattern)
    parts = [part for part in path.parts if part != "/"]
    parts = parts[2:] if parts[:2] == ["var", "log"] else parts[-2:]
    if parts:
        parts[-1] = parts[-1].removesuffix(".log")
    cleaned = [re.sub(r"[^A-Za-z0-9_]+", "-", part).strip("-") for part in parts]
    return "-".join(filter(None, cleaned)) or "logs"


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free
