"""Weeks of nights in minutes: real program, real PostgreSQL, their clocks moved by libfaketime, and faults.

`python -m tests.soak --days 30 --seed 7` plays a month; the suite plays a few nights. After every night the
table is compared with what was written, what must have gone and what must have stayed.
"""
