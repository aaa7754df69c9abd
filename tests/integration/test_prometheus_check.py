"""The check against real Prometheus and VictoriaMetrics servers, and against what may stand before them."""

import json
import shutil
import subprocess
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import requests
from pydantic import SecretStr, ValidationError

from luxima_retention.core.errors import ConfigurationError, ExitCode, StoreError
from luxima_retention.core.plan import Request, cutoff_at
from luxima_retention.core.promise import Mode
from luxima_retention.stores.prometheus.options import PrometheusPolicy
from luxima_retention.stores.prometheus.store import open_prometheus
from tests.servers.process import Process, free_ports, listening, scratch, wait_until
from tests.servers.programs import find_program
from tests.servers.stub import Answer, run_stub
from tests.servers.victoriametrics import run_victoriametrics

TIME = "--storage.tsdb.retention.time="
SIZE = "--storage.tsdb.retention.size="


def request(days=60):
    now = datetime.now(UTC)
    return Request(policy="metrics", retention_days=days, cutoff=cutoff_at(days, now), now=now)


CHECKED = {"kind": "prometheus", "retention_days": 60}


def survey(url, *, days=60, mode=Mode.EXACT, **settings):
    """The survey of one replica through the settings, as the job makes it."""
    (store,) = open_prometheus(PrometheusPolicy(**CHECKED, urls=(url,), mode=mode, http=settings))
    with closing(store):
        return store.survey(request(days))


def opened(url):
    (store,) = open_prometheus(PrometheusPolicy(**CHECKED, urls=(url,)))
    return store


@pytest.fixture
def history(tmp_path):
    """Makes a TSDB that holds a sample every four hours between two ages in days."""

    def make(oldest, newest=0.1):
        now = datetime.now(UTC)
        ages = [oldest - 4 / 24 * n for n in range(int((oldest - newest) * 6) + 1)]
        lines = [f"temperature 1 {(now - timedelta(days=age)).timestamp():.0f}" for age in ages]
        source = tmp_path / "samples.txt"
        source.write_text("\n".join(["# TYPE temperature gauge", *lines, "# EOF", ""]))
        command = [find_program("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=24h"]
        data = tmp_path / "tsdb"
        subprocess.run([*command, "openmetrics", source, data], check=True, capture_output=True)
        return data

    return make


@pytest.mark.parametrize(
    ("flags", "verdict", "exit_code", "stated"),
    [
        ((), "too-short", ExitCode.DRIFT, "15d"),
        ((TIME + "60d",), "not-yet-provable", ExitCode.DONE, "60d"),
        ((TIME + "1440h",), "not-yet-provable", ExitCode.DONE, "60d"),
        ((TIME + "8w4d",), "not-yet-provable", ExitCode.DONE, "60d"),
        ((TIME + "15d",), "too-short", ExitCode.DRIFT, "15d"),
        ((TIME + "70d",), "too-long", ExitCode.DRIFT, "10w"),
        ((SIZE + "10GB",), "size-bound", ExitCode.DRIFT, "10GiB"),
        ((TIME + "60d", SIZE + "10GB"), "not-yet-provable", ExitCode.DONE, "60d or 10GiB"),
    ],
    ids=["nothing", "60d", "1440h", "8w4d", "15d", "70d", "size only", "both"],
)
def test_a_fresh_server_gets_its_verdict(prometheus_factory, flags, verdict, exit_code, stated):
    found = survey(prometheus_factory(*flags).url)
    (finding,) = found.findings
    assert (finding.code, finding.level.exit_code) == (verdict, exit_code), finding.message
    assert found.evidence["runtimeinfo.storageRetention"] == stated
    assert found.evidence["product"] == "Prometheus"
    assert found.expired == 0


@pytest.mark.parametrize(
    ("flags", "ages", "verdict"),
    [
        ((TIME + "60d",), (61,), "compliant"),
        ((TIME + "8w4d", SIZE + "10GB"), (61,), "compliant"),
        ((TIME + "60d",), (30,), "not-yet-provable"),
        ((TIME + "60d", SIZE + "15KB"), (30,), "size-bound"),
        # What is there counts from the newest block: a server that was down for long deletes nothing.
        ((TIME + "60d",), (90, 40), "too-long"),
    ],
    ids=["60 days there", "and a size", "30 days there", "size reached", "silent for 40 days"],
)
def test_what_is_really_there_decides(prometheus_factory, history, flags, ages, verdict):
    found = survey(prometheus_factory(*flags, data=history(*ages)).url)
    (finding,) = found.findings
    assert finding.code == verdict, finding.message
    if verdict != "size-bound":
        age = found.store_clock - found.oldest
        assert timedelta(days=ages[0] - 1) < age < timedelta(days=ages[0], hours=1)


def test_each_replica_is_asked_by_itself(prometheus_factory):
    servers = [prometheus_factory(TIME + days) for days in ("60d", "15d")]
    stores = open_prometheus(
        PrometheusPolicy(
            kind="prometheus", retention_days=60, urls=",".join(server.url for server in servers)
        )
    )
    found = [store.survey(request()) for store in stores]
    assert [item.findings[0].code for item in found] == ["not-yet-provable", "too-short"]
    assert [item.identity.target for item in found] == [server.url for server in servers]
    for store in stores:
        store.close()


def test_external_labels_tell_replicas_apart(prometheus_factory):
    config = "global:\n  scrape_interval: 1h\n  external_labels: {replica: a, cluster: production}\n"
    with closing(opened(prometheus_factory(config=config).url)) as store:
        assert store.identity().fingerprint == "cluster=production,replica=a"
        assert store.preflight(request()) == ()
        assert abs(store.clock() - datetime.now(UTC)) < timedelta(seconds=3)
    with closing(opened(prometheus_factory().url)) as store:
        assert [finding.code for finding in store.preflight(request())] == ["no-external-labels"]


def test_an_agent_keeps_nothing():
    home = scratch("agent")
    (port,) = free_ports(1)
    (home / "prometheus.yml").write_text("global: {scrape_interval: 1h}\n")
    url = f"http://127.0.0.1:{port}"
    flags = ["--enable-feature=agent", f"--storage.agent.path={home / 'data'}"]
    with server(home, port, *flags, answers=ready):
        (finding,) = survey(url).findings
    assert (finding.code, finding.level.exit_code) == ("agent", ExitCode.INCOMPLETE)


def test_victoriametrics_is_not_taken_for_prometheus():
    with run_victoriametrics("-retentionPeriod=60d") as url:
        found = survey(url)
    (finding,) = found.findings
    assert (finding.code, finding.level.exit_code) == ("unsupported", ExitCode.INCOMPLETE)
    assert "VictoriaMetrics answers here, whose retentionPeriod is 60d" in finding.message


# --- credentials, prefix and TLS of a real server -------------------------------------------------------

#: bcrypt, cost 4, of "s3cret"
HASH = "$2b$04$2GxyP1mmzaOQi/k6b86y7.9quq8Sua98kyO28YkkDMVdjLOieM3d6"


@contextmanager
def server(home, port, *flags, answers=None):
    """A Prometheus; where its readiness cannot be asked without credentials, its port is."""
    command = [find_program("prometheus"), f"--config.file={home / 'prometheus.yml'}"]
    process = Process(
        [*command, f"--web.listen-address=127.0.0.1:{port}", *flags],
        directory=home,
        ready=lambda: answers(port) if answers else listening(port),
    )
    try:
        yield
    finally:
        process.stop()
        shutil.rmtree(home)


def ready(port):
    try:
        return requests.get(f"http://127.0.0.1:{port}/-/ready", timeout=2).ok
    except requests.RequestException:
        return False


@pytest.fixture
def guarded():
    """A server with a path prefix, TLS and basic authentication: address, CA file."""
    home = scratch("tls")
    (port,) = free_ports(1)
    ca = certificates(home)
    (home / "prometheus.yml").write_text("global: {scrape_interval: 1h}\n")
    tls = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"
    (home / "web.yml").write_text(f"{tls}basic_auth_users: {{retention: '{HASH}'}}\n")
    flags = [f"--web.config.file={home / 'web.yml'}", "--web.route-prefix=/prom", TIME + "60d"]
    url = f"https://localhost:{port}/prom"
    with server(home, port, *flags, f"--storage.tsdb.path={home / 'data'}"):
        assert wait_until(lambda: is_ready(url, ca)), "the guarded server does not get ready"
        yield url, ca


def is_ready(url, ca):
    """It listens before it serves, and answers 503 meanwhile."""
    return requests.get(f"{url}/-/ready", verify=ca, auth=("retention", "s3cret"), timeout=5).ok


def certificates(home):
    """A CA of our own and a certificate of localhost: cert.pem, key.pem, and the CA's file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.now(UTC)

    def certificate(name, issuer, key, signer, *, ca):
        builder = x509.CertificateBuilder(
            subject_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]),
            issuer_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(days=1),
            not_valid_after=now + timedelta(days=1),
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        return builder.add_extension(names, critical=False).sign(signer, hashes.SHA256())

    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    (home / "ca.pem").write_bytes(certificate("Test CA", "Test CA", root, root, ca=True).public_bytes(pem))
    (home / "cert.pem").write_bytes(
        certificate("localhost", "Test CA", own, root, ca=False).public_bytes(pem)
    )
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (home / "key.pem").write_bytes(own.private_bytes(pem, *private))
    return str(home / "ca.pem")


def test_prefix_tls_and_basic_authentication(guarded):
    url, ca = guarded
    login = {"username": "retention", "password": SecretStr("s3cret")}
    found = survey(url, ca_file=ca, **login)
    assert found.findings[0].code == "not-yet-provable"

    with pytest.raises(StoreError, match="certificate that is not trusted"):
        survey(url, **login)
    with pytest.raises(StoreError, match="answers 401"):
        survey(url, ca_file=ca)
    with pytest.raises(StoreError) as caught:
        survey(url, ca_file=ca, username="retention", password=SecretStr("wrong-one"))
    assert "401" in caught.value.message
    assert "wrong-one" not in f"{caught.value.message} {caught.value.hint}"
    with pytest.raises(StoreError, match="answers 404"):
        survey(url.removesuffix("/prom"), ca_file=ca, **login)


# --- what may answer instead ----------------------------------------------------------------------------

LOGIN_PAGE = Answer(body=b"<!doctype html><title>Sign in</title>", headers={"Content-Type": "text/html"})
BUILD = {"version": "3.11.0"}
METRICS = "prometheus_build_info 1\nprometheus_tsdb_retention_limit_seconds 5184000\n"


def answering(**changed):
    """A server that says all that a compliant one does, with some of its answers replaced."""
    oldest = (datetime.now(UTC) - timedelta(days=62)).timestamp()
    answers = {
        "buildinfo": BUILD,
        "runtimeinfo": {"storageRetention": "60d", "startTime": "2026-11-01T00:00:00.123456789Z"},
        "flags": {"storage.tsdb.retention.time": "60d"},
        "config": {"yaml": ""},
        "metrics": METRICS + f"prometheus_tsdb_lowest_timestamp_seconds {oldest}\n",
    } | changed

    def answer(_method, path, *_):
        given = answers[path.rpartition("/")[2]]
        if isinstance(given, Answer):
            return given
        text = given if isinstance(given, str) else json.dumps({"status": "success", "data": given})
        kind = "text/plain" if isinstance(given, str) else "application/json"
        return Answer(body=text.encode(), headers={"Content-Type": kind})

    return run_stub(answer)


def test_the_stand_in_is_compliant_where_nothing_is_replaced():
    with answering() as stub:
        (finding,) = survey(stub.url).findings
    assert finding.code == "compliant", finding.message
    assert {method for method, *_ in stub.asked} == {"GET"}


@pytest.mark.parametrize("what", ["buildinfo", "runtimeinfo", "flags", "config", "metrics"])
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (LOGIN_PAGE, "HTML page"),
        (Answer(302, headers={"Location": "https://login.example/"}), "redirects"),
        (Answer(401), "answers 401"),
        (Answer(403), "answers 403"),
        (Answer(404), "answers 404"),
        (Answer(503, b"overloaded"), "answers 503"),
        (Answer(200, cut=True), "cannot be reached"),
    ],
    ids=["html", "redirect", "401", "403", "404", "503", "cut"],
)
def test_what_is_not_an_answer_is_never_a_verdict(what, given, sentence):
    with answering(**{what: given}) as stub, pytest.raises(StoreError, match=sentence) as caught:
        survey(stub.url)
    assert caught.value.exit_code is ExitCode.INCOMPLETE
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"runtimeinfo": Answer(body=b"{}")}, "does not answer as Prometheus"),
        ({"runtimeinfo": Answer(body=b"null")}, "does not answer as Prometheus"),
        ({"runtimeinfo": Answer(body=b'{"status": "success"}')}, "without data"),
        ({"runtimeinfo": Answer(body=b"OK")}, "does not answer with JSON"),
        ({"runtimeinfo": {"storageRetention": "for a while"}}, "is not a duration"),
        ({"runtimeinfo": {"storageRetention": "60d", "startTime": "yesterday"}}, "cannot be read"),
        ({"metrics": "up 1\n"}, "does not say which server it is"),
        ({"metrics": "prometheus_build_info 1\n", "runtimeinfo": {}}, "has no retention"),
        ({"buildinfo": {}}, "cannot be read: '' is not a version"),
    ],
)
def test_an_answer_that_says_nothing_is_an_error(changed, sentence):
    with answering(**changed) as stub, pytest.raises(StoreError, match=sentence):
        survey(stub.url)


@pytest.mark.parametrize(
    "changed",
    [
        {"buildinfo": BUILD | {"application": "Grafana Mimir"}, "metrics": "cortex_build_info 1\n"},
        {"metrics": "thanos_build_info 1\n"},
    ],
    ids=["Mimir", "Thanos"],
)
def test_a_query_layer_is_unsupported_although_it_speaks_the_same_language(changed):
    with answering(**changed) as stub:
        (finding,) = survey(stub.url).findings
    assert (finding.code, finding.level.exit_code) == ("unsupported", ExitCode.INCOMPLETE)


def test_an_endless_answer_is_cut_off():
    with answering(metrics="#" * (33 * 1024 * 1024)) as stub, pytest.raises(StoreError, match="more than"):
        survey(stub.url)


def test_nobody_at_the_address():
    (port,) = free_ports(1)
    with pytest.raises(StoreError, match="cannot be reached: connection refused") as caught:
        survey(f"http://127.0.0.1:{port}")
    assert caught.value.exit_code is ExitCode.INCOMPLETE


def test_a_ca_file_that_is_not_there_is_said_at_once(tmp_path):
    there = {"ca_file": str(tmp_path / "ca")}
    settings = PrometheusPolicy(
        kind="prometheus", retention_days=60, urls=("http://127.0.0.1:9",), http=there
    )
    with pytest.raises(ConfigurationError, match="cannot be read"):
        open_prometheus(settings)


def test_a_netrc_and_proxies_of_the_environment_have_no_part(tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with answering() as stub:
        survey(stub.url)
    assert not any("Authorization" in headers for _, _, headers, _ in stub.asked)


@pytest.mark.parametrize(
    "wrong",
    [
        {"urls": ("http://user:secret@prometheus:9090",)},
        {"urls": ("prometheus:9090",)},
        {"urls": ("http://prometheus:9090/?token=secret",)},
        {"http": {"username": "retention"}},
        {"http": {"bearer_token": "secret", "username": "b", "password": "secret"}},
        {"http": {"username": "a:secret", "password": "secret"}},
        {"http": {"bearer_token": "secret", "headers": {"authorization": "secret"}}},
        {"http": {"headers": {"a b": "secret"}}},
        {"mode": "about"},
        {"http": {"timeout": 0}},
        {"url": "http://prometheus:9090"},
    ],
)
def test_settings_that_make_no_sense_are_refused_without_showing_a_secret(wrong):
    with pytest.raises(ValidationError) as caught:
        PrometheusPolicy(**CHECKED, **wrong)
    assert "secret" not in str(caught.value)


def test_unconfigured_is_no_store_at_all():
    assert open_prometheus(PrometheusPolicy(kind="prometheus", retention_days=60)) == ()
