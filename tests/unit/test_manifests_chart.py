"""The Helm chart: what helm makes of it is what kustomize makes of the base, for each value."""

from __future__ import annotations

import json
import shutil

import jsonschema
import pytest
import yaml

from luxima_retention.run.manifests import MARK
from tests.clusters import CRON, VERSIONS, fits, kustomize, of_kind
from tests.servers.helm import helm

CHART = CRON / "chart"
DIGEST = "sha256:" + "a" * 64


def templated(*values, namespace="luxima-retention"):
    words = [word for value in values for word in ("--set", value)]
    done = helm("template", "luxima", CHART, "--namespace", namespace, "--kube-version", "1.33", *words)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.load_all(done.stdout, yaml.CSafeLoader) if item]


def by_name(value):
    """Lists of named things in the order of their names: kustomize and helm put them differently."""
    if isinstance(value, dict):
        return {key: by_name(item) for key, item in value.items()}
    if isinstance(value, list):
        found = [by_name(item) for item in value]
        named = all(isinstance(item, dict) and "name" in item for item in found)
        return sorted(found, key=lambda item: item["name"]) if named else found
    return value


def compared(documents):
    """Kind and name → document, without what the two must differ in.

    The digest in the ConfigMap's name, and the sentence that its copy in the chart begins with; Argo CD's
    annotations and Helm's; the namespace, which is there before a release.
    """
    found = {}
    for document in map(by_name, documents):
        notes = document["metadata"].pop("annotations", {})
        kept = {key: value for key, value in notes.items() if "argoproj" not in key and "helm.sh" not in key}
        if kept:
            document["metadata"]["annotations"] = kept
        maps = [item["metadata"]["name"] for item in documents if item["kind"] == "ConfigMap"]
        text = json.dumps(document)
        for name in maps:
            text = text.replace(f'"{name}"', '"settings"')
        document = json.loads(text)  # noqa: PLW2901
        if document["kind"] == "ConfigMap":
            data = document["data"]
            document["data"] = {key: value.removeprefix(MARK) for key, value in data.items()}
        if document["kind"] != "Namespace":
            found[document["kind"], document["metadata"]["name"]] = document
    return found


def kustomized(directory, *components, **more):
    made = {
        "resources": ["cron/base"],
        "components": [f"cron/components/{name}" for name in components],
        **more,
    }
    (directory / "cron").symlink_to(CRON)
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(made))
    return kustomize(directory)


ROLE = "arn:aws:iam::000000000000:role/luxima-retention-audit-logs"
_ROLE_PATCH = f"""
apiVersion: v1
kind: ServiceAccount
metadata:
  name: audit-logs
  namespace: luxima-retention
  annotations:
    eks.amazonaws.com/role-arn: {ROLE}
"""


@pytest.mark.parametrize(
    ("values", "components", "more"),
    [
        ([], [], {}),
        (["suspend=true"], ["paused"], {}),
        (["shards=4"], ["sharded"], {}),
        (["logVolume.enabled=true"], ["log-volume"], {}),
        (["jobs=true"], ["jobs"], {}),
        (["jobs=true", "shards=4", "logVolume.enabled=true"], ["jobs", "sharded", "log-volume"], {}),
        (
            ["image.repository=mirror/luxima", "image.tag=9.9.9"],
            [],
            {"images": [{"name": "luxima/luxima-retention", "newName": "mirror/luxima", "newTag": "9.9.9"}]},
        ),
        (
            [f"image.digest={DIGEST}"],
            [],
            {"images": [{"name": "luxima/luxima-retention", "digest": DIGEST}]},
        ),
        (
            [f"serviceAccounts.audit-logs.eks\\.amazonaws\\.com/role-arn={ROLE}"],
            [],
            {"patches": [{"patch": _ROLE_PATCH}]},
        ),
    ],
    ids=["as-it-is", "paused", "sharded", "log-volume", "jobs", "together", "mirror", "digest", "roles"],
)
def test_helm_and_kustomize_make_the_same(values, components, more, tmp_path):
    assert compared(templated(*values)) == compared(kustomized(tmp_path, *components, **more))


def test_staging_is_the_same_too(tmp_path):
    ours = templated("dryRun=true", "logVolume.enabled=true", namespace="luxima-retention-staging")
    assert compared(ours) == compared(kustomize(CRON / "overlays" / "staging"))
    assert {item["metadata"]["namespace"] for item in ours} == {"luxima-retention-staging"}


def test_every_document_has_its_schema():
    """Those of other versions as well, since kustomize makes the same and those are held to each of them."""
    everything = templated(
        "jobs=true",
        "shards=4",
        "logVolume.enabled=true",
        "suspend=true",
        "nativeSidecars=true",
        "podSpec.nodeSelector.disk=ssd",
        "podSpec.priorityClassName=low",
    )
    for document in everything:
        assert fits(document, VERSIONS[-1])


def test_the_linter_has_nothing_to_say():
    done = helm("lint", "--strict", CHART, "--set", "jobs=true,shards=4,logVolume.enabled=true")
    assert (done.returncode, "[WARNING]" in done.stdout, "[ERROR]" in done.stdout) == (0, False, False), done


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("suspended=true", "'suspended' not allowed"),
        ("image.tga=1", "'tga' not allowed"),
        ("image.digest=sha256:short", "/image/digest"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("shards=0", "/shards"),
        ("jobs=yes", "/jobs"),
        ("serviceAccounts.audit-log.role=x", "'audit-log'"),
        ("podSpec.securityContext.runAsUser=0", "'securityContext'"),
        ("podSpec.hostNetwork=true", "'hostNetwork'"),
        ("logVolume.logs=", "/logVolume/logs"),
    ],
)
def test_a_value_that_means_nothing_is_refused(value, named):
    done = helm("template", "luxima", CHART, "--set", value)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr
    assert named in done.stderr


def test_every_value_has_a_schema_and_a_comment():
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    text = (CHART / "values.yaml").read_text()
    values = yaml.safe_load(text)
    assert set(values) == set(schema["properties"]) - {"global"}
    jsonschema.validate(values, schema)
    for name in values:
        before = text[: text.index(f"\n{name}:")].splitlines()[-1]
        assert before.startswith("#") or name == "image"


def rank(item):
    """When helm brings a document: before the release by weight, with it, or after it."""
    notes = item["metadata"].get("annotations", {})
    hook = notes.get("helm.sh/hook", "").partition("-")[0]
    return ["pre", "", "post"].index(hook), int(notes.get("helm.sh/hook-weight", 0))


def test_what_migrate_needs_is_there_before_it_and_cron_jobs_come_after_it():
    documents = templated("jobs=true")
    found = {(item["kind"], item["metadata"]["name"]): item for item in documents}
    migrate, doctor = found["Job", "migrate"], found["Job", "doctor"]
    template = migrate["spec"]["template"]["spec"]
    (settings,) = (item["configMap"]["name"] for item in template["volumes"] if "configMap" in item)
    assert template["serviceAccountName"] == "default"
    assert rank(found["ConfigMap", settings]) < rank(migrate)
    assert rank(found["NetworkPolicy", "migrate"]) < rank(migrate)
    assert all(rank(migrate) < rank(job) < rank(doctor) for job in of_kind("CronJob", documents).values())
    hooks = [item for item in documents if "helm.sh/hook" in item["metadata"].get("annotations", {})]
    # Each is there already when the release is upgraded.
    assert {item["metadata"]["annotations"]["helm.sh/hook-delete-policy"] for item in hooks} == {
        "before-hook-creation"
    }


def test_a_mesh_with_native_sidecars_is_not_refused():
    for item in of_kind("CronJob", templated("nativeSidecars=true")).values():
        metadata = item["spec"]["jobTemplate"]["spec"]["template"]["metadata"]
        assert "sidecar.istio.io/inject" not in metadata["labels"]
        assert "linkerd.io/inject" not in metadata["annotations"]
        assert "cluster-autoscaler.kubernetes.io/safe-to-evict" in metadata["annotations"]


def test_the_name_of_the_settings_says_what_they_hold(tmp_path):
    shutil.copytree(CHART, tmp_path / "chart")
    file = tmp_path / "chart" / "files" / "luxima-retention.toml"
    file.write_text(file.read_text() + '\n[telemetry]\nenvironment = "{{ .Values.suspend }}"\n')
    done = helm("template", "luxima", tmp_path / "chart")
    (other,) = of_kind("ConfigMap", filter(None, yaml.safe_load_all(done.stdout))).values()
    (ours,) = of_kind("ConfigMap", templated()).values()
    assert other["metadata"]["name"] != ours["metadata"]["name"]
    # Settings are no template.
    assert other["data"]["luxima-retention.toml"] == file.read_text()
