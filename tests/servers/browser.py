"""Chromium without a window: the one on PATH, or Debian's, unpacked below ``.cache/programs``."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.servers.programs import CACHE, unpack

_PACKAGE = "chromium-headless-shell"
_FONT = "fonts-dejavu-core"
_INSTALLED = ("chromium", "chromium-headless-shell", "google-chrome", "chromium-browser")
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
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_program(), args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def _program() -> str:
    for name in _INSTALLED:
        if found := shutil.which(name):
            return found
    root = CACHE / _PACKAGE
    if not root.is_dir():
        unpack(root, [*_missing(_PACKAGE), _FONT])
    return str(_script(root))


def _missing(package: str) -> list[str]:
    """The package and those that this machine lacks for it."""
    command = ["apt-get", "-s", "--no-install-recommends", "install", package]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
    found = [line.split()[1] for line in said.splitlines() if line.startswith("Inst ")]
    return [name for name in found if name not in {"xdg-utils", "adduser"}] or [package]


def _script(root: Path) -> Path:
    """Starts the program with the libraries and the font that were unpacked beside it."""
    (program,) = root.glob(f"usr/lib/chromium/{_PACKAGE}")
    found = (
        path.parent for place in ("lib", "usr/lib") for path in root.glob(f"{place}/*-linux-gnu/**/*.so*")
    )
    libraries = ":".join(sorted(set(map(str, found))))
    fonts = root / "fonts.conf"
    fonts.write_text(
        f"<fontconfig><dir>{root}/usr/share/fonts</dir><dir>/usr/share/fonts</dir></fontconfig>\n"
    )
    script = root / _PACKAGE
    script.write_text(
        f'#!/bin/sh\nFONTCONFIG_FILE="{fonts}" LD_LIBRARY_PATH="{libraries}" exec "{program}" "$@"\n'
    )
    script.chmod(0o755)
    return script
