"""Calls over PostgREST and the end of a run: what only asks stops, what deletes is seen through."""

from __future__ import annotations

import json
import threading
import time

import pytest

from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import RunStopped, StoreError
from luxima_retention.io.http import Endpoint, Http
from luxima_retention.stores.supabase.client import Client, Kind
from tests.servers import hostile
from tests.servers.hostile import run_hostile
from tests.servers.process import free_ports
from tests.servers.stub import Answer, run_stub


def client(url, deadline=UNLIMITED, *, timeout=30.0):
    there = Endpoint(url=url, setting="supabase.url", options="supabase.http", timeout=timeout)
    return Client(Http(there, deadline), lambda: "sb_secret_x", deadline)


def rows(*items):
    return Answer(body=json.dumps(list(items)).encode(), headers={"Content-Type": "application/json"})


BUSY = Answer(503, b'{"code": "PGRST002"}', {"Content-Type": "application/json", "Retry-After": "5"})


def test_a_run_that_was_stopped_asks_nothing_more_but_sees_a_batch_through():
    stopped = Deadline(stopping=lambda: True)
    with run_stub(lambda *_: rows({"items": 3})) as stub:
        with pytest.raises(RunStopped):
            client(stub.url, stopped).ask("state", {})
        assert stub.asked == []
        assert client(stub.url, stopped).call("trim", {}, finish=True).rows == ({"items": 3},)
        assert client(stub.url, stopped).ask("state", {}, finish=True) == {"items": 3}
    assert [path for _, path, *_ in stub.asked] == ["/rpc/trim", "/rpc/state"]


def test_a_call_that_deletes_is_waited_for_although_sigterm_comes_meanwhile():
    told = threading.Event()

    def answer(*_):
        told.set()
        time.sleep(0.5)
        return rows({"items": 3})

    with run_stub(answer) as stub:
        done = client(stub.url, Deadline(stopping=told.is_set)).call("trim", {}, finish=True)
    assert (done.kind, done.rows) == (Kind.DONE, ({"items": 3},))


def test_a_call_that_deletes_and_never_ends_leaves_open_what_it_did():
    with run_hostile(hostile.DRIPPING_BODY) as url:
        done = client(url, timeout=0.5).call("trim", {}, finish=True)
    assert (done.kind, done.sentence) == (Kind.UNKNOWN, "gave no whole answer within 0.5 s")


def test_nobody_at_the_address_did_nothing():
    (port,) = free_ports(1)
    assert client(f"http://127.0.0.1:{port}").call("trim", {}).kind is Kind.BUSY


def test_asking_again_ends_with_the_time_budget():
    waited = []
    clock = [0.0]

    def sleep(seconds):
        waited.append(seconds)
        clock[0] += seconds

    deadline = Deadline(ends=12.0, sleep=sleep, monotonic=lambda: clock[0])
    with run_stub(lambda *_: BUSY) as stub, pytest.raises(RunStopped):
        client(stub.url, deadline).ask("state", {})
    assert waited == [5.0, 5.0, 2.0]
    assert len(stub.asked) == 3


def test_without_a_limit_it_gives_up_after_eight_attempts():
    waited = []
    with run_stub(lambda *_: BUSY) as stub, pytest.raises(StoreError, match="answers 503"):
        client(stub.url, Deadline(sleep=waited.append)).ask("state", {})
    assert (len(stub.asked), waited) == (8, [5.0] * 7)


def test_a_refusal_is_said_at_once_and_not_taken_for_the_end_of_the_run():
    refusal = Answer(404, b'{"code": "PGRST202", "message": "no such function"}')
    with run_stub(lambda *_: refusal) as stub, pytest.raises(StoreError, match="no such function") as caught:
        client(stub.url).ask("state", {})
    assert "run migrate" in caught.value.hint
    assert len(stub.asked) == 1
