"""Working as another user, as ``user`` of a set asks: what it may not do, the rotation may not either."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

from luxima_retention.core.errors import StoreError

_HINT = "write a name or a number that this machine knows"


@contextmanager
def acting_as(user: str, group: str) -> Iterator[None]:
    """Work with the rights of a user; of root only. No user leaves things as they are.

    Raises:
        StoreError: there is no such user or group, or this process may not become it.
    """
    if not user:
        yield
        return
    number = user_id(user)
    if os.geteuid() == number:
        yield
        return
    if os.geteuid() != 0:
        raise StoreError(
            f"the set is worked on as {user}, and this process is user {os.geteuid()}",
            "run as root or as that user, or leave user of the set empty",
        )
    own = os.getgroups()
    primary = group_id(group) if group else _primary(number)
    os.setgroups([primary])
    os.setegid(primary)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(os.getgid())
        os.setgroups(own)


@contextmanager
def acting_as_oneself() -> Iterator[None]:
    """Hooks run with the rights that the process was started with."""
    user, group, groups = os.geteuid(), os.getegid(), os.getgroups()
    if user == os.getuid():
        yield
        return
    os.seteuid(os.getuid())
    os.setegid(os.getgid())
    try:
        yield
    finally:
        os.setgroups(groups)
        os.setegid(group)
        os.seteuid(user)


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
