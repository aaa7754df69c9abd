"""Tempo's retention beside the policy: recorded answers of 2.10.0 and 3.0.3, and changes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from luxima_retention.core.deadline import UNLIMITED
from luxima_retention.core.durations import go_seconds
from luxima_retention.core.errors import ConfigurationError, ExitCode, RunStopped, StoreError
from luxima_retention.core.plan import Level, Request, cutoff_at
from luxima_retention.core.promise import Mode
from luxima_retention.stores.tempo import reading
from luxima_retention.stores.tempo.options import TempoPolicy
from luxima_retention.stores.tempo.reading import Applied, Facts, Override
from luxima_retention.stores.tempo.store import open_tempo
from luxima_retention.stores.tempo.verdict import judge
from tests.servers import hostile
from tests.servers.hostile import run_hostile
from tests.servers.process import free_ports
from tests.servers.stub import Answer, run_stub

DATA = Path(__file__).parents[1] / "data" / "tempo"
VERSIONS = ["2.10.0", "3.0.3"]
PLACES = {
    "2.10.0": "compactor.compaction.block_retention",
    "3.0.3": "backend_worker.compaction.block_retention",
}
SERVICES = {"2.10.0": "compactor", "3.0.3": "backend-worker"}
DAY = 86_400

TRACES = {"kind": "tempo", "retention_days": 14}


def request(days):
    now = datetime.now(UTC)
    return Request(policy="traces", retention_days=days, cutoff=cutoff_at(days, now), now=now)


def serving(version, /, **changed):
    """The recorded Tempo; a page can be replaced, or one text in it by another."""

    def answer(_method, path, *_):
        page = path.removeprefix("/status/")
        change = changed.get(page)
        if isinstance(change, Answer):
            return change
        text = (DATA / version / f"{page}.txt").read_text()
        if change is not None:
            assert change[0] in text
            text = text.replace(*change)
        return Answer(body=text.encode(), headers={"Content-Type": "text/plain"})

    return run_stub(answer)


def survey(url, *, days=30, mode="exact", **http):
    store = open_tempo(TempoPolicy(**TRACES, url=url, mode=mode, http=http))
    found = store.survey(request(days))
    store.close()
    return found


def codes(found):
    return [(item.code, item.level.exit_code) for item in found.findings]


# --- as recorded ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_a_tenant_with_a_shorter_period_is_drift(version):
    with serving(version) as stub:
        found = survey(stub.url)
    assert codes(found) == [("too-short", ExitCode.DRIFT), ("compliant", ExitCode.DONE)]
    short, rest = found.findings
    assert "traces of tenant short-tenant go after 7 days" in short.message
    assert "the policy says 30 days" in short.message
    assert short.hint == "set block_retention to 720h there"
    assert f"every other tenant go after 30 days, by {PLACES[version]}" in rest.message
    assert found.evidence["version"] == version
    assert found.evidence["storage"] == "local:/var/tempo/blocks"
    assert found.evidence[f"{PLACES[version]}.seconds"] == 30 * DAY
    assert found.evidence["shortest_seconds"] == 7 * DAY
    assert (found.expired, found.identity.fingerprint) == (0, "local:/var/tempo/blocks")
    assert {method for method, *_ in stub.asked} == {"GET"}


@pytest.mark.parametrize("version", VERSIONS)
def test_without_that_tenant_everything_fits(version):
    with serving(version, runtime_config=("block_retention: 1w", "block_retention: 4w2d")) as stub:
        found = survey(stub.url)
    assert codes(found) == [("compliant", ExitCode.DONE)]
    assert "3 with limits of their own among them, fit the 30 days" in found.findings[0].message


@pytest.mark.parametrize("version", VERSIONS)
def test_a_longer_period_of_all_is_drift_for_all_without_their_own(version):
    with serving(version, config=("block_retention: 720h0m0s", "block_retention: 768h0m0s")) as stub:
        found = survey(stub.url)
    messages = [item.message for item in found.findings if item.code == "too-long"]
    assert len(messages) == 2
    assert "every other tenant go after 32 days" in messages[0]
    assert "tenant other-limits go after 32 days" in messages[1]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_process_that_deletes_nothing_is_no_verdict(version):
    service = SERVICES[version]
    pad = " " * len(service)
    with serving(version, services=(f"| {service} ", f"| {pad} ")) as stub:
        found = survey(stub.url)
    assert codes(found) == [("retention-elsewhere", ExitCode.INCOMPLETE)]
    assert "querier" in found.findings[0].message


@pytest.mark.parametrize("version", VERSIONS)
def test_a_service_that_does_not_run_deletes_nothing(version):
    row = next(
        line
        for line in (DATA / version / "services.txt").read_text().splitlines()
        if f"| {SERVICES[version]} " in line
    )
    with serving(version, services=(row, row.replace("Running", " Failed"))) as stub:
        assert codes(survey(stub.url)) == [("retention-elsewhere", ExitCode.INCOMPLETE)]


def test_identity_and_clock():
    with serving("3.0.3") as stub:
        store = open_tempo(TempoPolicy(**TRACES, url=stub.url))
        assert store.identity().target == stub.url
        assert store.identity().fingerprint == "local:/var/tempo/blocks"
        assert abs((store.clock() - datetime.now(UTC)).total_seconds()) < 5
        assert store.preflight(request(30)) == ()


def test_a_gateway_gets_the_headers_it_wants():
    with serving("3.0.3") as stub:
        survey(stub.url, headers={"X-Scope-OrgID": "luxima"}, bearer_token="t0ken")
    for _, _, headers, _ in stub.asked:
        assert (headers["X-Scope-OrgID"], headers["Authorization"]) == ("luxima", "Bearer t0ken")


# --- what is no answer of Tempo -------------------------------------------------------------------------

PAGE = Answer(body=b"<!doctype html><title>Sign in</title>", headers={"Content-Type": "text/html"})


@pytest.mark.parametrize("page", ["version", "services", "config", "runtime_config"])
@pytest.mark.parametrize(
    "given",
    [
        PAGE,
        Answer(302, headers={"Location": "https://login.example/"}),
        Answer(401),
        Answer(404),
        Answer(500),
        Answer(body=b""),
        Answer(body=b"GET /status/config\n---\n- a\n- b\n"),
        Answer(body=b"GET /status/config\n---\n{"),
        Answer(body=b"overrides module not loaded in querier\n"),
        Answer(cut=True),
    ],
    ids=["html", "302", "401", "404", "500", "empty", "list", "no yaml", "not loaded", "cut"],
)
def test_what_is_not_tempos_answer_is_an_error_and_never_a_verdict(page, given):
    with serving("3.0.3", **{page: given}) as stub, pytest.raises(StoreError) as caught:
        survey(stub.url)
    assert caught.value.exit_code is ExitCode.INCOMPLETE
    assert caught.value.hint


@pytest.mark.parametrize(
    ("page", "change", "said"),
    [
        (
            "config",
            ("backend_worker:", "backend_walker:"),
            "backend_worker.compaction.block_retention is not",
        ),
        ("config", ("block_retention: 720h0m0s", "block_retention: soon"), "'soon' is not a duration"),
        ("config", ("block_retention: 720h0m0s", "block_retention: 720"), "'720' is not a duration"),
        ("runtime_config", ("block_retention: 1w", "block_retention: -1w"), "'-1w' is not a duration"),
        ("runtime_config", ("overrides:\n", "overrides: all\nx:\n"), "overrides is not a table"),
        ("version", ("tempo, version", "loki, version"), "names no version of Tempo"),
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error_with_its_reason(page, change, said):
    with (
        serving("3.0.3", **{page: change}) as stub,
        pytest.raises(StoreError, match="cannot be read") as caught,
    ):
        survey(stub.url)
    assert said in caught.value.message


def test_nobody_at_the_address():
    (port,) = free_ports(1)
    with pytest.raises(StoreError, match="cannot be reached: connection refused") as caught:
        survey(f"http://127.0.0.1:{port}")
    assert caught.value.exit_code is ExitCode.INCOMPLETE


def test_a_server_that_drips_does_not_hold_the_run():
    with run_hostile(hostile.DRIPPING_BODY) as url:
        store = open_tempo(TempoPolicy(**TRACES, url=url), UNLIMITED.within(0.5))
        with pytest.raises(RunStopped):
            store.survey(request(30))


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "tempo:3200"},
        {"url": "http://user:secret@tempo:3200"},
        {"url": "http://tempo:3200", "http": {"username": "a"}},
        {"url": "http://tempo:3200", "mode": "about"},
        {"urls": "http://tempo:3200"},
    ],
)
def test_settings_that_make_no_sense_are_refused_without_a_secret(wrong):
    with pytest.raises(ValidationError) as caught:
        TempoPolicy(**TRACES, **wrong)
    assert "secret" not in str(caught.value)


def test_unconfigured_is_no_store_and_a_missing_file_is_said_at_once(tmp_path):
    assert open_tempo(TempoPolicy(**TRACES)) is None
    there = {"bearer_token_file": str(tmp_path / "none")}
    with pytest.raises(ConfigurationError, match="cannot be read"):
        open_tempo(TempoPolicy(**TRACES, url="http://127.0.0.1:9", http=there))


# --- the rules ------------------------------------------------------------------------------------------

WORKER = Applied(service="backend-worker", setting="worker", seconds=30 * DAY)
COMPACTOR = Applied(service="compactor", setting="compactor", seconds=14 * DAY)


def verdicts(days=30, mode=Mode.EXACT, applied=(WORKER,), defaults=None, **tenants):
    facts = Facts(
        version="3.0.3",
        services=("backend-worker",),
        applied=applied,
        defaults=defaults or Override(),
        tenants={name.replace("star", "*"): limits for name, limits in tenants.items()},
    )
    return [item.code for item in judge(facts, days, mode) if item.level is not Level.INFO]


@pytest.mark.parametrize(
    ("days", "mode", "code"),
    [
        (29, Mode.EXACT, ["too-long"]),
        (30, Mode.EXACT, []),
        (31, Mode.EXACT, ["too-short"]),
        (29, Mode.MINIMUM, []),
        (31, Mode.MINIMUM, ["too-short"]),
        (29, Mode.MAXIMUM, ["too-long"]),
        (31, Mode.MAXIMUM, []),
    ],
)
def test_below_at_and_above_the_policy(days, mode, code):
    assert verdicts(days, mode) == code


WEEK, SAME, NONE = Override(seconds=7 * DAY), Override(seconds=30 * DAY), Override()
OFF = Override(seconds=30 * DAY, disabled=True)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"defaults": WEEK}, ["too-short"]),
        ({"defaults": WEEK, "a": SAME}, ["too-short"]),
        # The wildcard takes the place of the defaults, and a tenant's own limits that of both.
        ({"defaults": WEEK, "star": SAME}, []),
        ({"defaults": WEEK, "star": NONE}, []),
        ({"star": WEEK}, ["too-short"]),
        ({"defaults": WEEK, "star": SAME, "a": WEEK}, ["too-short"]),
        # Limits of one's own without a period leave it to the process, whatever the defaults say.
        ({"defaults": SAME, "a": NONE, "applied": (COMPACTOR,)}, ["too-short"]),
        ({"a": WEEK, "b": WEEK, "c": SAME}, ["too-short", "too-short"]),
        ({"a": OFF}, ["too-long"]),
        ({"defaults": OFF}, ["too-long"]),
        ({"a": OFF, "mode": Mode.MINIMUM}, []),
        # Two processes delete: each has to fit.
        ({"applied": (WORKER, COMPACTOR)}, ["too-short"]),
        (
            {"applied": (Applied(service="compactor", setting="c", seconds=30 * DAY, disabled=True),)},
            ["too-long"],
        ),
        ({"applied": (Applied(service="compactor", setting="c", seconds=0),)}, ["too-short"]),
    ],
)
def test_where_the_period_of_a_tenant_comes_from(given, code):
    assert verdicts(**given) == code


def test_many_tenants_are_counted_and_not_lost():
    found = verdicts(**{f"t{number:02}": WEEK for number in range(25)})
    assert found == ["too-short"] * 10 + ["more-tenants"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("720h0m0s", 30 * DAY),
        ("30d", 30 * DAY),
        ("4w2d", 30 * DAY),
        ("1y", 365 * DAY),
        ("0s", 0),
        (0, 0),
        ("1.5h", 5400),
        ("1m30s", 90),
        ("250ms", 0.25),
    ],
)
def test_durations_as_tempo_prints_them(text, seconds):
    assert go_seconds(str(text)) == seconds


@pytest.mark.parametrize("text", ["", "30", "soon", "30 d", "d", "-1h", "1h-", None])
def test_what_is_no_duration_is_an_error(text):
    with pytest.raises(ValueError, match="not a duration"):
        go_seconds(str(text))


def test_the_flat_limits_of_older_servers_are_read_too():
    runtime = {
        "defaults": {"block_retention": "1w"},
        "overrides": {"a": {"compaction_disabled": True}, "b": None},
    }
    defaults, tenants = reading.overrides(runtime)
    assert defaults == WEEK
    assert tenants == {"a": Override(disabled=True)}


@pytest.mark.parametrize(
    ("trace", "place"),
    [
        ({"backend": "s3", "s3": {"bucket": "traces", "prefix": ""}}, "s3:traces"),
        ({"backend": "s3", "s3": {"bucket": "traces", "prefix": "x"}}, "s3:traces/x"),
        ({"backend": "gcs", "gcs": {"bucket_name": "traces"}}, "gcs:traces"),
        ({"backend": "azure", "azure": {"container_name": "traces"}}, "azure:traces"),
    ],
)
def test_where_the_blocks_lie_tells_one_tempo_from_another(trace, place):
    assert reading.storage({"storage": {"trace": trace}}) == place
