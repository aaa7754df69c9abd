"""Starts one command and tells what it cost: seconds, CPU, the largest resident process.

    python -I -S launch.py REPORT COMMAND [ARGUMENT]...

A process of its own, as small as can be: the kernel counts the memory of whoever started a process among
that process's own (until the exec), so a large parent would be measured instead of a small child.
SIGTERM ends the command.
"""

import os
import signal
import sys
import time

report, *command = sys.argv[1:]
begun = time.perf_counter()
pid = os.posix_spawnp(command[0], command, os.environ)
signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGKILL))
_, status, used = os.wait4(pid, 0)
seconds = time.perf_counter() - begun
with open(report, "w") as file:  # noqa: PTH123 - pathlib would be the largest thing here
    file.write(f"{seconds} {used.ru_utime + used.ru_stime} {used.ru_maxrss / 1024}")
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
