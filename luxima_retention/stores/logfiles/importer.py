"""Read logrotate's configuration into the values of ``rotation.sets``. No I/O but an injected reader.

What it knows is what the manual page logrotate(8) of 3.22 tells. A directive without a counterpart becomes a
note with its file and line; a set that cannot be understood becomes a problem, and the others are kept.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, Protocol

from luxima_retention.errors import ConfigurationError
from luxima_retention.stores.logfiles.importer_scripts import hook_of, needs_shell
from luxima_retention.stores.logfiles.importer_syntax import (
    Closed,
    Directive,
    Garbage,
    Opened,
    Takes,
    events,
)
from luxima_retention.stores.logfiles.names import SPECIFIERS

#: files that an included directory is not asked for, as logrotate(8) lists them under ``tabooext``
TABOO = (
    *(",v", ".bak", ".cfsaved", ".disabled", ".dpkg-bak", ".dpkg-del", ".dpkg-dist", ".dpkg-new"),
    *(".dpkg-old", ".dpkg-tmp", ".new", ".old", ".orig", ".rhn-cfg-tmp-*", ".rpmnew", ".rpmorig"),
    *(".rpmsave", ".swp", ".ucf-dist", ".ucf-new", ".ucf-old", "~"),
)
_DEEPEST = 16
_LARGEST = 999_999_999
_LARGEST_SIZE = 2**63 - 1
_UNITS = {"": 1, "k": 1024, "K": 1024, "M": 1024**2, "G": 1024**3}
_MODE = re.compile(r"[0-7]{1,5}")
_PLAIN_MODE = (3, 4)
_HIGHEST_MODE = 0o7777

Values = dict[str, Any]


class Reader(Protocol):
    """Reads what ``include`` names."""

    home: str

    def text(self, path: str) -> str:
        """A file's text.

        Raises:
            ConfigurationError: it cannot be read, or must not be.
        """

    def files(self, path: str) -> Sequence[str] | None:
        """The names of the regular files in a directory, sorted; ``None`` for what is no directory."""


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


class _BadError(ValueError):
    """A value that its directive does not take."""


# What each directive says: the state that it leaves behind. Keys that begin with a capital are not settings.


def _number(word: str, text: str, highest: int = _LARGEST) -> int:
    """As strtoul(3) reads it: octal after 0, hexadecimal after 0x."""
    if (
        not re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|0[0-7]{0,11}|[1-9][0-9]{0,11}", text)
        or (number := int(text, 16 if text[1:2] in {"x", "X"} else 8 if text[:1] == "0" else 10)) > highest
    ):
        raise _BadError(f"bad {word} {text!r}: it is no number from 0 to {highest}")
    return number


def _size(word: str, text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,18})(.?)", text)
    if found is None:
        unit = re.search(r"[^0-9]", text)
        raise _BadError(f"bad {word} {text!r}" + (f": unknown unit {text[-1]!r}" if unit else ""))
    if found[2] not in _UNITS:
        raise _BadError(f"bad {word} {text!r}: unknown unit {found[2]!r}; write k, M or G")
    size = int(found[1]) * _UNITS[found[2]]
    if size > _LARGEST_SIZE:
        raise _BadError(f"bad {word} {text!r}: larger than any file")
    return size


def _words(word: str, text: str, most: int) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError:
        raise _BadError(f"bad {word} {text!r}: no closing quotation") from None
    if len(words) > most:
        raise _BadError(f"extra arguments for {word}: {text!r}")
    return words


def _one(word: str, text: str) -> str:
    words = _words(word, text, 1)
    if not words or not words[0]:
        raise _BadError(f"argument expected after {word}")
    return words[0]


def _owned(word: str, text: str) -> tuple[str, str, str, str]:
    """Mode, owner and group, of which each may be missing; and how an ambiguous one was read."""
    words = _words(word, text, 3)
    octal = bool(words) and _MODE.fullmatch(words[0]) is not None
    said = ""
    match words:
        case [first, second] if (
            octal and first[0] != "0" and (second.isdigit() or len(first) not in _PLAIN_MODE)
        ):
            octal = False
            said = f"{word} {text}: read as owner {first} and group {second}; a mode begins with 0"
        case [_, _, _] if not octal:
            raise _BadError(f"bad {word} {text!r}: {words[0]!r} is no mode")
    mode = words.pop(0) if octal else ""
    if mode and int(mode, 8) > _HIGHEST_MODE:
        raise _BadError(f"bad {word} {text!r}: {mode} is no mode")
    owner, group, *_ = [*words, "", ""]
    return (f"{int(mode, 8):04o}" if mode else ""), owner, group, said


def _create(word: str, text: str) -> Values:
    mode, owner, group, said = _owned(word, text)
    return {
        "create": True,
        "create_mode": mode,
        "create_owner": owner,
        "create_group": group,
        "Create": said or None,
    }


def _create_old_dir(word: str, text: str) -> Values:
    mode, owner, group, said = _owned(word, text)
    return {
        "create_old_dir": True,
        "old_dir_mode": mode or "0755",
        "old_dir_owner": owner,
        "old_dir_group": group,
        "Create_old_dir": said or None,
    }


def _every(word: str, text: str) -> Values:
    values: Values = {"every": word, "Minutes": None}
    if word == "weekly":
        return values | {"weekday": _number(word, text, 7) if text else 0}
    if word == "monthly":
        return values | {"month_day": _number(word, text, 31) if text else 0}
    return values


def _minutes(word: str, text: str) -> Values:
    count = _number(word, text)
    said = f"minutes {count}: the shortest period is an hour; it rotates hourly instead"
    return {"every": "hourly", "Minutes": said}


def _rotate(_word: str, text: str) -> Values:
    return {"keep": None if text == "-1" else _number("rotation count", text)}


def _max_age(word: str, text: str) -> Values:
    days = _number(word, text)
    return {"max_age_days": days or None}  # 0 switches it off


def _date_format(word: str, text: str) -> Values:
    value = _one(word, text)
    unknown = set(re.findall(r"%(.?)", value)) - SPECIFIERS
    if unknown or "%" not in value or "/" in value:
        raise _BadError(f"bad {word} {text!r}: names could not be read back; use %Y %m %d %H %M %S %V %s %z")
    return {"date_format": value}


def _suffix(key: str) -> Callable[[str, str], Values]:
    def parse(word: str, text: str) -> Values:
        value = _one(word, text)
        if "/" in value:
            raise _BadError(f"bad {word} {text!r}: it has a / in it")
        return {key: value}

    return parse


def _compress_extension(word: str, text: str) -> Values:
    value = _suffix("Extension")(word, text)["Extension"]
    if value.startswith("."):
        return {"Extension": value, "Dot": None}
    said = f"compressext {text}: an extension begins with a dot; it is .{value} instead"
    return {"Extension": f".{value}", "Dot": said}


def _su(word: str, text: str) -> Values:
    words = _words(word, text, 2)
    if len(words) != 2:  # noqa: PLR2004 - a user and a group
        raise _BadError(f"bad su {text!r}: it takes a user and a group")
    return {"user": words[0], "group": words[1]}


def _sets(**values: Any) -> Callable[[str, str], Values]:
    return lambda _word, _text: values


def _takes(key: str, read: Callable[[str, str], Any]) -> Callable[[str, str], Values]:
    return lambda word, text: {key: read(word, text)}


def _remarks(key: str, said: str) -> Callable[[str, str], Values]:
    """A directive without a counterpart: the sentence begins with what stands in the file."""
    return lambda word, text: {key: f"{word} {text}".strip() + f": {said}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What becomes of a directive.

    Args:
        takes: what follows it.
        becomes: the settings, or why there are none and what happens instead; as docs/rotation.md has it.
        values: of (directive, value) the state that it leaves.
    """

    takes: Takes
    becomes: str
    values: Callable[[str, str], Values]


def _flag(becomes: str, **values: Any) -> Meaning:
    return Meaning(takes=Takes.NOTHING, becomes=becomes, values=_sets(**values))


def _value(becomes: str, values: Callable[[str, str], Values], takes: Takes = Takes.VALUE) -> Meaning:
    return Meaning(takes=takes, becomes=becomes, values=values)


def _script(becomes: str, key: str) -> Meaning:
    return _value(becomes, lambda _word, text: {key: text}, Takes.SCRIPT)


_MAIL = "no mail is sent; what is removed stands in the ledger"
_UNLINKED = (
    "removed files are not overwritten, which does nothing on journals, snapshots and network volumes;"
    " encrypt the volume instead"
)
_NO_MAIL = f"none: {_MAIL}"
_NO_SHRED = f"none: {_UNLINKED}"
_CODECS = 'a codec of our own for gzip, bzip2, xz and zstd; else `compress = "program"`, `compress_program`'
_IMPORTING = "none: decides what is imported, and is not needed afterwards"
_HOOK = "a signal, a program, or else `/bin/sh -c` with a note"

#: every directive that logrotate's parser knows
DIRECTIVES: Mapping[str, Meaning] = {
    "hourly": _value('`every = "hourly"`, and `-%Y%m%d%H` in names', _every, Takes.NOTHING),
    "daily": _value('`every = "daily"`', _every, Takes.NOTHING),
    "weekly": _value('`every = "weekly"`, `weekday`', _every, Takes.MAYBE),
    "monthly": _value('`every = "monthly"`, `month_day`', _every, Takes.MAYBE),
    "yearly": _value('`every = "yearly"`', _every, Takes.NOTHING),
    "minutes": _value('none: the shortest period is an hour; `every = "hourly"`', _minutes),
    "size": _value(
        '`every = "size"`, `size`',
        lambda word, text: {"every": "size", "size": _size(word, text), "Minutes": None},
    ),
    "minsize": _value("`min_size`", _takes("min_size", _size)),
    "maxsize": _value("`max_size`", _takes("max_size", _size)),
    "minage": _value("`min_age_days`", _takes("min_age_days", _number)),
    "maxage": _value("`max_age_days`, looked at by every run", _max_age),
    "rotate": _value("`keep`; -1 leaves it out", _rotate),
    "start": _value("`start`", _takes("start", _number)),
    "dateext": _flag("`dated = true`", dated=True),
    "nodateext": _flag("`dated = false`", dated=False),
    "dateformat": _value("`date_format`", _date_format),
    "dateyesterday": _flag('`date_ago = "day"`', Yesterday=True),
    "nodateyesterday": _flag('`date_ago = "now"`', Yesterday=False),
    "datehourago": _flag('`date_ago = "hour"`', Hour_ago=True),
    "nodatehourago": _flag('`date_ago = "now"`', Hour_ago=False),
    "extension": _value("`extension`", _suffix("extension")),
    "addextension": _value("`add_extension`", _suffix("add_extension")),
    "compress": _flag('`compress = "gzip"`, or as `compresscmd` says', Compress=True),
    "nocompress": _flag('`compress = "none"`', Compress=False),
    "compresscmd": _value(_CODECS, _takes("Command", _one)),
    "uncompresscmd": _value(
        "none: compressed files are read back without a program",
        _remarks("Uncompress", "compressed files are read back without a program"),
    ),
    "compressoptions": _value(
        "`compress_level`; all of them for a program",
        lambda word, text: {"Options": tuple(_words(word, text, _LARGEST))},
    ),
    "compressext": _value("`compress_extension`", _compress_extension),
    "delaycompress": _flag("`delay_compress = true`", delay_compress=True),
    "nodelaycompress": _flag("`delay_compress = false`", delay_compress=False),
    "copy": _flag('`method = "copy"`', Copy=True),
    "nocopy": _flag('`method = "rename"`', Copy=False),
    "copytruncate": _flag('`method = "copytruncate"`', Truncate=True, Rename=False),
    "nocopytruncate": _flag('`method = "rename"`', Truncate=False),
    "renamecopy": _flag('`method = "renamecopy"`', Rename=True, Truncate=False),
    "norenamecopy": _flag('`method = "rename"`', Rename=False),
    "create": _value("`create = true`, `create_mode`, `create_owner`, `create_group`", _create, Takes.MAYBE),
    "nocreate": _flag("`create = false`", create=False, Create=None),
    "olddir": _value("`old_dir`, `trust_old_dir`", _takes("old_dir", _one)),
    "noolddir": _flag("`old_dir` empty", old_dir=""),
    "createolddir": _value(
        "`create_old_dir = true`, `old_dir_mode`, `old_dir_owner`, `old_dir_group`",
        _create_old_dir,
        Takes.MAYBE,
    ),
    "nocreateolddir": _flag("`create_old_dir = false`", create_old_dir=False, Create_old_dir=None),
    "missingok": _flag("`missing_ok = true`", missing_ok=True),
    "nomissingok": _flag("`missing_ok = false`", missing_ok=False),
    "ifempty": _flag("`rotate_empty = true`", rotate_empty=True),
    "notifempty": _flag("`rotate_empty = false`", rotate_empty=False),
    "ignoreduplicates": _flag("`ignore_duplicates = true`", ignore_duplicates=True),
    "allowhardlink": _flag("`allow_hard_links = true`", allow_hard_links=True),
    "noallowhardlink": _flag("`allow_hard_links = false`", allow_hard_links=False),
    "su": _value("`user`, `group`", _su),
    "sharedscripts": _flag("`shared_hooks = true`", shared_hooks=True),
    "nosharedscripts": _flag("`shared_hooks = false`", shared_hooks=False),
    "firstaction": _script(f"`first`: {_HOOK}", "first"),
    "prerotate": _script(f"`before`: {_HOOK}", "before"),
    "postrotate": _script(f"`after`: {_HOOK}", "after"),
    "preremove": _script(f"`before_removal`: {_HOOK}", "before_removal"),
    "lastaction": _script(f"`last`: {_HOOK}", "last"),
    "endscript": _flag("none: ends a script"),
    "include": _value(_IMPORTING, _sets()),
    "tabooext": _value(_IMPORTING, _sets()),
    "taboopat": _value(_IMPORTING, _sets()),
    "mail": _value(_NO_MAIL, _remarks("Mail", _MAIL)),
    "nomail": _flag(_NO_MAIL, Mail=None),
    "mailfirst": _value(_NO_MAIL, _remarks("Mailed", _MAIL), Takes.NOTHING),
    "maillast": _value(_NO_MAIL, _remarks("Mailed", _MAIL), Takes.NOTHING),
    "shred": _value(_NO_SHRED, _remarks("Shred", _UNLINKED), Takes.NOTHING),
    "noshred": _flag(_NO_SHRED, Shred=None),
    "shredcycles": _value(
        _NO_SHRED,
        lambda _word, text: {"Cycles": f"shredcycles {_number('shred cycles', text)}: {_UNLINKED}"},
    ),
    "errors": _value(
        "none: obsolete, logrotate does nothing for it either",
        _remarks("Errors", "obsolete; logrotate does nothing for it either"),
    ),
}
_TAKES = {word: meaning.takes for word, meaning in DIRECTIVES.items()}

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
    "Minutes",
    "Create",
    "Create_old_dir",
    "Dot",
    "Uncompress",
    "Mail",
    "Mailed",
    "Shred",
    "Cycles",
    "Errors",
)
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


def import_files(paths: Iterable[str], reader: Reader) -> Imported:
    """Read configurations, in their order, as logrotate reads its arguments.

    Args:
        paths: files, or directories of files.
        reader: for all of them, and what they include.
    """
    importer = _Importer(reader)
    for path in paths:
        importer.include(path, path, 0)
    importer.end()
    return Imported(sets=tuple(importer.sets), notes=tuple(importer.notes), problems=tuple(importer.problems))


@dataclass(slots=True)
class _Importer:
    reader: Reader
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
        for event in events(text, _TAKES):
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
                raise _BadError(f"argument expected after {found.word}")  # noqa: TRY301 - told below
            if found.word in {"include", "tabooext", "taboopat"}:
                self._about_importing(found, file, block)
                return True
            said = meaning.values(found.word, found.value)
        except _BadError as error:
            self._problem(file, found.line, self._skipping(str(error), block))
            return False
        state = self.state if block is None else block.state
        if block is not None and "every" in said and (overridden := block.overrides(said["every"])):
            said = said | {"Overridden": f"{found.word!r} overrides previously specified {overridden!r}"}
        state.update({key: _Said(value, file, found.line) for key, value in said.items()})
        return True

    def _about_importing(self, found: Directive, file: str, block: _Block | None) -> None:
        if block is not None:
            raise _BadError(f"{found.word} may not appear inside of log file definition")
        if found.word == "include":
            self.include(_one(found.word, found.value), file, found.line)
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
            values = _checked(values)
        except _BadError as error:
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
    if values["every"] == "hourly":
        values.setdefault("date_format", "-%Y%m%d%H")
    if values.get("old_dir"):
        values["old_dir"] = home(values["old_dir"])
        values["trust_old_dir"] = True  # logrotate looks at the directory of the logs alone
    compression, left = _compression(said)
    where = next((state[key] for key in ("Options", "Command") if key in state), None)
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
    """How rotated files are compressed, and what of it is left out."""
    command = said.get("Command", "gzip")
    program = PurePosixPath(command).name
    codec = _CODEC_OF.get(program)
    extension = said.get("Extension") or _EXTENSION_OF.get(codec or program, ".gz")
    usual = codec is not None and extension == _EXTENSION_OF[codec]
    values: Values = {"compress_extension": "" if usual else extension}
    options = said.get("Options", ())
    if not said.get("Compress"):
        return values | {"compress": "none"}, ""
    if codec is None:
        note = f"compresscmd {command}: the program must be there where the rotation runs"
        return values | {"compress": "program", "compress_program": [command, *options]}, note
    level, left = _level(options)
    note = f"compressoptions {' '.join(options)}: only the level counts, not {' '.join(left)}" if left else ""
    return values | {"compress": codec, "compress_level": level}, note


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

    from luxima_retention.settings import RotationSetSettings

    try:
        RotationSetSettings.model_validate(values)
        "".join(values["paths"]).encode()
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = ".".join(map(str, problem["loc"]))
        raise _BadError(f"{name}: {problem['msg'].removeprefix('Value error, ')}".lstrip(": ")) from None
    except UnicodeEncodeError:
        raise _BadError("a name that is not UTF-8 cannot be written into settings") from None
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
