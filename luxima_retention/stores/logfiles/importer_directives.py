"""What each directive of logrotate says: its value, read, as the state that it leaves in a set. No I/O.

Keys of a state that begin with a capital are not settings: the importer makes settings or notes of them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from luxima_retention.stores.logfiles.importer_syntax import Takes
from luxima_retention.stores.logfiles.names import SPECIFIERS

_LARGEST = 999_999_999
_LARGEST_SIZE = 2**63 - 1
_UNITS = {"": 1, "k": 1024, "K": 1024, "M": 1024**2, "G": 1024**3}
_MODE = re.compile(r"[0-7]{1,5}")
_PLAIN_MODE = (3, 4)
_HIGHEST_MODE = 0o7777

Values = dict[str, Any]


class BadValueError(ValueError):
    """A value that its directive does not take."""


def _read(text: str) -> tuple[int, str] | None:
    """A number as strtoull(3) reads it with base 0, and what stands after it: a sign, 0x, octal after 0."""
    found = re.match(r"\s*\+?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", text)
    if found is None:
        return None
    digits = found[1]
    base = 16 if digits[1:2] in {"x", "X"} else 8 if digits[0] == "0" else 10
    return int(digits[:40], base), text[found.end() :]


def _number(word: str, text: str, highest: int = _LARGEST) -> int:
    number = _read(text)
    if number is None or number[1] or number[0] > highest:
        raise BadValueError(f"bad {word} {text!r}: it is not a number from 0 to {highest}")
    return number[0]


def _size(word: str, text: str) -> int:
    number = _read(text)
    if number is None:
        unit = re.search(r"[^0-9]", text)
        raise BadValueError(f"bad {word} {text!r}" + (f": unknown unit {text[-1]!r}" if unit else ""))
    if number[1] not in _UNITS:
        raise BadValueError(f"bad {word} {text!r}: unknown unit {number[1]!r}; write k, M or G")
    size = number[0] * _UNITS[number[1]]
    if size > _LARGEST_SIZE:
        raise BadValueError(f"bad {word} {text!r}: larger than any file")
    return size


def _words(word: str, text: str, most: int) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError:
        raise BadValueError(f"bad {word} {text!r}: no closing quotation") from None
    if len(words) > most:
        raise BadValueError(f"extra arguments for {word}: {text!r}")
    return words


def one_word(word: str, text: str) -> str:
    """The value of a directive that takes one word, without its quotes.

    Raises:
        BadValueError: there is none, or more.
    """
    words = _words(word, text, 1)
    if not words or not words[0]:
        raise BadValueError(f"argument expected after {word}")
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
            raise BadValueError(f"bad {word} {text!r}: {words[0]!r} is not a mode")
    mode = words.pop(0) if octal else ""
    if mode and int(mode, 8) > _HIGHEST_MODE:
        raise BadValueError(f"bad {word} {text!r}: {mode} is not a mode")
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
    values: Values = {"every": word}
    if word == "weekly":
        return values | {"weekday": _number(word, text, 7) if text else 0}
    if word == "monthly":
        return values | {"month_day": _number(word, text, 31) if text else 0}
    return values


def _minutes(word: str, text: str) -> Values:
    count = _number(word, text)
    if not count:
        raise BadValueError(f"bad {word} {text!r}: it is not a number of minutes")
    return {"every": "minutes", "minutes": count}


def _rotate(_word: str, text: str) -> Values:
    return {"keep": None if text == "-1" else _number("rotation count", text)}


def _max_age(word: str, text: str) -> Values:
    days = _number(word, text)
    return {"max_age_days": days or None}  # 0 switches it off


def _date_format(word: str, text: str) -> Values:
    value = one_word(word, text)
    unknown = set(re.findall(r"%(.?)", value)) - SPECIFIERS
    if unknown or "%" not in value or "/" in value:
        raise BadValueError(
            f"bad {word} {text!r}: names could not be read back; use %Y %m %d %H %M %S %V %s %z"
        )
    return {"date_format": value}


def _suffix(key: str) -> Callable[[str, str], Values]:
    def parse(word: str, text: str) -> Values:
        value = one_word(word, text)
        if "/" in value:
            raise BadValueError(f"bad {word} {text!r}: it has a / in it")
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
        raise BadValueError(f"bad su {text!r}: it takes a user and a group")
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


_CODECS = '`compress = "program"`, `compress_program`, `compress_extension`'
_IMPORTING = "none: decides what is imported, and is not needed afterwards"
_HOOK = "a signal, a program, or else `/bin/sh -c` with a note"

#: every directive that logrotate's parser knows
DIRECTIVES: Mapping[str, Meaning] = {
    "hourly": _value('`every = "hourly"`, and `-%Y%m%d%H` in names', _every, Takes.NOTHING),
    "daily": _value('`every = "daily"`', _every, Takes.NOTHING),
    "weekly": _value('`every = "weekly"`, `weekday`', _every, Takes.MAYBE),
    "monthly": _value('`every = "monthly"`, `month_day`', _every, Takes.MAYBE),
    "yearly": _value('`every = "yearly"`', _every, Takes.NOTHING),
    "minutes": _value('`every = "minutes"`, `minutes`, and `-%Y%m%d%H%M` in names', _minutes),
    "size": _value(
        '`every = "size"`, `size`',
        lambda word, text: {"every": "size", "size": _size(word, text)},
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
    "compresscmd": _value(_CODECS, _takes("Command", one_word)),
    "uncompresscmd": _value(
        "none: compressed files are read back without a program",
        _remarks("Uncompress", "compressed files are read back without a program"),
    ),
    "compressoptions": _value(
        "`compress_level`; all of them for `compresscmd`",
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
    "olddir": _value("`old_dir`, `trust_old_dir`", _takes("old_dir", one_word)),
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
    "mail": _value("`mail`, decompressed, through `rotation.mail_program`", _takes("mail", one_word)),
    "nomail": _flag("`mail` empty", mail=""),
    "mailfirst": _flag("`mail_newest = true`", mail_newest=True),
    "maillast": _flag("`mail_newest = false`", mail_newest=False),
    "shred": _flag("`shred = true`, through the program shred", shred=True),
    "noshred": _flag("`shred = false`", shred=False),
    "shredcycles": _value("`shred_cycles`", _takes("shred_cycles", _number)),
    "errors": _value(
        "none: obsolete, logrotate does nothing for it either",
        _remarks("Errors", "obsolete; logrotate does nothing for it either"),
    ),
}
#: directive → what follows it
TAKES = {word: meaning.takes for word, meaning in DIRECTIVES.items()}
