"""Secrets stay out of errors, logs, JSON, ledger and tracebacks; names and figures stay in."""

from __future__ import annotations

import json
import re
import traceback
from datetime import UTC, datetime

import pytest

from luxima_retention.cli import Context, _fault
from luxima_retention.cli.log import sayer
from luxima_retention.core import redact
from luxima_retention.core.errors import ExitCode, StoreError
from luxima_retention.core.plan import Finding, Level
from luxima_retention.core.redact import Redactor, is_distinctive, passwords_in
from luxima_retention.core.results import RunResult, to_json
from luxima_retention.evidence.ledger import entry
from tests.ledgers import Raw

NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "no connection to postgresql://job:hunter2@db:5432/luxima",
        "no connection to postgresql://job:hunter2@TOPSECRET/pa#ss@db.example.test:5432/luxima",
        "postgres://job:p@hunter2@db/luxima refused",
        "Get https://user:hunter2@loki.example/ready failed",
        "Get 'http://hunter2@pushgateway:9091/metrics' failed",
        "host=db user=job password=hunter2 dbname=luxima",
        "host=db password='it\\'s hunter2' dbname=luxima",
        "host=db password = hunter2",
        'invalid dsn: PASSWORD="hunter2"',
        "postgresql://db/luxima?user=job&password=hunter2&sslmode=require",
        "sslpassword=hunter2",
        "PGPASSWORD=hunter2 psql",
    ],
)
def test_what_looks_like_a_password_is_masked_without_being_known(text):
    for masked in (Redactor().sentence(text), Redactor().value(text)):
        assert not any(part in masked for part in ("hunter2", "TOPSECRET", "pa#ss"))
        assert "***" in masked
        assert masked.split()[0][:4] == text.split()[0][:4]


@pytest.mark.parametrize(
    "text",
    [
        "s3://archive/tenant@luxima.id/part-1.zst",
        "http://prometheus:9090/graph/@me",
        "postgresql://job@db:5432/luxima",
        "postgresql://db:5432/luxima?application_name=a@b",
        "s3://loki/fake/a:b@c",
        "core.audit_log: 5 records, ask devops@luxima.id",
        "set password in loki.http",
        "limit = 5, 25 % of 20",
        "",
    ],
)
def test_what_is_no_password_stays(text):
    assert Redactor().sentence(text) == Redactor().value(text) == text


SECRET = "geheim@TOPSECRET/pa#ss-w%rd"


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        "geheim%40TOPSECRET%2Fpa%23ss-w%25rd",
        'could not translate host name "TOPSECRET"',
        'invalid integer value "ss-w%rd" for connection option "port"',
        "/TOPSECRET/",
        "xTOPSECRETx",
    ],
)
def test_a_known_secret_its_parts_and_its_quoted_forms_are_masked(shown):
    masked = Redactor([SECRET]).sentence(f"it said {shown} and ended")
    assert not any(part in masked for part in ("geheim", "TOPSECRET", "ss-w%rd", "ss-w%25rd"))
    assert masked.startswith("it said ")
    assert masked.endswith(" and ended")


def test_the_password_of_a_known_connection_string_is_known():
    redactor = Redactor(["postgresql://job:hunter2%40x@db.luxima/retention", "host=h password=swordfish"])
    assert redactor.sentence("wrong: hunter2@x, hunter2%40x, swordfish") == "wrong: ***, ***, ***"
    assert redactor.sentence("db.luxima does not answer to job") == "db.luxima does not answer to job"


@pytest.mark.parametrize(
    "dsn", ["host=db.luxima user=retention dbname=records", "postgresql://db.luxima/records"]
)
def test_the_rest_of_a_connection_string_is_not_a_secret(dsn):
    said = "sslrootcert of database.dsn cannot be read; db.luxima, retention, records"
    assert Redactor([dsn]).sentence(said) == said


def test_a_word_as_a_password_does_not_change_the_names_of_things():
    redactor = Redactor(["audit", "postgres", "s3cr3t-Key-1", "abc"])
    assert redactor.value("core.audit_log of postgres, abc") == "core.audit_log of postgres, abc"
    assert redactor.value("key s3cr3t-Key-1") == "key ***"
    assert redactor.sentence("password audit is wrong for abc") == "password *** is wrong for abc"


def test_a_short_secret_stays_in_values_and_goes_from_sentences():
    redactor = Redactor(["ab-1234"])
    assert (redactor.value("x ab-1234"), redactor.sentence("x ab-1234")) == ("x ab-1234", "x ***")


@pytest.mark.parametrize("written", ["ab/c d", "ab%2Fc%20d", "ab/c%20d"])
def test_a_secret_is_masked_however_a_url_writes_it(written):
    assert Redactor(["ab/c d"]).sentence(f"<{written}>") == "<***>"
    assert Redactor(["ab%2Fc%20d"]).sentence("<ab/c d>") == "<***>"


def test_what_a_url_writes_otherwise_is_known_as_well():
    assert Redactor(["pässwört1"]).sentence("<p%C3%A4ssw%C3%B6rt1>") == "<***>"
    assert Redactor(["ab%2fc%2dd"]).sentence("<ab/c-d>") == "<***>"
    assert Redactor(["%ff%fe-secret"]).sentence("<%ff%fe-secret>") == "<***>"


@pytest.mark.parametrize(
    ("secret", "shown", "masked"),
    [
        ("abcd", "abcd", True),
        ("abc", "abc", False),
        ("a/sixsix", "sixsix", True),
        ("a/fives", "fives", False),
    ],
)
def test_what_is_too_short_to_be_told_from_words_stays(secret, shown, masked):
    assert Redactor([secret]).sentence(f"<{shown}>") == ("<***>" if masked else f"<{shown}>")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("postgresql://u:pa:ss@h/", ["pa:ss"]),
        ("postgresql://u:@h/", []),
        ("postgresql://u@h/", []),
        ("host=h password='sword fish'", ["sword fish"]),
        ('password = "swordfish" user=u', ["swordfish"]),
        ("password=sword=fish", ["sword=fish"]),
        ("password=XswordX", ["XswordX"]),
    ],
)
def test_the_passwords_in_a_text(text, found):
    assert list(passwords_in(text)) == found


@pytest.mark.parametrize(
    ("form", "is_one"),
    [("abc-1234", True), ("abc-123", False), ("postgres", False), ("POSTGRES_DB", False), ("PostgreS", True)],
)
def test_what_no_ordinary_word_is(form, is_one):
    assert is_distinctive(form) is is_one


def test_before_any_secret_is_known_nothing_but_shapes_is_masked():
    known = redact._Known()
    assert known.secrets == frozenset()
    assert known.redactor.sentence("a plain text; password=hunter2") == "a plain text; password=***"


def test_of_two_secrets_the_longer_one_is_masked_as_a_whole():
    assert Redactor(["abcd", "abcdefgh"]).sentence("abcdefgh") == "***"


def test_json_loses_secrets_from_its_texts_and_keeps_its_keys_and_figures():
    redactor = Redactor(["swordfish", "1234"])
    value = {
        "swordfish": 1234,
        "target": "core.swordfish",
        "hint": "say swordfish",
        "warnings": ["swordfish", {"deep": "swordfish"}],
        "at": ("https://u:pw@h/",),
    }
    assert redactor.tree(value) == {
        "swordfish": 1234,
        "target": "core.swordfish",
        "hint": "say ***",
        "warnings": ["***", {"deep": "***"}],
        "at": ["https://***@h/"],
    }


# --- the places that everything passes ------------------------------------------------------------------


@pytest.fixture
def known():
    redact.know(["swordfish-99"])


@pytest.mark.usefixtures("known")
def test_an_error_and_its_traceback_show_none():
    error = StoreError("the server says: bad swordfish-99", "not swordfish-99")
    assert (error.message, error.hint, str(error)) == ("the server says: bad ***", "not ***", error.message)
    assert "swordfish" not in "".join(traceback.format_exception(error)).replace('bad swordfish-99"', "")


@pytest.mark.usefixtures("known")
def test_a_fault_of_ours_shows_none_in_its_traceback(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["luxima-retention", "--log-level", "debug"])
    assert _fault(ValueError("bad swordfish-99")) is ExitCode.FAULT
    assert "ValueError: bad ***" in capsys.readouterr().err


@pytest.mark.usefixtures("known")
def test_an_event_shows_none(capsys):
    sayer(Context(log_level="debug"))("run.ended", target="core.x", said="bad swordfish-99", rows=3)
    event = json.loads(capsys.readouterr().err)
    assert (event["said"], event["target"], event["rows"]) == ("bad ***", "core.x", 3)


@pytest.mark.usefixtures("known")
def test_an_event_on_a_terminal_is_in_words(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    sayer(Context(log_level="info"), invocation="i")("run.ended", said="bad swordfish-99", rows=3)
    told = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)
    instant, *words = told.split()
    assert words == ["[info", "]", "run.ended", "invocation=i", "rows=3", "said='bad", "***'"]
    assert datetime.fromisoformat(instant).tzinfo is UTC
    sayer(Context())("run.ended")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("level", "shown"), [("info", False), ("debug", True)])
@pytest.mark.usefixtures("known")
def test_a_fault_is_an_event_with_its_traceback_for_whoever_asks(level, shown, capsys):
    sayer(Context(log_level=level))("fault", policy="p", exc_info=ValueError("bad swordfish-99"))
    event = json.loads(capsys.readouterr().err)
    assert (event["event"], event["policy"], event["level"]) == ("fault", "p", "info")
    assert event.get("error") == (None if shown else "ValueError")
    assert ("ValueError: bad ***" in event.get("exception", "")) is shown


@pytest.mark.usefixtures("known")
def test_a_finding_an_entry_and_a_result_show_none():
    finding = Finding(code="x", level=Level.INFO, message="is swordfish-99", hint="was swordfish-99")
    assert (finding.message, finding.hint) == ("is ***", "was ***")
    made = entry.make(
        Raw("run.refused", sentence="swordfish-99", a=["swordfish-99"]),
        policy=None,
        at=NOW,
        seq=1,
        previous="0",
    )
    assert b"swordfish" not in made.data
    assert made.body == {"sentence": "***", "a": ["***"]}
    result = RunResult(now=NOW, dry_run=True, as_of=None, policies=(), warnings=("swordfish-99",))
    assert "swordfish" not in json.dumps(to_json(result))


@pytest.mark.usefixtures("known")
def test_what_is_known_is_replaced_and_can_be_added_to():
    redact.learn("another-1")
    assert redact.redacted("swordfish-99 another-1") == "*** ***"
    redact.know(["another-1"])
    assert redact.redacted("swordfish-99 another-1") == "swordfish-99 ***"
