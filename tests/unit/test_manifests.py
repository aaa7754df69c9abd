"""What a schema cannot see in the manifests: arguments, variables, exit codes, zones, times, rights."""

from __future__ import annotations

import re
import shutil
from datetime import timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import pytest
import yaml
from click.testing import CliRunner

from luxima_retention.cli import cli
from luxima_retention.config.policies import DEFAULTS as SEED
from luxima_retention.core.errors import ConfigurationError, ExitCode
from luxima_retention.run.manifests import MARK, SETTINGS, differing, manifests, write
from luxima_retention.run.schedule import slots
from luxima_retention.stores.kind import Opening
from luxima_retention.stores.registry import kind_of
from tests.clusters import (
    COMMITTED,
    COMPONENTS,
    CRON,
    DSN,
    OVERLAYS,
    ROOT,
    SECRETS,
    VERSIONS,
    combined,
    configuration,
    container,
    cron_jobs,
    fits,
    kustomize,
    lines_of,
    of_kind,
    parsed,
    pod,
    rendered,
    secret_files,
    selects,
)


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    return configuration(CRON / SETTINGS, tmp_path_factory.mktemp("secrets"), COMMITTED)


@cache
def _slots():
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as directory:
        return {
            slot.name: slot
            for slot in slots(configuration(CRON / SETTINGS, Path(directory), COMMITTED).settings)
        }


SLOTS = _slots()


@pytest.fixture(scope="module")
def with_components(tmp_path_factory):
    return combined(tmp_path_factory.mktemp("kustomize"), "overlays/production")


#: dry runs leave nothing to report or to verify, and no archive to end
_IDLE = {"report", "archive-expire", "archive-verify", "archive-drill", "ledger-verify"}
_IDLE |= {"notify-flush", "observability-check"}
#: which jobs an overlay has; that it has these is the first test of them: no worker renders to collect tests
NAMES = {overlay: SLOTS.keys() - (_IDLE if overlay.endswith("staging") else set()) for overlay in OVERLAYS}
JOBS = [
    pytest.param(overlay, name, id=f"{overlay}-{name}")
    for overlay, names in NAMES.items()
    for name in sorted(names)
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_has_the_schema_of_its_version(overlay, version):
    for document in rendered(overlay):
        assert fits(document, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_so_has_every_component(with_components, version):
    for document in with_components:
        assert fits(document, version)


def test_components_fit_an_overlay_that_leaves_jobs_out(tmp_path):
    combination = combined(tmp_path, "overlays/staging")
    for document in combination:
        assert fits(document, VERSIONS[-1])
    found = cron_jobs(combination)
    # It starts nothing by itself.
    assert container(found.pop("hold"))["args"] == ["hold", "list"]
    assert set(found) == set(cron_jobs(rendered("overlays/staging")))
    assert all("--dry-run" in container(job)["args"] for job in found.values())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_policy_has_a_job_and_other_jobs_are_those_of_the_suite(overlay):
    jobs = cron_jobs(rendered(overlay))
    commands = [parsed(container(job)["args"]) for job in jobs.values()]
    assert {given["policies"] for command, given in commands if command == "run"} == {
        (name,) for name in SEED
    }
    # Dry runs leave nothing to report, and no archive to end.
    all_others = {"report", "expire", "verify", "drill", "flush", "check"}
    others = set() if overlay.endswith("staging") else all_others
    assert {command for command, _ in commands} == {"run"} | others
    #: the ledger and the archives are verified, each by a job of its own
    assert len(jobs) == len(SEED) + 1 + len(others) + ("verify" in others)
    assert jobs.keys() == NAMES[overlay]


@pytest.mark.parametrize(("overlay", "name"), JOBS)
def test_the_arguments_are_those_of_the_daemon_by_the_real_command_line(overlay, name):
    command, wanted = parsed(SLOTS[name].arguments)
    if "output" in wanted:
        wanted["output"] = "json"
    if overlay.endswith("staging"):
        wanted["dry_run"] = True
    assert parsed(container(cron_jobs(rendered(overlay))[name])["args"]) == (command, wanted)


@pytest.mark.parametrize(("overlay", "name"), JOBS)
def test_the_times_are_those_of_the_settings(overlay, name):
    spec = cron_jobs(rendered(overlay))[name]["spec"]
    assert spec["schedule"] == SLOTS[name].expression
    assert ZoneInfo(spec["timeZone"]) == SLOTS[name].zone


@pytest.mark.parametrize(("overlay", "name"), JOBS)
def test_a_job_neither_overlaps_nor_starts_late_nor_outlives_its_budget(overlay, name):
    spec = cron_jobs(rendered(overlay))[name]["spec"]
    job = spec["jobTemplate"]["spec"]
    grace, deadline = SLOTS[name].grace, timedelta(seconds=spec["startingDeadlineSeconds"])
    assert spec["concurrencyPolicy"] == "Forbid"
    # Without a grace of its own, any time before the next one will do.
    assert deadline == grace if grace else timedelta(days=1) < deadline < timedelta(days=7)
    assert pod(cron_jobs(rendered(overlay))[name])["restartPolicy"] == "Never"
    _, given = parsed(container(cron_jobs(rendered(overlay))[name])["args"])
    budget = given.get("max_runtime", timedelta(minutes=50)).total_seconds()
    assert job["activeDeadlineSeconds"] > budget * (job["backoffLimit"] + 1)
    assert len(name) <= 52


@pytest.mark.parametrize(("overlay", "name"), JOBS)
def test_the_failure_policy_speaks_our_exit_codes(overlay, name):
    cron_job = cron_jobs(rendered(overlay))[name]
    job = cron_job["spec"]["jobTemplate"]["spec"]
    assert job["podReplacementPolicy"] == "Failed"
    disruption, by_code = job["podFailurePolicy"]["rules"]
    assert disruption == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    values = by_code["onExitCodes"]["values"]
    assert by_code["action"] == "FailJob"
    assert by_code["onExitCodes"]["containerName"] == container(cron_job)["name"]
    assert values == sorted(set(values))
    assert {ExitCode(value) for value in values} == set(ExitCode) - {
        ExitCode.DONE,
        ExitCode.FAULT,
        ExitCode.INCOMPLETE,
        ExitCode.STOPPED,
    }


@pytest.mark.parametrize(("overlay", "name"), JOBS)
def test_a_pod_is_restricted(overlay, name):
    spec = pod(cron_jobs(rendered(overlay))[name])
    security = container(cron_jobs(rendered(overlay))[name])["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    allowed = {"configMap", "projected", "secret", "emptyDir", "persistentVolumeClaim"}
    assert {kind for volume in spec["volumes"] for kind in set(volume) - {"name"}} <= allowed
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    (namespace,) = of_kind("Namespace", rendered(overlay)).values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert cron_jobs(rendered(overlay))[name]["metadata"]["namespace"] == namespace["metadata"]["name"]


@pytest.mark.parametrize(("overlay", "name"), JOBS)
def test_everything_that_a_pod_names_is_there(overlay, name):
    documents = rendered(overlay)
    cron_job = cron_jobs(documents)[name]
    spec, run = pod(cron_job), container(cron_job)
    assert spec["serviceAccountName"] in of_kind("ServiceAccount", documents)
    assert {mount["name"] for mount in run["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
    maps = [volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume]
    assert set(maps) <= set(of_kind("ConfigMap", documents))
    labels = cron_job["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert spec["serviceAccountName"] == (SLOTS[name].policy or name)
    assert labels.items() >= labels_of(name).items()
    assert re.fullmatch(r"[a-z/-]+:\d+\.\d+\.\d+", run["image"])
    assert {"cpu", "memory", "ephemeral-storage"} <= set(run["resources"]["requests"])
    assert "memory" in run["resources"]["limits"]


def labels_of(slot):
    """What network policies and overlays select by."""
    policy = SLOTS[slot].policy
    return {"luxima.id/policy": policy} if policy else {"luxima.id/job": slot}


@pytest.mark.parametrize(("overlay", "name"), JOBS)
def test_settings_and_secrets_are_known_and_each_job_is_configured_by_them(overlay, name, tmp_path):
    cron_job = cron_jobs(rendered(overlay))[name]
    (document,) = of_kind("ConfigMap", rendered(overlay)).values()
    file = tmp_path / "luxima-retention.toml"
    file.write_text(document["data"]["luxima-retention.toml"])
    secrets = dict.fromkeys(secret_files(cron_job), DSN)
    assert "env" not in container(cron_job)
    settings = configuration(file, tmp_path / "secrets", secrets).settings
    assert settings.database.dsn is not None
    # Whoever does not work there has no connection string to it.
    assert (settings.database_named("supabase").dsn is not None) == (name in {"security-events", "report"})
    for policy in SEED if name == "report" else filter(None, [SLOTS[name].policy]):
        config = settings.policy(policy)
        assert kind_of(config).missing(config) is None
        assert kind_of(config).targets(config, Opening())
    mounts = {mount["name"]: mount["mountPath"] for mount in container(cron_job)["volumeMounts"]}
    assert settings.ledger.key_file.startswith(mounts["ledger-key"])
    assert mounts["secrets"] == "/run/secrets/luxima-retention"
    assert mounts["settings"] == "/etc/luxima-retention"


def reach(slot):
    """The ports that the pods of a slot may go out to."""
    labels = {"app.kubernetes.io/name": "luxima-retention", **labels_of(slot)}
    ports = set()
    for item in of_kind("NetworkPolicy", rendered("base")).values():
        assert "ingress" not in item["spec"]
        if selects(item["spec"]["podSelector"], labels):
            ports |= {port["port"] for rule in item["spec"].get("egress", []) for port in rule["ports"]}
    return ports


DNS = {53, 5353}
#: EKS Pod Identity
IDENTITY = {80}
STORES = {"metrics": {9090}, "application-logs": {3100}}


@pytest.mark.parametrize("policy", SEED)
def test_a_policy_reaches_what_it_needs_and_no_more(policy):
    # Any of them copies its checkpoint to anchors in a bucket.
    assert reach(policy) == DNS | IDENTITY | {5432, 443} | STORES.get(policy, set())


def test_the_report_reaches_what_all_policies_reach():
    assert reach("report") == set().union(*(reach(policy) for policy in SEED))


def test_archives_go_from_a_bucket_and_by_the_ledger():
    assert reach("archive-expire") == DNS | IDENTITY | {5432, 443}


def test_every_role_has_its_rights_in_the_docs():
    page = (ROOT / "docs" / "operations.md").read_text()
    rights = page[page.index("## Rights") : page.index("## The first run")]
    roles = [
        account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].rpartition("/")[2]
        for account in of_kind("ServiceAccount", rendered("overlays/production")).values()
        if "annotations" in account["metadata"]
    ]
    # The anchors lie in a bucket, and every run copies its checkpoint there.
    accounts = {pod(job)["serviceAccountName"] for job in cron_jobs(rendered("overlays/production")).values()}
    # A flush reaches receivers and the database, and nothing in AWS.
    accounts -= {"notify-flush"}
    assert set(roles) == {f"luxima-retention-{name}" for name in accounts}
    assert [role for role in roles if f"`{role}`" not in rights] == []


def test_nothing_may_come_in_or_go_out_unless_it_is_said():
    denied = of_kind("NetworkPolicy", rendered("base"))["default-deny"]["spec"]
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_paused_starts_nothing(with_components):
    assert all(job["spec"]["suspend"] is True for job in cron_jobs(with_components).values())


def test_nothing_is_suspended_otherwise():
    jobs = cron_jobs(rendered("overlays/production"))
    assert not [name for name, job in jobs.items() if job["spec"].get("suspend")]


@pytest.mark.parametrize("name", ["log-files", "report"])
@pytest.mark.parametrize("overlay", ["overlays/staging", "overlays/production"])
def test_the_sets_of_the_log_volume_lie_on_it(overlay, name, committed):
    if name not in cron_jobs(rendered(overlay)):
        return
    job = cron_jobs(rendered(overlay))[name]
    (mount,) = (item for item in container(job)["volumeMounts"] if item["name"] == "service-logs")
    chosen = committed.settings.policies["log-files"].sets.values()
    paths = [path for item in chosen for path in item.paths]
    assert paths
    assert all(path.startswith(f"{mount['mountPath']}/") for path in paths)
    assert mount.get("readOnly", False) == (name == "report")


def test_sharded_gives_each_index_its_part(with_components):
    job = cron_jobs(with_components)["application-logs-sweep"]["spec"]["jobTemplate"]["spec"]
    (run,) = job["template"]["spec"]["containers"]
    assert job["completionMode"] == "Indexed"
    assert "backoffLimit" not in job
    _, by_code = job["podFailurePolicy"]["rules"]
    # One part that is refused must not end the others.
    assert by_code["action"] == "FailIndex"
    attempts = job["completions"] / job["parallelism"] * (job["backoffLimitPerIndex"] + 1)
    shards = []
    for index in range(job["completions"]):
        words = [word.replace("$(JOB_COMPLETION_INDEX)", str(index)) for word in run["args"]]
        _, given = parsed(words)
        shards.append(given["shard"])
        assert job["activeDeadlineSeconds"] > given["max_runtime"].total_seconds() * attempts
    assert shards == [(index, job["completions"]) for index in range(job["completions"])]


def test_the_crontab_says_what_the_daemon_does():
    told = list(lines_of((CRON / "crontab").read_text()))
    wanted = [(slot.expression, parsed(slot.arguments)) for slot in SLOTS.values()]
    assert sorted(map(str, told)) == sorted(map(str, wanted))


def test_an_argument_that_the_program_does_not_know_would_be_found():
    with pytest.raises(click.NoSuchOption):
        parsed(["run", "audit-logs", "--max-runtme", "50m"])


def test_telemetry_components_name_settings_and_open_their_ports(with_components):
    for job in cron_jobs(with_components).values():
        (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        names = {item["name"] for item in container["env"]}
        assert {"LUXIMA_TELEMETRY__PUSHGATEWAY_URL", "LUXIMA_TELEMETRY__OTLP_URL"} <= names
    policies = {item["metadata"]["name"] for item in with_components if item["kind"] == "NetworkPolicy"}
    assert {"pushgateway", "otel"} <= policies


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_components_land_in_the_namespace_of_the_overlay_that_names_them(overlay, tmp_path):
    shutil.copytree(CRON, tmp_path / "cron")
    file = tmp_path / "cron" / "overlays" / overlay / "kustomization.yaml"
    chosen = yaml.safe_load(file.read_text())
    chosen["components"] = [f"../../components/{name}" for name in COMPONENTS]
    file.write_text(yaml.safe_dump(chosen))
    found = {item["metadata"]["namespace"] for item in kustomize(file.parent) if item["kind"] != "Namespace"}
    assert found == {chosen["namespace"]}


def test_whoever_names_no_namespace_has_them_in_that_of_the_base(tmp_path):
    made = [item for item in combined(tmp_path, "base") if item["kind"] != "Namespace"]
    assert {item["metadata"].get("namespace") for item in made} == {"luxima-retention"}


# The command


def test_what_is_committed_is_what_the_settings_make(committed):
    wanted = manifests(committed)
    del wanted[SETTINGS]  # the settings themselves
    assert differing(wanted, CRON) == []
    ours = ("base", "chart", "components/jobs", "components/daemon")
    written = {
        path.relative_to(CRON).as_posix()
        for part in ours
        for path in (CRON / part).rglob("*")
        if path.is_file()
    }
    assert written == set(wanted) - {"crontab"} | {SETTINGS}


SIXTH = """
[policies.billing-webhooks]
kind = "table"
retention_days = 45
tables = [{ table = "billing.webhook_log", time_column = "received_at" }]
schedule = "41 7 * * *"
basis = "Contract with payment partners, clause 7"
"""


def with_settings(directory, text, secrets=SECRETS):
    file = directory / "luxima-retention.toml"
    file.write_text(text)
    return configuration(file, directory / "secrets", secrets)


def reach_of(documents, account):
    """The ports of the network policy of an account."""
    policy = of_kind("NetworkPolicy", documents)[account]["spec"]
    return {port["port"] for rule in policy["egress"] for port in rule["ports"]}


def documents_of(files, directory):
    write(files, directory)
    return kustomize(directory / "base")


def test_a_sixth_policy_is_in_cluster_crontab_and_daemon_alike(tmp_path):
    chosen = with_settings(tmp_path, (CRON / SETTINGS).read_text() + SIXTH)
    wanted = {slot.name: slot for slot in slots(chosen.settings)}
    assert wanted.keys() - SLOTS.keys() == {"billing-webhooks"}
    made = documents_of(manifests(chosen), tmp_path / "out")
    for document in made:
        assert fits(document, VERSIONS[-1])
    jobs = cron_jobs(made)
    assert jobs.keys() == wanted.keys()
    lines = list(lines_of((tmp_path / "out" / "crontab").read_text()))
    for name, slot in wanted.items():
        command, given = parsed(slot.arguments)
        assert (slot.expression, (command, given)) in lines
        assert jobs[name]["spec"]["schedule"] == slot.expression
        job_command, job_given = parsed(container(jobs[name])["args"])
        assert (job_command, {**job_given, "output": 0}) == (command, {**given, "output": 0})
    assert jobs["billing-webhooks"]["spec"]["timeZone"] == "Asia/Jakarta"
    assert "billing-webhooks" in of_kind("ServiceAccount", made)
    assert reach_of(made, "billing-webhooks") == {443, 5432}
    assert list(secret_files(jobs["billing-webhooks"])) == ["database__dsn"]


def test_what_is_not_configured_has_nothing(tmp_path):
    made = manifests(with_settings(tmp_path, "", {"database__dsn": DSN}))
    assert [name for name in made if name.startswith("base/jobs/")] == [
        "base/jobs/audit-logs.yaml",
        "base/jobs/ledger-verify.yaml",
    ]
    documents = documents_of(made, tmp_path / "out")
    assert set(of_kind("ServiceAccount", documents)) == {"audit-logs", "ledger-verify"}
    assert len(list(lines_of(made["crontab"]))) == 2
    # No key was named for the ledger.
    assert "ledger-key" not in made["base/defaults.yaml"]


def test_ports_are_those_of_the_connections(tmp_path):
    text = """
[databases.pooled]
[s3.minio]
endpoint_url = "http://minio.storage:9000"
[s3.default]
endpoint_url = "https://s3.example:8443"
[policies.application-logs]
buckets = ["loki"]
s3 = "minio"
[policies.security-events]
tables = ["auth.audit_log_entries"]
database = "pooled"
[prometheus]
urls = ["https://prometheus.example", "http://other:9091"]
[telemetry]
pushgateway_url = "http://gateway:9092"
otlp_url = "https://collector"
[archive]
url = "s3://archive"
retention_days = 365
[report]
url = "s3://reports"
"""
    secrets = {
        "database__dsn": "postgresql://role@a:6432,b/database",
        "databases__pooled__dsn": "host=pooler.supabase.com port=6543 user=role",
        "s3__minio__access_key_id": "AKIA-of-this-test",
        "s3__minio__secret_access_key": "hunter2",
    }
    made = manifests(with_settings(tmp_path, text, secrets))
    documents = documents_of(made, tmp_path / "out")
    common = {5432, 6432, 9092, 443}
    assert reach_of(documents, "audit-logs") == common | {8443}
    assert reach_of(documents, "security-events") == common | {8443, 6543}
    assert reach_of(documents, "application-logs") == common | {9000}
    assert reach_of(documents, "metrics") == common | {9091}
    assert reach_of(documents, "observability-check") == common | {8443, 9091}
    assert reach_of(documents, "archive-expire") == common | {8443}
    assert reach_of(documents, "report") == common | {8443, 6543, 9000, 9091}
    jobs = cron_jobs(documents)
    minio = {"s3__minio__access_key_id", "s3__minio__secret_access_key"}
    for name in jobs:
        assert (minio <= set(secret_files(jobs[name]))) == (
            name.startswith("application-logs") or name == "report"
        )
    assert [value for value in secrets.values() if any(value in text for text in made.values())] == []


def test_dns_and_the_agent_of_the_cloud_are_reached_where_they_are():
    documents = of_kind("NetworkPolicy", rendered("base"))
    own, openshift = documents["dns"]["spec"]["egress"]
    assert {"ipBlock": {"cidr": "169.254.20.10/32"}} in own["to"]
    assert {port["port"] for port in own["ports"]} == {53}
    assert openshift["to"][0]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "openshift-dns"
    }
    assert {port["port"] for port in openshift["ports"]} == {5353}
    (agent,) = documents["cloud-identity"]["spec"]["egress"]
    assert agent["to"][0] == {"ipBlock": {"cidr": "169.254.170.23/32"}}


def test_the_owner_is_mounted_only_where_partitions_are_dropped(tmp_path):
    text = '[audit_log]\nstrategy = "partition_drop"\n' + SIXTH
    made = manifests(with_settings(tmp_path, text, {"database__dsn": DSN, "database__owner_dsn": DSN}))
    # What the daemon and migrate get is for them alone: see test_manifests_jobs.py.
    base = {name for name, content in made.items() if name.startswith("base/") and "owner_dsn" in content}
    assert base == {"base/jobs/audit-logs.yaml"}


@pytest.mark.parametrize(
    ("text", "variables", "sentence"),
    [
        ('[database]\ndsn = "postgresql://r:s@h/d"', {}, "database.dsn is a secret"),
        (
            '[notify.http.webhook]\nheaders = { Authorization = "Bearer x" }',
            {},
            "headers.Authorization is a secret",
        ),
        (
            "",
            {"LUXIMA_POLICIES__AUDIT_LOGS__RETENTION_DAYS": "200"},
            "retention_days comes from the environment",
        ),
        (SIXTH.replace("billing-webhooks", "b" * 41), {}, "not a valid name of a policy"),
        (SIXTH.replace("billing-webhooks", "ledger-verify"), {}, "a job named ledger-verify"),
    ],
)
def test_what_the_pods_would_not_have_or_a_cluster_not_take_is_refused(
    tmp_path, monkeypatch, text, variables, sentence
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    secrets = {} if "dsn" in text else {"database__dsn": DSN}
    with pytest.raises(ConfigurationError, match=sentence):
        manifests(with_settings(tmp_path, text, secrets))


@pytest.mark.parametrize("dsn", ["of-this-test", "host=h password=of-this-test port=x"])
def test_what_is_no_connection_string_is_refused_without_a_word_of_it(tmp_path, dsn):
    secrets = {"database__dsn": DSN, "notify__alert_dsn": dsn}
    with pytest.raises(ConfigurationError, match=r"notify\.alert_dsn is not a PostgreSQL") as refused:
        manifests(with_settings(tmp_path, "", secrets))
    assert "of-this-test" not in f"{refused.value} {refused.value.hint}"


def test_headers_may_name_a_tenant_in_the_file_and_are_a_secret_in_a_secret_file(tmp_path):
    secrets = {"database__dsn": DSN, "notify__http__webhook__headers": '{"X-Api-Key": "of-this-test"}'}
    made = manifests(with_settings(tmp_path, "", secrets))
    assert "path: notify__http__webhook__headers" in made["base/jobs/audit-logs.yaml"]
    (tmp_path / "secrets" / "notify__http__webhook__headers").unlink()
    text = '[notify.http.webhook]\nheaders = { X-Scope-OrgID = "luxima" }\n'
    made = manifests(with_settings(tmp_path, text, SECRETS))
    assert "headers" not in made["base/jobs/audit-logs.yaml"]


def test_who_asks_a_prometheus_has_its_password_and_nobody_else(tmp_path):
    password = "policies__metrics__http__password"
    text = '[prometheus]\nurls = ["http://p:9090"]\nhttp = { username = "luxima" }'
    made = manifests(with_settings(tmp_path, text, {"database__dsn": DSN, password: "of-this-test"}))
    jobs = cron_jobs(documents_of(made, tmp_path / "out"))
    having = {name for name, job in jobs.items() if password in secret_files(job)}
    assert having == {"metrics", "observability-check"}
    assert having < set(jobs)


def test_without_a_database_there_is_only_a_crontab(tmp_path):
    """Each pod would begin a ledger file of its own."""
    text = '[ledger]\npath = "/var/lib/ledger"\n[prometheus]\nurls = ["http://p:9090"]'
    made = manifests(with_settings(tmp_path, text, {}))
    assert set(made) == {"crontab"}
    assert [name for _, (name, _) in lines_of(made["crontab"])] == ["run", "verify", "check"]


def test_settings_that_lie_in_the_directory_of_the_manifests_need_no_database(tmp_path):
    file = tmp_path / SETTINGS
    file.parent.mkdir()
    file.write_text('[ledger]\npath = "/var/lib/ledger"\n[prometheus]\nurls = ["http://p:9090"]')
    words = ["--config", str(file), "manifests", "--output", str(tmp_path)]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert (done.return_value, done.stdout) == (ExitCode.DONE, "crontab\n")


def test_without_anything_to_run_nothing_is_written(tmp_path):
    with pytest.raises(ConfigurationError, match="nothing is scheduled"):
        manifests(with_settings(tmp_path, "", {}))


def called(tmp_path, *arguments):
    words = [
        "--config",
        str(tmp_path / "luxima-retention.toml"),
        "manifests",
        "--output",
        str(tmp_path / "out"),
    ]
    variables = {"LUXIMA_SECRETS_DIR": str(tmp_path / "secrets")}
    return CliRunner().invoke(cli, [*words, *arguments], env=variables, standalone_mode=False)


def test_check_names_what_differs_and_writes_nothing(tmp_path):
    with_settings(tmp_path, SIXTH)
    before = called(tmp_path, "--check")
    assert before.return_value == ExitCode.DRIFT
    assert "base/jobs/billing-webhooks.yaml" in before.stdout.split()
    assert not (tmp_path / "out").exists()
    assert called(tmp_path).return_value == ExitCode.DONE
    assert (called(tmp_path, "--check").return_value, called(tmp_path).stdout) == (ExitCode.DONE, "")
    (tmp_path / "out" / "crontab").write_text(MARK + "* * * * * root reboot\n")
    # A policy that is no more leaves nothing behind.
    with_settings(tmp_path, "")
    different = {"base/jobs/billing-webhooks.yaml", "crontab", "base/luxima-retention.toml"}
    assert different <= set(called(tmp_path, "--check").stdout.split())
    assert different <= set(called(tmp_path).stdout.split())
    assert not (tmp_path / "out" / "base" / "jobs" / "billing-webhooks.yaml").exists()
    assert called(tmp_path, "--check").return_value == ExitCode.DONE


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_a_secret_that_is_forgotten_removes_no_manifest(tmp_path, arguments):
    with_settings(tmp_path, '[ledger]\npath = "/var/lib/ledger"\n[prometheus]\nurls = ["http://p:9090"]')
    assert called(tmp_path).return_value == ExitCode.DONE
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    shutil.rmtree(tmp_path / "secrets")
    (tmp_path / "secrets").mkdir()
    refused = called(tmp_path, *arguments)
    assert isinstance(refused.exception, ConfigurationError)
    assert "database.dsn is not set" in str(refused.exception)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "foreign", ["crontab", "base/kustomization.yaml", "base/jobs/audit-logs.yaml", SETTINGS]
)
def test_a_file_of_somebody_else_is_left_alone_and_nothing_is_written(tmp_path, foreign):
    chosen = with_settings(tmp_path, "")
    path = tmp_path / "out" / foreign
    path.parent.mkdir(parents=True)
    path.write_text("# mine\n")
    with pytest.raises(ConfigurationError, match="was not written by this command"):
        write(manifests(chosen), tmp_path / "out")
    assert [item.read_text() for item in (tmp_path / "out").rglob("*") if item.is_file()] == ["# mine\n"]


def test_a_link_is_not_followed(tmp_path):
    chosen = with_settings(tmp_path, "")
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").write_text(MARK)
    (tmp_path / "out" / "crontab").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="was not written by this command"):
        write(manifests(chosen), tmp_path / "out")
    assert (tmp_path / "elsewhere").read_text() == MARK
