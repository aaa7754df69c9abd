"""Compression: what other programs read back, what damage is found, how much memory it takes."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from luxima_retention.core.errors import StoreError
from luxima_retention.stores.logfiles import codecs
from tests.servers.programs import find_program

PROGRAMS = ("bzip2", "gzip", "xz")
CODECS = sorted(codecs.EXTENSIONS)
#: bytes of a file, and of the memory that its compression may take
LARGE, LITTLE = 160 << 20, 120 << 20
#: none and one byte, the most that is compressed at once, and more: zstd and gzip take that in two threads
SIZES = [(codec, size) for codec in CODECS for size in (0, 1, 1 << 20)]
SIZES += [(codec, (2 if codec in {"gzip", "zstd"} else 1) * (1 << 20) + 1) for codec in CODECS]


def lines(count: int) -> bytes:
    dice = random.Random(7)  # noqa: S311 - a test
    return b"".join(
        b'2026-11-22T10:00:00Z level=info path="/api/%d" took=%d\n'
        % (dice.randrange(99), dice.randrange(9999))
        for _ in range(count)
    )


def packed(tmp_path: Path, codec: str, data: bytes, **options: object) -> Path:
    plain, target = tmp_path / "plain", tmp_path / f"packed-{codec}"
    plain.write_bytes(data)
    with plain.open("rb") as source, target.open("w+b") as file:
        back = codecs.Compressor(codec, **options).compress(source.fileno(), file.fileno())
    assert back == codecs.Packed(len(data), hashlib.sha256(target.read_bytes()).hexdigest())
    return target


@pytest.mark.parametrize(("codec", "size"), SIZES)
def test_what_goes_in_comes_out(tmp_path, codec, size):
    data = lines(size // 50)[:size] if size > 1 else b"x" * size
    assert len(data) == size
    target = packed(tmp_path, codec, data)
    with target.open("rb") as file, (tmp_path / "plain").open("rb") as plain:
        assert b"".join(codecs.decompress(file.fileno())) == data
        assert codecs.same_content(plain.fileno(), file.fileno())
    if codec in PROGRAMS:
        done = subprocess.run([find_program(codec), "-dc", target], capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, data, b"")


@pytest.mark.parametrize("codec", CODECS)
def test_damage_is_found(tmp_path, codec):
    data = lines(3000)
    target = packed(tmp_path, codec, data)
    whole = target.read_bytes()
    for broken in (
        whole[:-1],
        whole[: len(whole) // 2],
        whole[: len(whole) // 2] + b"\x55\xaa" + whole[len(whole) // 2 + 2 :],
        b"",
        b"plain text",
    ):
        target.write_bytes(broken)
        with target.open("rb") as file, pytest.raises(StoreError):
            assert sum(map(len, codecs.decompress(file.fileno()))) != len(data)


@pytest.mark.parametrize("codec", CODECS)
def test_a_difference_of_one_byte_or_one_length_is_a_difference(tmp_path, codec):
    data = lines(3000)
    target = packed(tmp_path, codec, data)
    other = tmp_path / "other"
    for changed in (data[:-1], data + b"x", data[:1000] + b"?" + data[1001:], b""):
        other.write_bytes(changed)
        with target.open("rb") as file, other.open("rb") as plain:
            assert not codecs.same_content(plain.fileno(), file.fileno())


def test_the_level_is_that_of_the_codec(tmp_path):
    data = lines(20_000)
    sizes = [packed(tmp_path, "gzip", data, level=level).stat().st_size for level in (1, 6, 19)]
    assert sizes == sorted(sizes, reverse=True)


def test_gzip_is_no_larger_than_that_of_the_program(tmp_path):
    data = lines(120_000)
    ours = packed(tmp_path, "gzip", data).stat().st_size
    theirs = subprocess.run(["gzip", "-c"], input=data, capture_output=True, check=True).stdout
    assert ours <= len(theirs) * 1.005


def test_a_program_compresses_and_its_failure_is_told(tmp_path):
    data = lines(100)
    target = packed(tmp_path, "program", data, program=("gzip", "-9"))
    assert subprocess.run(["gzip", "-dc", target], capture_output=True, check=True).stdout == data
    with pytest.raises(StoreError, match="ended with status 1"):
        packed(tmp_path, "program", data, program=("false",))
    with pytest.raises(StoreError, match="cannot be started"):
        packed(tmp_path, "program", data, program=("/no/such/program",))


MEMORY = """
import os, sys
from luxima_retention.stores.logfiles import codecs
plain, target, codec = sys.argv[1:]
with open(plain, "rb") as source, open(target, "w+b") as file:
    back = codecs.Compressor(codec).compress(source.fileno(), file.fileno())
    assert back.held == os.path.getsize(plain)
# VmHWM is this program's own; ru_maxrss would begin with that of whoever started it.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize("codec", ["zstd", "gzip"])
def test_a_large_file_takes_little_memory(tmp_path, codec):
    plain = tmp_path / "plain"
    with plain.open("wb") as file:
        file.write(lines(1000))
        os.truncate(file.fileno(), LARGE)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, plain, tmp_path / "packed", codec],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert int(done.stdout) * 1024 < LITTLE
