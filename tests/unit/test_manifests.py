"""What a schema cannot see in the manifests: arguments, variables, exit codes, zones, times, rights."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import sysconfig
import tomllib
from datetime import timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import kubernetes_validate
import pytest
import yaml

from luxima_retention.cli import cli
from luxima_retention.config.cronline import parse
from luxima_retention.config.matrix import BY_NAME
from luxima_retention.config.settings import RotationSettings, Settings
from luxima_retention.config.sources import load
from luxima_retention.core.errors import ExitCode
from luxima_retention.run.job import Opening
from luxima_retention.run.job import load as load_job
from luxima_retention.run.schedule import slots

ROOT = Path(__file__).parents[2]
CRON = ROOT / "cron"
OVERLAYS = ("base", "overlays/staging", "overlays/production")
COMPONENTS = ("paused", "sharded", "pushgateway", "otel", "log-volume")
VERSIONS = ("1.31", "1.33", "1.37")
DEFAULTS = Settings(
    policies={},
    report={"url": "s3://bucket/reports"},
    archive={"url": "s3://bucket/archive", "retention_days": 730},
)
SLOTS = {slot.name: slot for slot in slots(DEFAULTS)}
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


def combined(directory, overlay):
    """An overlay as it is with every component."""
    (directory / "cron").symlink_to(CRON)
    (directory / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "resources": [f"cron/{overlay}"],
                "components": [f"cron/components/{name}" for name in COMPONENTS],
            }
        )
    )
    return kustomize(directory)


@pytest.fixture(scope="module")
def with_components(tmp_path_factory):
    return combined(tmp_path_factory.mktemp("kustomize"), "overlays/production")


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
    """The command that these words call and its parameters, by the real command line."""
    name, *rest = words
    outer = click.Context(cli)
    command = cli.get_command(outer, name)
    if isinstance(command, click.Group):
        name, command, rest = command.resolve_command(outer, rest)
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


def test_components_fit_an_overlay_that_leaves_jobs_out(tmp_path):
    combination = combined(tmp_path, "overlays/staging")
    for document in combination:
        assert kubernetes_validate.validate(document, VERSIONS[-1], strict=True) is not None
    assert set(cron_jobs(combination)) == set(cron_jobs(rendered("overlays/staging")))
    assert all("--dry-run" in container(job)["args"] for job in cron_jobs(combination).values())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_policy_has_a_job_and_every_job_a_policy_but_report_and_archive(overlay):
    jobs = cron_jobs(rendered(overlay))
    commands = [parsed(container(job)["args"]) for job in jobs.values()]
    assert {given["policies"] for command, given in commands if command == "run"} == {
        (name,) for name in BY_NAME
    }
    # Dry runs leave nothing to report or to verify, and no archive to end.
    others = [] if overlay.endswith("staging") else ["report", "expire", "verify", "verify", "drill"]
    assert {command for command, _ in commands} == {"run", *others}
    assert len(jobs) == len(BY_NAME) + 1 + len(others)
    assert set(jobs) <= set(SLOTS)


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
    assert parse(spec["schedule"]) == SLOTS[name].line
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
    budget = given.get("max_runtime", DEFAULTS.schedule.max_runtime).total_seconds()
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


def secret_files(cron_job):
    """Names of the files below the directory of secrets."""
    for volume in pod(cron_job)["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            yield from (item["path"] for item in source["secret"]["items"])


@pytest.mark.parametrize(("overlay", "name"), JOBS)
def test_settings_and_secrets_are_known_and_each_job_is_configured_by_them(
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
    assert (configuration.settings.supabase.dsn is not None) == (name in {"security-events", "report"})
    for policy in BY_NAME if name == "report" else filter(None, [SLOTS[name].policy]):
        # Which files are rotated is for whoever mounts them.
        assert load_job(policy).targets(configuration.settings, Opening()) or policy == "log-files"
    assert configuration.settings.report.url or name != "report"
    # Base leaves to overlays whether there is an archive.
    assert configuration.settings.archive.url or not name.startswith("archive-") or overlay == "base"
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


def reach(slot):
    """The ports that the pods of a slot may go out to."""
    labels = {"app.kubernetes.io/name": "luxima-retention", **labels_of(slot)}
    ports = set()
    for item in of_kind("NetworkPolicy", rendered("base")).values():
        assert "ingress" not in item["spec"]
        if selects(item["spec"]["podSelector"], labels):
            ports |= {port["port"] for rule in item["spec"].get("egress", []) for port in rule["ports"]}
    return ports


@pytest.mark.parametrize("policy", BY_NAME)
def test_a_policy_reaches_what_it_needs_and_no_more(policy):
    stores = {"metrics": {9090}, "application-logs": {3100}}
    # Any of them may copy its checkpoint to anchors in a bucket.
    assert reach(policy) == {53, 5432, 443} | stores.get(policy, set())


def test_the_report_reaches_what_all_policies_reach():
    assert reach("report") == set().union(*(reach(policy) for policy in BY_NAME))


def test_archives_go_from_a_bucket_and_by_the_ledger():
    for name in ("archive-expire", "archive-verify", "archive-drill", "ledger-verify"):
        assert reach(name) == {53, 5432, 443}


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
    assert set(roles) == {f"luxima-retention-{name}" for name in accounts}
    assert [role for role in roles if f"`{role}`" not in rights] == []


def selects(selector, labels):
    wanted = selector.get("matchLabels", {})
    one_of = selector.get("matchExpressions", [])
    return wanted.items() <= labels.items() and all(
        labels.get(item["key"]) in item["values"] for item in one_of
    )


def test_nothing_may_come_in_or_go_out_unless_it_is_said():
    denied = of_kind("NetworkPolicy", rendered("base"))["default-deny"]["spec"]
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_paused_starts_nothing(with_components):
    assert all(job["spec"]["suspend"] is True for job in cron_jobs(with_components).values())


def test_nothing_is_suspended_otherwise():
    jobs = cron_jobs(rendered("overlays/production"))
    assert not [name for name, job in jobs.items() if job["spec"].get("suspend")]


@pytest.mark.parametrize("name", ["log-files", "report"])
def test_the_sets_of_the_log_volume_lie_on_it(with_components, name):
    job = cron_jobs(with_components)[name]
    (sets,) = (item["value"] for item in container(job)["env"] if item["name"] == "LUXIMA_ROTATION__SETS")
    rotation = RotationSettings.model_validate({"sets": sets})
    (mount,) = (item for item in container(job)["volumeMounts"] if item["name"] == "service-logs")
    paths = [path for chosen in rotation.sets.values() for path in chosen.paths]
    assert paths
    assert all(path.startswith(f"{mount['mountPath']}/") for path in paths)
    assert mount.get("readOnly", False) == (name == "report")


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
