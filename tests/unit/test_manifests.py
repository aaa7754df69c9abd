"""What a schema cannot see in the manifests: arguments, variables, exit codes, zones, times, rights."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import sysconfig
import tomllib
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import kubernetes_validate
import pytest
import yaml

from luxima_retention.cli import cli
from luxima_retention.configuration import load
from luxima_retention.cronline import parse
from luxima_retention.durations import parse_duration
from luxima_retention.errors import ExitCode
from luxima_retention.job import Opening
from luxima_retention.job import load as load_job
from luxima_retention.matrix import BY_NAME
from luxima_retention.schedule import slots
from luxima_retention.settings import RotationSettings, Settings

ROOT = Path(__file__).parents[2]
CRON = ROOT / "cron"
OVERLAYS = ("base", "overlays/staging", "overlays/production")
COMPONENTS = ("paused", "sharded", "pushgateway", "otel", "log-volume")
VERSIONS = ("1.31", "1.33", "1.37")
SLOTS = {slot.name: slot for slot in slots(Settings(policies={}))}
KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"


def kustomize(directory):
    done = subprocess.run(
        [KUBECTL, "kustomize", directory], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@cache
def rendered(name):
    return kustomize(CRON / name)


@pytest.fixture(scope="module")
def with_components(tmp_path_factory):
    """Production as it is with every component."""
    directory = tmp_path_factory.mktemp("kustomize")
    (directory / "cron").symlink_to(CRON)
    (directory / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "resources": ["cron/overlays/production"],
                "components": [f"cron/components/{name}" for name in COMPONENTS],
            }
        )
    )
    return kustomize(directory)


def of_kind(kind, documents):
    return {item["metadata"]["name"]: item for item in documents if item["kind"] == kind}


def cron_jobs(documents):
    return of_kind("CronJob", documents)


def pod(cron_job):
    return cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def container(cron_job):
    (only,) = pod(cron_job)["containers"]
    return only


def parsed(words):
    """The parameters of the command that these words call, by the real command line."""
    name, *rest = words
    outer = click.Context(cli)
    command = cli.get_command(outer, name)
    with command.make_context(name, rest, parent=outer) as inner:
        return name, inner.params


JOBS = [
    pytest.param(overlay, name, id=f"{overlay}-{name}")
    for overlay in OVERLAYS
    for name in cron_jobs(rendered(overlay))
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_has_the_schema_of_its_version(overlay, version):
    for document in rendered(overlay):
        assert kubernetes_validate.validate(document, version, strict=True) is not None


@pytest.mark.parametrize("version", VERSIONS)
def test_so_has_every_component(with_components, version):
    for document in with_components:
        assert kubernetes_validate.validate(document, version, strict=True) is not None


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_policy_has_a_job_and_every_job_a_policy(overlay):
    jobs = cron_jobs(rendered(overlay))
    assert {parsed(container(job)["args"])[1]["policies"] for job in jobs.values()} == {
        (name,) for name in BY_NAME
    }
    assert set(jobs) == set(SLOTS)


@pytest.mark.parametrize(("overlay", "name"), JOBS)
def test_the_arguments_are_those_of_the_daemon_by_the_real_command_line(overlay, name):
    command, given = parsed(container(cron_jobs(rendered(overlay))[name])["args"])
    _, wanted = parsed(SLOTS[name].arguments)
    expected = {**wanted, "output": "json", "dry_run": overlay.endswith("staging")}
    assert (command, given) == ("run", expected)


@pytest.mark.parametrize(("overlay", "name"), JOBS)
def test_the_times_are_those_of_the_settings(overlay, name):
    spec = cron_jobs(rendered(overlay))[name]["spec"]
    assert parse(spec["schedule"]) == SLOTS[name].line
    assert ZoneInfo(spec["timeZone"]) == SLOTS[name].zone


@pytest.mark.parametrize(("overlay", "name"), JOBS)
def test_a_job_neither_overlaps_nor_starts_late_nor_outlives_its_budget(overlay, name):
    spec = cron_jobs(rendered(overlay))[name]["spec"]
    job = spec["jobTemplate"]["spec"]
    grace = Settings(policies={}).schedule.grace.total_seconds()
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] == grace
    assert pod(cron_jobs(rendered(overlay))[name])["restartPolicy"] == "Never"
    args = container(cron_jobs(rendered(overlay))[name])["args"]
    budget = parse_duration(args[args.index("--max-runtime") + 1]).total_seconds()
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
    (policy,) = parsed(run["args"])[1]["policies"]
    assert labels["luxima.id/policy"] == policy == spec["serviceAccountName"]
    assert re.fullmatch(r"[a-z/-]+:\d+\.\d+\.\d+", run["image"])
    assert {"cpu", "memory", "ephemeral-storage"} <= set(run["resources"]["requests"])
    assert "memory" in run["resources"]["limits"]


def secret_files(cron_job):
    """Names of the files below the directory of secrets."""
    for volume in pod(cron_job)["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            yield from (item["path"] for item in source["secret"]["items"])


@pytest.mark.parametrize(("overlay", "name"), JOBS)
def test_settings_and_secrets_are_known_and_each_policy_is_configured_by_them(
    overlay, name, tmp_path, monkeypatch
):
    cron_job = cron_jobs(rendered(overlay))[name]
    (document,) = of_kind("ConfigMap", rendered(overlay)).values()
    (tmp_path / "luxima-retention.toml").write_text(document["data"]["luxima-retention.toml"])
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for file in secret_files(cron_job):
        (secrets / file).write_text("postgresql://role@host/database\n")
    for variable in container(cron_job).get("env", []):
        monkeypatch.setenv(variable["name"], variable.get("value", ""))
    monkeypatch.setenv("LUXIMA_SECRETS_DIR", str(secrets))
    configuration = load(tmp_path / "luxima-retention.toml")
    assert configuration.settings.database.dsn is not None
    assert (configuration.settings.supabase.dsn is not None) == (name == "security-events")
    job = load_job(SLOTS[name].policy)
    # Which files are rotated is for whoever mounts them.
    assert job.targets(configuration.settings, Opening()) or name == "log-files"
    mounts = {mount["name"]: mount["mountPath"] for mount in container(cron_job)["volumeMounts"]}
    assert configuration.settings.ledger.key_file.startswith(mounts["ledger-key"])
    assert mounts["secrets"] == "/run/secrets/luxima-retention"
    assert mounts["settings"] == "/etc/luxima-retention"


def test_production_says_what_base_says_and_more():
    base = tomllib.loads((CRON / "base" / "luxima-retention.toml").read_text())
    production = tomllib.loads((CRON / "overlays" / "production" / "luxima-retention.toml").read_text())
    for section, values in base.items():
        assert values.items() <= production[section].items()
    assert production["archive"]["url"]


@pytest.mark.parametrize("policy", BY_NAME)
def test_a_policy_reaches_what_it_needs_and_no_more(policy):
    labels = {"app.kubernetes.io/name": "luxima-retention", "luxima.id/policy": policy}
    ports = set()
    for item in of_kind("NetworkPolicy", rendered("base")).values():
        assert "ingress" not in item["spec"]
        if selects(item["spec"]["podSelector"], labels):
            ports |= {port["port"] for rule in item["spec"].get("egress", []) for port in rule["ports"]}
    stores = {"metrics": {9090}, "application-logs": {443, 3100}}
    assert ports == {53, 5432} | stores.get(policy, {443})


def selects(selector, labels):
    wanted = selector.get("matchLabels", {})
    one_of = selector.get("matchExpressions", [])
    return wanted.items() <= labels.items() and all(labels[item["key"]] in item["values"] for item in one_of)


def test_nothing_may_come_in_or_go_out_unless_it_is_said():
    denied = of_kind("NetworkPolicy", rendered("base"))["default-deny"]["spec"]
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_paused_starts_nothing(with_components):
    assert all(job["spec"]["suspend"] is True for job in cron_jobs(with_components).values())


def test_nothing_is_suspended_otherwise():
    jobs = cron_jobs(rendered("overlays/production"))
    assert not [name for name, job in jobs.items() if job["spec"].get("suspend")]


def test_the_sets_of_the_log_volume_lie_on_it(with_components):
    job = cron_jobs(with_components)["log-files"]
    (sets,) = (item["value"] for item in container(job)["env"] if item["name"] == "LUXIMA_ROTATION__SETS")
    rotation = RotationSettings.model_validate({"sets": sets})
    (mount,) = (item for item in container(job)["volumeMounts"] if item["name"] == "service-logs")
    paths = [path for chosen in rotation.sets.values() for path in chosen.paths]
    assert paths
    assert all(path.startswith(f"{mount['mountPath']}/") for path in paths)


def test_sharded_gives_each_index_its_part(with_components):
    job = cron_jobs(with_components)["application-logs-sweep"]["spec"]["jobTemplate"]["spec"]
    (run,) = job["template"]["spec"]["containers"]
    assert job["completionMode"] == "Indexed"
    assert "backoffLimit" not in job
    attempts = job["completions"] / job["parallelism"] * (job["backoffLimitPerIndex"] + 1)
    shards = []
    for index in range(job["completions"]):
        words = [word.replace("$(JOB_COMPLETION_INDEX)", str(index)) for word in run["args"]]
        _, given = parsed(words)
        shards.append(given["shard"])
        assert job["activeDeadlineSeconds"] > given["max_runtime"].total_seconds() * attempts
    assert shards == [(index, job["completions"]) for index in range(job["completions"])]


CRONTAB = [
    line.split(maxsplit=6)
    for line in (CRON / "crontab").read_text().splitlines()
    if line and line[0] in "0123456789*"
]


def test_the_crontab_says_what_the_settings_say():
    told = []
    for *times, user, words in CRONTAB:
        program, *arguments = shlex.split(words)
        assert (user, program) == ("luxima-retention", "luxima-retention")
        assert "%" not in words
        told.append((parse(" ".join(times)), parsed(arguments)))
    wanted = [(slot.line, parsed(slot.arguments)) for slot in SLOTS.values()]
    assert sorted(map(str, told)) == sorted(map(str, wanted))


def test_an_argument_that_the_program_does_not_know_would_be_found():
    with pytest.raises(click.NoSuchOption):
        parsed(["run", "audit-logs", "--max-runtme", "50m"])


@pytest.mark.parametrize("policy", BY_NAME)
def test_every_policy_is_a_job_that_can_be_loaded(policy):
    assert load_job(policy).policy == policy
    assert sys.modules[BY_NAME[policy].job]


def test_telemetry_components_name_settings_and_open_their_ports(with_components):
    for job in cron_jobs(with_components).values():
        (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        names = {item["name"] for item in container["env"]}
        assert {"LUXIMA_TELEMETRY__PUSHGATEWAY_URL", "LUXIMA_TELEMETRY__OTLP_URL"} <= names
    policies = {item["metadata"]["name"] for item in with_components if item["kind"] == "NetworkPolicy"}
    assert {"pushgateway", "otel"} <= policies
