"""Whose rights a set is worked on with, as ``user`` and ``group`` of the set ask."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from luxima_retention.core.errors import StoreError

_HINT = "write a name or a number that this machine knows"


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and a group, by their numbers."""

    user: int
    group: int

    @property
    def is_ours(self) -> bool:
        """Whether this process has exactly these rights already."""
        ids = {*os.getresuid(), self.user}, {*os.getresgid(), *os.getgroups(), self.group}
        return ids == ({self.user}, {self.group})

    def become(self) -> None:
        """Take on user and group for good, and no other group: there is no way back."""
        os.setgroups([])
        os.setresgid(self.group, self.group, self.group)
        os.setresuid(self.user, self.user, self.user)


def identity_of(user: str, group: str) -> Identity | None:
    """Who works on a set; ``None`` where this process does, as it is.

    Args:
        user: of the set; empty leaves it to this process.
        group: of the set; empty takes the user's.

    Raises:
        StoreError: there is no such user or group, or this process may not become it.
    """
    if not user:
        return None
    number = user_id(user)
    wanted = Identity(number, group_id(group) if group else _primary(number))
    if wanted.is_ours:
        return None
    if os.geteuid() == 0:
        return wanted
    if number != os.geteuid():
        said = f"the set is worked on as {user}, and this process is user {os.geteuid()}"
        raise StoreError(said, "run as root or as that user, or leave user of the set empty")
    if group and wanted.group != os.getegid():
        said = f"the set is worked on with group {group}, and this process has group {os.getegid()}"
        raise StoreError(said, "run as root or with that group, or leave group of the set empty")
    return None


@contextmanager
def acting_as(user: str, group: str) -> Iterator[None]:
    """Reach files with the rights of a user, and run nothing meanwhile: the process itself stays what it is.

    Raises:
        StoreError: see :func:`identity_of`.
    """
    wanted = identity_of(user, group)
    if wanted is None:
        yield
        return
    own = os.getgroups()
    os.setgroups([])
    os.setegid(wanted.group)
    os.seteuid(wanted.user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(os.getgid())
        os.setgroups(own)


def user_id(name: str) -> int:
    """The number of a user, which may be written as a number."""
    if name.isdigit():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise StoreError(f"there is no user {name}", _HINT) from None


def group_id(name: str) -> int:
    """The number of a group, which may be written as a number."""
    if name.isdigit():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise StoreError(f"there is no group {name}", _HINT) from None


def _primary(number: int) -> int:
    try:
        return pwd.getpwuid(number).pw_gid
    except KeyError:
        return number
