"""Real servers for the tests: PostgreSQL, S3, Prometheus, Pushgateway, SMTP.

Each module starts one kind of server on 127.0.0.1, on ports nobody uses, waits until it answers and ends
it by its own pid. ``tests/conftest.py`` hands them out as fixtures. See there for a list.
"""
