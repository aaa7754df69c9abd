"""The one HTTP client against servers that hold it up, send it elsewhere, or want to know who it is."""

from __future__ import annotations

import base64
import socket
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from luxima_retention.config.endpoints import endpoint
from luxima_retention.config.settings import HttpSettings
from luxima_retention.core.deadline import UNLIMITED, Deadline
from luxima_retention.core.errors import ConfigurationError, RunStopped, StoreError
from luxima_retention.io import http
from luxima_retention.io.http import Endpoint, Http, HttpError
from tests.servers import hostile
from tests.servers.hostile import run_hostile
from tests.servers.process import free_ports
from tests.servers.stub import Answer, run_stub

#: Seconds that only a hang takes; the dripping servers are at it for minutes.
HANGS = 30
FULL = hostile.HEAD + b"Content-Length: 5\r\n\r\nhello"


def client(url, deadline=UNLIMITED, **options):
    given = {"url": url, "setting": "loki.url", "options": "loki.http", "timeout": 30.0} | options
    return Http(Endpoint(**given), deadline)


def elapsed(call):
    """What it raised, and the seconds that it took."""
    began = time.monotonic()
    with pytest.raises((StoreError, RunStopped)) as caught:
        call()
    return caught.value, time.monotonic() - began


@pytest.mark.parametrize("sender", [hostile.DRIPPING_HEAD, hostile.DRIPPING_BODY, hostile.silent])
def test_a_request_has_a_limit_in_all_and_not_for_each_byte(sender):
    with run_hostile(sender) as url:
        error, seconds = elapsed(lambda: client(url, timeout=1.0).get("/config"))
    assert isinstance(error, HttpError)
    assert "no answer in time" in error.message or "no whole answer within 1 s" in error.message
    assert 0.9 < seconds < HANGS


@pytest.mark.parametrize("sender", [hostile.DRIPPING_HEAD, hostile.DRIPPING_BODY, hostile.silent])
def test_the_time_budget_of_the_run_ends_a_request(sender):
    with run_hostile(sender) as url:
        error, seconds = elapsed(lambda: client(url, UNLIMITED.within(1)).get("/config"))
    assert isinstance(error, RunStopped), error
    assert "time budget" in error.message
    assert 0.9 < seconds < HANGS


@pytest.mark.parametrize("sender", [hostile.DRIPPING_HEAD, hostile.DRIPPING_BODY, hostile.silent])
def test_the_stop_signal_ends_a_request(sender):
    told = threading.Event()
    deadline = Deadline(stopping=told.is_set, sleep=told.wait)
    with run_hostile(sender) as url:
        timer = threading.Timer(0.5, told.set)
        timer.start()
        error, seconds = elapsed(lambda: client(url, deadline).get("/config"))
        timer.join()
    assert isinstance(error, RunStopped), error
    assert 0.4 < seconds < HANGS


def test_a_request_whose_answer_has_to_be_known_ends_by_its_own_limit_alone():
    stopped = Deadline(stopping=lambda: True)
    with run_stub(lambda *_: Answer(body=b"done")) as stub:
        with pytest.raises(RunStopped):
            client(stub.url, stopped).send("POST", "/rpc")
        assert client(stub.url, stopped).send("POST", "/rpc", finish=True).body == b"done"
    assert len(stub.asked) == 1


def test_an_answer_without_end_is_cut_off():
    with run_hostile(hostile.floods(b"x" * 65536)) as url:
        error, _ = elapsed(lambda: client(url).get("/metrics"))
    assert "answers with more than 33554432 bytes" in error.message


@pytest.mark.parametrize(
    "cut", [FULL[:-1], hostile.HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", FULL[:20]]
)
def test_half_an_answer_is_none(cut):
    with (
        run_hostile(hostile.says(cut)) as url,
        pytest.raises(StoreError, match=r"cannot be reached|cut short"),
    ):
        client(url).send("GET", "/config")
    with run_hostile(hostile.says(FULL)) as url:
        assert client(url).get("/config").text == "hello"


def test_a_compressed_answer_that_nobody_asked_for_is_refused():
    """A few kilobytes may unfold to gigabytes."""
    with (
        run_stub(lambda *_: Answer(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})) as stub,
        pytest.raises(StoreError, match="answers compressed"),
    ):
        client(stub.url).get("/")
    assert stub.asked[0][2]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_never_follow_a_redirect(status):
    with run_stub(lambda *_: Answer(body=b"hello")) as elsewhere:
        redirect = Answer(status, headers={"Location": f"{elsewhere.url}/config"})
        with run_stub(lambda *_: redirect) as stub:
            told = client(stub.url, bearer_token=lambda: "t0ken")
            assert told.send("GET", "/config").redirects
            with pytest.raises(StoreError, match="redirects to another address"):
                told.get("/config")
    assert elsewhere.asked == []


def test_nobody_at_the_address_is_told_from_somebody_who_breaks_off():
    (port,) = free_ports(1)
    with pytest.raises(HttpError) as nobody:
        client(f"http://127.0.0.1:{port}").send("GET", "/")
    with run_hostile(hostile.says(b"")) as url, pytest.raises(HttpError) as somebody:
        client(url).send("GET", "/")
    assert (nobody.value.reached, somebody.value.reached) == (False, True)


@pytest.fixture
def black_hole():
    """An address where packets get lost: a listener whose queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield "http://{}:{}".format(*listener.getsockname())


def test_an_address_that_swallows_packets_is_nobody_and_is_not_tried_again(black_hole):
    error, _ = elapsed(lambda: client(black_hole, timeout=3.0).get("/"))
    assert (error.reached, error.passes) == (False, False)
    assert error.reason == "cannot be reached: no answer in time"


# --- again, where that helps ----------------------------------------------------------------------------


def waits(answers, **options):
    """What was waited for between the answers, the last of which is returned."""
    waited, given = [], iter(answers)
    with run_stub(lambda *_: next(given)) as stub:
        http = client(stub.url, Deadline(sleep=waited.append), **options)
        answer = http.repeated(lambda: http.send("GET", "/"), blocked=60.0)
    return waited, answer


@pytest.mark.parametrize("status", sorted(http.PASSING))
def test_what_passes_is_asked_again_as_late_as_the_answer_says(status):
    later = Answer(status, headers={"Retry-After": "7"})
    waited, answer = waits([later, Answer(body=b"hello")])
    assert (waited, answer.text) == ([7.0], "hello")


def test_after_three_attempts_the_last_answer_stands():
    waited, answer = waits([Answer(503), Answer(429), Answer(504)])
    assert answer.status == 504
    assert waited[0] <= 0.25
    assert waited[1] == 60.0


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 500, 501])
def test_what_does_not_pass_is_not_asked_again(status):
    waited, answer = waits([Answer(status)])
    assert (waited, answer.status) == ([], status)


def test_a_request_that_took_too_long_is_not_tried_again():
    connections = []

    def counted(connection, over):
        connections.append(connection)
        hostile.DRIPPING_BODY(connection, over)

    with run_hostile(counted) as url:
        elapsed(lambda: client(url, timeout=0.5).get("/"))
    assert len(connections) == 1


def test_a_run_that_is_told_to_stop_between_two_attempts_makes_no_other():
    told = threading.Event()
    deadline = Deadline(stopping=told.is_set, sleep=lambda _seconds: told.set())
    with run_stub(lambda *_: Answer(503, headers={"Retry-After": "60"})) as stub:
        error, _ = elapsed(lambda: client(stub.url, deadline).get("/"))
    assert isinstance(error, RunStopped)
    assert len(stub.asked) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("7", 7), ("0.5", 0.5), ("-3", 0), ("9999999", 120), ("soon", None), ("nan", None)],
)
def test_retry_after_is_read_within_reason(value, seconds):
    headers = {} if value is None else {"Retry-After": value}
    assert http.Answer(url="http://x", status=429, headers=headers).retry_after() == seconds


def test_retry_after_may_be_a_date():
    headers = {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=40))}
    assert 35 < http.Answer(url="http://x", status=429, headers=headers).retry_after() <= 40


# --- who asks -------------------------------------------------------------------------------------------


def sent(**settings):
    """The headers of a request by the settings of an endpoint."""
    with run_stub(lambda *_: Answer(body=b"hello")) as stub:
        made = endpoint(stub.url, HttpSettings(**settings), setting="tempo.url", options="tempo.http")
        Http(made).get("/status/config")
        ((_, _, headers, _),) = stub.asked
    return headers


def test_a_password_that_is_not_ascii_is_sent_as_utf8():
    headers = sent(username="wayan", password="rahasia-é-密")
    kind, encoded = headers["Authorization"].split()
    assert (kind, base64.b64decode(encoded).decode("utf-8")) == ("Basic", "wayan:rahasia-é-密")


def test_headers_of_the_settings_are_sent_besides():
    headers = sent(headers={"X-Key": "k", "X-Scope-OrgID": "luxima"})
    assert (headers["X-Scope-OrgID"], headers["X-Key"]) == ("luxima", "k")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bearer_token": "a\nb"}, "line break"),
        ({"bearer_token": "é"}, "not ASCII"),
        ({"headers": {"X-Key": "é"}}, "the header X-Key .* not ASCII"),
    ],
)
def test_a_secret_that_fits_into_no_header_is_said_before_anything_is_asked(options, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        endpoint("http://127.0.0.1:9", HttpSettings(**options), setting="tempo.url", options="tempo.http")
    assert "tempo.http" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read: No such file"), (b"S3CRET", "holds no certificate")],
)
def test_a_ca_file_that_is_wrong_is_named_with_its_setting_before_anything_is_asked(tmp_path, content, said):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    settings = HttpSettings(ca_file=str(path))
    with pytest.raises(ConfigurationError, match=said) as caught:
        endpoint("http://127.0.0.1:9", settings, setting="tempo.url", options="tempo.http")
    assert "tempo.http" in f"{caught.value.message} {caught.value.hint}"
    assert "S3CRET" not in f"{caught.value.message} {caught.value.hint}"
