"""The components that are written from the settings: Jobs, the form of a hold, and the daemon."""

from __future__ import annotations

import pytest
import yaml

from luxima_retention import __version__
from luxima_retention.cli import cli
from luxima_retention.run.manifests import manifests, write
from tests.clusters import (
    COMMITTED,
    CRON,
    SECRETS,
    VERSIONS,
    combined,
    configuration,
    container,
    cron_jobs,
    fits,
    kustomize,
    of_kind,
    parsed,
    rendered,
    selects,
)


@pytest.fixture(scope="module")
def with_jobs(tmp_path_factory):
    return combined(tmp_path_factory.mktemp("kustomize"), "overlays/production", ("jobs",))


@pytest.fixture(scope="module")
def with_daemon(tmp_path_factory):
    return combined(tmp_path_factory.mktemp("kustomize"), "overlays/production", ("jobs", "daemon"))


def templates(documents):
    """The template of each pod, by the name of what starts it."""
    for item in documents:
        if item["kind"] in {"Job", "Deployment"}:
            yield item["metadata"]["name"], item["spec"]["template"]
        elif item["kind"] == "CronJob":
            yield item["metadata"]["name"], item["spec"]["jobTemplate"]["spec"]["template"]


def of_its_own(template):
    """What pods of ours may differ in."""
    (run,) = template["spec"]["containers"]
    volumes = {item["name"]: item for item in template["spec"]["volumes"]}
    secrets = {**volumes["secrets"]["projected"], "sources": 0}
    same = {**template["spec"], "containers": 0, "volumes": 0, "serviceAccountName": 0}
    return same, {**run, "args": 0}, {**volumes, "secrets": secrets}


@pytest.mark.parametrize("name", ["migrate", "doctor", "hold"])
def test_a_job_has_the_pod_of_the_cron_jobs(with_jobs, name):
    found = dict(templates(with_jobs))
    assert of_its_own(found[name]) == of_its_own(found["metrics"])
    (run,) = found[name]["spec"]["containers"]
    assert parsed(run["args"])[0] == {"hold": "list"}.get(name, name)
    assert run["image"].endswith(f":{__version__}")


def accounts_of(documents):
    return set(of_kind("ServiceAccount", documents)) | {"default"}


def named_by(template):
    """Kind and name of what a pod needs besides Secrets, which people make."""
    yield "ServiceAccount", template["spec"]["serviceAccountName"]
    yield from (
        ("ConfigMap", item["configMap"]["name"])
        for item in template["spec"]["volumes"]
        if "configMap" in item
    )


def test_everything_that_a_pod_names_is_there(with_jobs, with_daemon):
    for documents in (with_jobs, with_daemon):
        there = {(item["kind"], item["metadata"]["name"]) for item in documents}
        there.add(("ServiceAccount", "default"))
        for name, template in templates(documents):
            assert set(named_by(template)) <= there, name


def test_only_migrate_is_the_owner(with_jobs):
    owners = {name for name, template in templates(with_jobs) if "owner_dsn" in str(template)}
    assert owners == {"migrate"}


def wave(item):
    """Phase and wave of Argo CD; what is no hook belongs to the sync itself."""
    notes = item["metadata"].get("annotations", {})
    phase = notes.get("argocd.argoproj.io/hook", "Sync")
    return ["PreSync", "Sync", "PostSync"].index(phase), int(notes.get("argocd.argoproj.io/sync-wave", 0))


def test_in_argo_cd_what_migrate_needs_comes_before_it_and_cron_jobs_come_after_it(with_jobs):
    found = {(item["kind"], item["metadata"]["name"]): item for item in with_jobs}
    migrate, doctor = found["Job", "migrate"], found["Job", "doctor"]
    (needed,) = (item for kind, item in named_by(migrate["spec"]["template"]) if kind == "ConfigMap")
    before = [("ConfigMap", needed), ("NetworkPolicy", "migrate"), ("NetworkPolicy", "dns")]
    for key in [*before, ("Namespace", "luxima-retention")]:
        assert wave(found[key]) < wave(migrate)
    assert all(wave(migrate) < wave(job) < wave(doctor) for job in cron_jobs(with_jobs).values())
    # A Job cannot be changed: the one before goes first.
    for job in (migrate, doctor):
        policy = job["metadata"]["annotations"]["argocd.argoproj.io/hook-delete-policy"]
        assert policy == "BeforeHookCreation"


def test_the_waves_leave_the_roles_of_the_accounts(with_jobs):
    notes = of_kind("ServiceAccount", with_jobs)["audit-logs"]["metadata"]["annotations"]
    assert set(notes) == {"eks.amazonaws.com/role-arn", "argocd.argoproj.io/sync-wave"}


def reach(documents, labels):
    """The ports that pods with these labels may go out to, DNS and the agent of the cloud aside."""
    policies = of_kind("NetworkPolicy", documents)
    common = {"default-deny", "dns", "cloud-identity"}
    return {
        port["port"]
        for name, item in policies.items()
        if name not in common and selects(item["spec"]["podSelector"], labels)
        for rule in item["spec"].get("egress", [])
        for port in rule["ports"]
    }


def test_a_job_reaches_what_it_needs_and_no_more(with_jobs):
    found = {
        name: reach(with_jobs, template["metadata"]["labels"]) for name, template in templates(with_jobs)
    }
    assert found["migrate"] == {5432}
    assert found["doctor"] == found["hold"] == found["report"]


@pytest.fixture
def made(tmp_path):
    """What is written for other settings than ours."""

    def written(text, secrets):
        file = tmp_path / "luxima-retention.toml"
        file.write_text(text)
        write(manifests(configuration(file, tmp_path / "secrets", secrets)), tmp_path / "out")
        overlay = {"resources": ["base"], "components": ["components/jobs"]}
        (tmp_path / "out" / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        return kustomize(tmp_path / "out")

    return written


def test_ports_and_secrets_are_those_of_the_settings(made):
    pooled = {"database__dsn": "postgresql://role@pool:6432/database"}
    other = {"databases__far__dsn": "postgresql://role@pooler.supabase.com:6543/postgres"}
    text = (
        '[policies.security-events]\ndatabase = "far"\ntables = ["auth.audit_log_entries"]\n[databases.far]\n'
    )
    documents = made(text, {**pooled, **other})
    found = dict(templates(documents))
    # The owner goes past the pooler.
    assert reach(documents, found["migrate"]["metadata"]["labels"]) == {5432, 6432, 6543}
    assert reach(documents, found["doctor"]["metadata"]["labels"]) == {6432, 6543}
    volumes = {item["name"]: item for item in found["migrate"]["spec"]["volumes"]}
    (owner,) = (
        item["secret"]["items"]
        for item in volumes["secrets"]["projected"]["sources"]
        if item["secret"]["name"] == "luxima-retention-owner"
    )
    assert owner == [
        {"key": "database", "path": "database__owner_dsn"},
        {"key": "far", "path": "databases__far__owner_dsn"},
    ]
    # Without a report nobody brings an account that may look at everything.
    assert found["doctor"]["spec"]["serviceAccountName"] == "doctor"
    assert "doctor" in accounts_of(documents)


def test_a_hold_is_placed_by_a_job_of_its_form(with_jobs):
    hold = cron_jobs(with_jobs)["hold"]
    assert hold["spec"]["suspend"] is True
    assert cli.get_command(None, "hold").get_command(None, "add") is not None
    assert parsed(container(hold)["args"])[0] == "list"


def test_the_daemon_takes_the_place_of_every_cron_job(with_daemon):
    assert set(cron_jobs(with_daemon)) == {"hold"}
    (daemon,) = of_kind("Deployment", with_daemon).values()
    template = daemon["spec"]["template"]
    (run,) = template["spec"]["containers"]
    assert parsed(run["args"])[0] == "schedule"
    assert daemon["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (port,) = run["ports"]
    assert port["containerPort"] == 8086
    assert run["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    # schedule.shutdown, and a little.
    assert template["spec"]["terminationGracePeriodSeconds"] == 90
    everything = set().union(
        *(
            reach(rendered("base"), job["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"])
            for job in cron_jobs(rendered("base")).values()
        )
    )
    assert reach(with_daemon, template["metadata"]["labels"]) == everything


@pytest.mark.parametrize("version", VERSIONS)
def test_the_daemon_has_the_schema_of_its_version(with_daemon, version):
    daemon = [item for item in with_daemon if item["metadata"]["name"] == "schedule"]
    assert {item["kind"] for item in daemon} == {"Deployment", "NetworkPolicy", "ServiceAccount"}
    for document in daemon:
        assert fits(document, version)


def test_who_drops_partitions_needs_the_owner_in_the_daemon_too(tmp_path):
    file = tmp_path / "luxima-retention.toml"
    text = '[audit_log]\nstrategy = "partition_drop"\n'
    for secrets, wanted in (
        (SECRETS, False),
        ({**SECRETS, "database__owner_dsn": "postgresql://o@h/d"}, True),
    ):
        file.write_text(text)
        files = manifests(configuration(file, tmp_path / "secrets", secrets))
        assert ("owner_dsn" in files["components/daemon/daemon.yaml"]) == wanted


def test_no_secret_is_written(tmp_path):
    chosen = configuration(CRON / "base" / "luxima-retention.toml", tmp_path / "secrets", COMMITTED)
    written = "".join(manifests(chosen).values())
    assert [value for value in COMMITTED.values() if value in written] == []
