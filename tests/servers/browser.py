"""Chromium without a window: the one on PATH, or Debian's, unpacked below ``.cache/programs``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.servers.programs import CACHE, unpack, write_script

_PROGRAM = "chromium-headless-shell"
_ROOT = CACHE / _PROGRAM
#: what it needs, a font, and a library of Playwright's own program
_PACKAGES = (_PROGRAM, "fonts-dejavu-core", "libatomic1")
_INSTALLED = ("chromium", _PROGRAM, "google-chrome", "chromium-browser")
#: No sandbox, since tests run as root in containers; nothing of its own goes out to any network.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@contextmanager
def run_browser() -> Iterator[Browser]:
    """A browser that ends with the block."""
    program = next(filter(None, map(shutil.which, _INSTALLED)), None) or _unpacked()
    before = os.environ.get("LD_LIBRARY_PATH")
    if _ROOT.is_dir():
        os.environ["LD_LIBRARY_PATH"] = ":".join(filter(None, (before, _libraries())))
    with sync_playwright() as playwright:
        _restore("LD_LIBRARY_PATH", before)
        browser = playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _unpacked() -> str:
    if not _ROOT.is_dir():
        unpack(_ROOT, list(_PACKAGES), missing=True)
    return str(_script())


def _libraries() -> str:
    places = ("lib", "usr/lib")
    found = {path.parent for place in places for path in _ROOT.glob(f"{place}/*-linux-gnu/**/*.so*")}
    return ":".join(sorted(map(str, found)))


def _script() -> Path:
    """Starts the program with the libraries and the font that were unpacked beside it."""
    (program,) = _ROOT.glob(f"usr/lib/chromium/{_PROGRAM}")
    fonts = _ROOT / "fonts.conf"
    places = "".join(f"<dir>{place}/usr/share/fonts</dir>" for place in (_ROOT, ""))
    fonts.write_text(f"<fontconfig>{places}</fontconfig>\n")
    return write_script(
        _ROOT / _PROGRAM,
        f'#!/bin/sh\nFONTCONFIG_FILE="{fonts}" LD_LIBRARY_PATH="{_libraries()}" exec "{program}" "$@"\n',
    )
