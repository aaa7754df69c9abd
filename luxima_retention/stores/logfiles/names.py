"""What rotated files are called, and what their names tell. No I/O, no clock.

``app.log`` becomes ``app.log-20261122`` or ``app.log.1``, then ``….zst`` (logrotate(8): dateext, dateformat,
dateyesterday, datehourago, extension, addextension, start, compressext). With a dated name the newest one
tells when the log last rotated, so no state can be lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property

#: specifier → what it looks like in a name
_LOOKS = {
    "Y": r"\d{4}",
    "m": r"\d{2}",
    "d": r"\d{2}",
    "H": r"\d{2}",
    "M": r"\d{2}",
    "S": r"\d{2}",
    "G": r"\d{4}",
    "V": r"\d{2}",
    "U": r"\d{2}",
    "W": r"\d{2}",
    "u": r"\d",
    "w": r"\d",
    "y": r"\d{2}",
    "g": r"\d{2}",
    "j": r"\d{3}",
    "s": r"\d{9,11}",
    "z": r"[+-]\d{4}",
}
SPECIFIERS = frozenset(_LOOKS)
_SPECIFIER = re.compile(r"%(.)")
#: every codec's extension: a set whose compression was changed still knows its older files
EXTENSIONS = (".zst", ".gz", ".bz2", ".xz")
_HOUR_AGO = timedelta(hours=1)
_YESTERDAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """A file that a log became.

    Args:
        name: in its directory.
        plain: the name without the compression's extension.
        index: of ``app.log.3``; ``None`` for a dated name.
        stamp: what a dated name says, as written; empty for an index.
        at: the rotation that a dated name tells; ``None`` where it does not tell the day.
    """

    name: str
    plain: str
    index: int | None = None
    stamp: str = ""
    at: datetime | None = None

    @property
    def compressed(self) -> bool:
        """Whether it has been compressed."""
        return self.name != self.plain


@dataclass(frozen=True, kw_only=True)
class Naming:
    """How the files of a set are called.

    Args:
        dated: a date, or else a number.
        date_format: as strftime(3), with :data:`SPECIFIERS` alone.
        ago: subtracted from now for the date in a name: nothing, an hour or a day.
        zone: of the date in a name.
        extension: kept at the end of names that have it: ``.log``.
        add_extension: put at the end of every name, moved there if it has it.
        start: the first number.
        compressed: the extension of compressed files, ``.zst``.
    """

    dated: bool = True
    date_format: str = "-%Y%m%d"
    ago: timedelta = timedelta(0)
    zone: tzinfo = UTC
    extension: str = ""
    add_extension: str = ""
    start: int = 1
    compressed: str = ".zst"

    @property
    def tells(self) -> bool:
        """Whether a name tells the day of its rotation."""
        found = set(_SPECIFIER.findall(self.date_format))
        return self.dated and (found >= {"Y", "m", "d"} or "s" in found or found >= {"Y", "j"})

    def split(self, log: str) -> tuple[str, str]:
        """What stands before and after date or number."""
        if self.add_extension:
            return log.removesuffix(self.add_extension), self.add_extension
        if self.extension and log.endswith(self.extension) and log != self.extension:
            return log.removesuffix(self.extension), self.extension
        return log, ""

    def stamp(self, now: datetime) -> str:
        """The date in the name of a file that is rotated now."""
        # The hour before is an hour before; yesterday is a day of the calendar, however long it was.
        if self.ago == _YESTERDAY:
            local = now.astimezone(self.zone) - _YESTERDAY
        else:
            local = (now - self.ago).astimezone(self.zone)
        epoch = int((now - self.ago).timestamp())
        return _SPECIFIER.sub(
            lambda found: str(epoch) if found[1] == "s" else local.strftime(found[0]), self.date_format
        )

    def dated_name(self, log: str, now: datetime) -> str:
        """The name of a log that is rotated now, before it is compressed."""
        head, tail = self.split(log)
        return f"{head}{self.stamp(now)}{tail}"

    def numbered(self, log: str, index: int) -> str:
        """The name of a log's file of that number, before it is compressed."""
        head, tail = self.split(log)
        return f"{head}.{index}{tail}"

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Date or number of this set."""
        if not self.dated:
            return re.compile(r"\.(?P<index>0|[1-9]\d{0,8})")
        looks, seen, position = "", set[str](), 0
        for found in _SPECIFIER.finditer(self.date_format):
            letter = found[1]
            looks += re.escape(self.date_format[position : found.start()])
            looks += _LOOKS[letter] if letter in seen else f"(?P<{letter}>{_LOOKS[letter]})"
            seen.add(letter)
            position = found.end()
        return re.compile(f"(?P<stamp>{looks}{re.escape(self.date_format[position:])})", re.ASCII)

    def parse(self, log: str, name: str) -> Rotated | None:
        """What ``name`` is to ``log``; ``None`` when it is none of its files."""
        head, tail = self.split(log)
        if not name.startswith(head) or name == log:
            return None
        for extension in self._extensions:
            if name.endswith(tail + extension):
                plain = name.removesuffix(extension) if extension else name
                found = self._pattern.fullmatch(plain, len(head), len(plain) - len(tail))
                if found:
                    return self._read(name, plain, found)
        return None

    def _read(self, name: str, plain: str, found: re.Match[str]) -> Rotated | None:
        if not self.dated:
            return Rotated(name=name, plain=plain, index=int(found["index"]))
        try:
            at = self._instant(found.groupdict()) if self.tells else None
        except (ValueError, OverflowError):
            return None  # 20261399 is not a date: somebody else's file
        return Rotated(name=name, plain=plain, stamp=found["stamp"], at=at)

    def _instant(self, parts: dict[str, str]) -> datetime:
        """The rotation that a name tells, as exactly as it tells it."""
        if "s" in parts:
            return datetime.fromtimestamp(int(parts["s"]), UTC) + self.ago
        if "m" in parts:
            day = date(int(parts["Y"]), int(parts["m"]), int(parts["d"]))
        else:
            day = datetime.strptime(parts["Y"] + parts["j"], "%Y%j").date()  # noqa: DTZ007 - a day, no instant
        hour, minute, second = (int(parts.get(letter, 0)) for letter in "HMS")
        local = datetime.combine(day, time(hour, minute, second), self.zone)
        # Arithmetic within a zone is that of its calendar: a day later is the same time of the next day.
        return (local + self.ago).astimezone(UTC)

    def logs_of(self, name: str) -> Iterator[str]:
        """The logs that a file of that name may have been; none for a name that no rotation gives."""
        for extension in self._extensions:
            if not name.endswith(extension):
                continue
            plain = name.removesuffix(extension)
            for tail in self._tails:
                body = plain.removesuffix(tail)
                found = self._at_end.fullmatch(body) if f"{body}{tail}{extension}" == name else None
                if found and found["head"]:
                    yield from {found["head"] + tail, found["head"] if self.add_extension else ""} - {""}

    @cached_property
    def _extensions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(("", self.compressed, *EXTENSIONS)))

    @cached_property
    def _tails(self) -> tuple[str, ...]:
        """What may stand after date or number."""
        return (self.add_extension,) if self.add_extension else tuple(dict.fromkeys((self.extension, "")))

    @cached_property
    def _at_end(self) -> re.Pattern[str]:
        return re.compile(f"(?P<head>.*){self._pattern.pattern}", re.ASCII | re.DOTALL)

    @cached_property
    def _may_be(self) -> re.Pattern[str]:
        """Finds every name that a rotation may have given, and few others: most names are of live logs."""
        tails, extensions = ("|".join(map(re.escape, some)) for some in (self._tails, self._extensions))
        return re.compile(f"{self._pattern.pattern}(?:{tails})(?:{extensions})\\Z", re.ASCII)

    def grouped(self, names: Iterable[str]) -> dict[str, list[Rotated]]:
        """Each log with its rotated files, newest first, whether the log is there or not."""
        groups: dict[str, list[Rotated]] = {}
        for name in filter(self._may_be.search, names):
            for log in set(self.logs_of(name)):
                if file := self.parse(log, name):
                    groups.setdefault(log, []).append(file)
        for files in groups.values():
            files.sort(key=self._newest_first)
        return groups

    def _newest_first(self, file: Rotated) -> tuple[float, str, str]:
        if file.index is not None:
            return file.index, "", file.name
        # Names that tell no day sort by their letters, as logrotate(8) says of dateformat.
        when = -file.at.timestamp() if file.at else 0.0
        return when, "".join(chr(0x10FFFF - ord(letter)) for letter in file.stamp), file.name


def last_rotation(files: Sequence[Rotated], now: datetime) -> datetime | None:
    """When a log last rotated, as its dated files tell; names in the future tell of a wrong clock."""
    told = [file.at for file in files if file.at is not None and file.at <= now + _YESTERDAY]
    return max(told, default=None)
