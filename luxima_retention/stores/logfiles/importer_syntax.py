"""logrotate's configuration as a stream of events: what stands where, without what it means.

From the manual pages logrotate(8) and logrotate.conf(5): a comment is a line whose first character is ``#``;
values are separated from directives by blanks and an optional ``=``; names follow the quoting of the shell;
scripts end at a line ``endscript``. No I/O.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum


class Takes(Enum):
    """What follows a directive."""

    NOTHING = "nothing"
    VALUE = "value"
    MAYBE = "maybe"
    SCRIPT = "script"


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """``rotate 4``; of a script, ``value`` is its text. ``takes`` is ``None`` for a word nobody knows."""

    line: int
    word: str
    value: str = ""
    takes: Takes | None = Takes.NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The patterns of a set, and its ``{``."""

    line: int
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The ``}`` of a set."""

    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What is none of them, in a sentence; ``ends`` when nothing after it can be understood."""

    line: int
    said: str
    ends: bool = False


Event = Directive | Opened | Closed | Garbage

_WORD = re.compile(r"[A-Za-z]+")
_FILENAME = ("/", '"', "'", "~")
#: characters of patterns up to a brace; a quoted string ends on its line
_PATTERNS = re.compile(r"""(?:[^{}'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")*""")


class _Lines:
    """The lines of a file; the rest of one may be put back."""

    def __init__(self, text: str) -> None:
        self._lines = text.replace("\r\n", "\n").split("\n")
        self.number = 0

    def next(self) -> str | None:
        """The next line; ``None`` at the end."""
        if self.number >= len(self._lines):
            return None
        self.number += 1
        return self._lines[self.number - 1]

    def back(self, rest: str) -> None:
        """What was not used of the line comes again, with its number."""
        self.number -= 1
        self._lines[self.number] = rest


def events(text: str, known: Mapping[str, Takes]) -> Iterator[Event]:
    """Everything that a file says, in its order; any text at all has an end.

    Args:
        text: of the file.
        known: the directives, and what each takes.
    """
    lines = _Lines(text)
    while (line := lines.next()) is not None:
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        found = _event(line, lines, known)
        yield found
        if isinstance(found, Garbage) and found.ends:
            return


def _event(line: str, lines: _Lines, known: Mapping[str, Takes]) -> Event:
    if line.startswith("}"):
        rest = line[1:].strip()
        if rest and not rest.startswith(("#", "}")):
            lines.back(f"\0{rest}")  # no line begins like that: it comes again as garbage
        elif rest:
            lines.back(rest)
        return Closed(line=lines.number + bool(rest))
    if line.startswith("\0"):
        return Garbage(line=lines.number, said=f"unexpected text after }}: {line[1:]!r}")
    if line.startswith(_FILENAME):
        return _opened(line, lines)
    word = _WORD.match(line)
    if word is None:
        said = "lines must begin with a keyword or a filename (possibly in double quotes)"
        return Garbage(line=lines.number, said=f"{said}, not {_short(line)}")
    rest = line[word.end() :]
    if rest and not rest[0].isspace() and rest[0] != "=":
        said = f"keyword {word[0]!r} not properly separated, found {rest[0]!r}"
        return Garbage(line=lines.number, said=f"{said} in {_short(line)}")
    return _directive(word[0], rest.strip(), lines, known.get(word[0]))


def _directive(word: str, rest: str, lines: _Lines, takes: Takes | None) -> Event:
    number = lines.number
    if takes is Takes.SCRIPT:
        return _script(word, rest, lines)
    if takes is Takes.NOTHING:
        if rest:
            lines.back(rest)
        return Directive(line=number, word=word)
    value = rest.removeprefix("=").strip()
    if value == "}" or value.endswith((" }", "\t}")):
        lines.back("}")
        value = value[:-1].strip()
        if value:
            return Garbage(line=number, said=f"bad value {value + ' }'!r} of {word}: }} needs its own line")
    return Directive(line=number, word=word, value=value, takes=takes)


def _script(word: str, rest: str, lines: _Lines) -> Event:
    number, script = lines.number, []
    if rest and not rest.startswith("#"):
        script.append(rest)
    while (line := lines.next()) is not None:
        if line.split()[:1] == ["endscript"]:
            return Directive(line=number, word=word, value="\n".join(script), takes=Takes.SCRIPT)
        script.append(line)
    return Garbage(line=number, said=f"{word} without endscript", ends=True)


def _opened(line: str, lines: _Lines) -> Event:
    number, parts = lines.number, []
    following: str | None = line
    while following is not None:
        if not following.lstrip().startswith("#"):
            found = _PATTERNS.match(following)
            assert found is not None  # noqa: S101 - the empty string matches
            parts.append(found[0])
            rest = following[found.end() :]
            if rest:
                return _ended(number, parts, rest, lines)
        following = lines.next()
    return Garbage(line=number, said=f"missing '{{' after log files definition {_short(line)}", ends=True)


def _ended(number: int, parts: list[str], rest: str, lines: _Lines) -> Event:
    if rest[0] == "}":
        return Garbage(line=lines.number, said="unexpected } (missing previous '{')", ends=True)
    if rest[0] != "{":
        return Garbage(line=lines.number, said=f"no closing quotation in {_short(rest)}", ends=True)
    lines.back(rest[1:])
    return Opened(line=number, patterns=tuple(shlex.split("\n".join(parts))))


def _short(text: str) -> str:
    """A line, quoted, not longer than a line."""
    longest = 60
    return repr(text if len(text) <= longest else f"{text[:longest]}…")
