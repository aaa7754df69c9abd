"""A network between: a TCP proxy on loopback that delays what passes, and counts HTTP requests.

    python -m bench.proxy PORT SECONDS

Prints its own port, forwards to PORT, and gives every byte a round trip of SECONDS; a connection takes one
round trip to be made. Closing its standard input ends it; it then prints what it has counted.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.measure import ROOT

_BLOCK = 1 << 18
#: in flight in one direction; what is sent beyond it waits, as in a network
_WINDOW = 1 << 23
_COUNTED = {"requests": b" HTTP/1.1\r\n", "list_requests": b"list-type=2"}


class Pipe:
    """One direction of one connection."""

    def __init__(self, delay: float, counts: Counter[str] | None) -> None:
        self.delay, self.counts = delay, counts
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.size, self.changed, self.tail = 0, asyncio.Event(), b""
        self.room = asyncio.Event()

    async def take(self, reader: asyncio.StreamReader) -> None:
        """Read until the end, with the time at which each block is due."""
        clock = asyncio.get_running_loop().time
        block = b"."
        while block:
            try:
                block = await reader.read(_BLOCK)
            except OSError:
                block = b""
            self.count(block)
            self.waiting.append((clock() + self.delay, block))
            self.size += len(block)
            self.changed.set()
            if self.size > _WINDOW:
                self.room.clear()
                await self.room.wait()

    async def give(self, writer: asyncio.StreamWriter) -> None:
        """Write each block when it is due."""
        clock = asyncio.get_running_loop().time
        while True:
            while not self.waiting:
                self.changed.clear()
                await self.changed.wait()
            due, block = self.waiting.popleft()
            if (left := due - clock()) > 0:
                await asyncio.sleep(left)
            if not block:
                break
            self.size -= len(block)
            self.room.set()
            writer.write(block)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    def count(self, block: bytes) -> None:
        """What a request begins with, also where two blocks share it."""
        if self.counts is None:
            return
        for name, word in _COUNTED.items():
            joined = self.tail[1 - len(word) :] + block
            self.counts[name] += joined.count(word)
        self.tail = (self.tail + block)[-32:]


async def serve(port: int, round_trip: float) -> None:
    """Until standard input is closed."""
    counts: Counter[str] = Counter(dict.fromkeys(_COUNTED, 0))

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = Pipe(round_trip / 2, counts), Pipe(round_trip / 2, None)
        await asyncio.sleep(round_trip)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        steps = (there.take(reader), there.give(far_writer), back.take(far_reader), back.give(writer))
        # One side may go away at any time; the other one then sees the end of its stream.
        await asyncio.gather(*steps, return_exceptions=True)
        far_writer.close()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=_BLOCK)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(json.dumps(counts), flush=True)
    # At once: connections that are open still are nobody's any more.
    os._exit(0)


@dataclass
class Proxy:
    """A running one; ``counts`` is complete once it has ended."""

    port: int
    counts: dict[str, int] = field(default_factory=dict)


@contextmanager
def run_proxy(port: int, round_trip: float = 0.0) -> Iterator[Proxy]:
    """Before a port of 127.0.0.1; ends with the block."""
    words = [sys.executable, "-m", "bench.proxy", str(port), str(round_trip)]
    process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        proxy = Proxy(int(process.stdout.readline()))
        yield proxy
        told, _ = process.communicate(timeout=30)
        proxy.counts = json.loads(told)
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
