"""What may act on an alert: the manifests for Argo Events and KEDA, their limits and their rights."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jsonschema
import promql_parser
import pytest
import yaml

from luxima_retention.tell.observability.provisioning import contact_points
from luxima_retention.tell.observability.source import assumed, rules
from tests.clusters import fits, kustomize

ROOT = Path(__file__).parents[2]
ACTIONS = ROOT / "observability" / "actions"
VERSIONS = ("1.31", "1.37")
ACCOUNT = {"kind": "ServiceAccount", "name": "luxima-actions", "namespace": "luxima-actions"}


def closed(required, **properties):
    """An object of these members and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required.split(),
        "properties": properties,
    }


TEXT, WHOLE, FREE = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 1}, {"type": "object"}
# Source of these: argo-events, pkg/apis/events/v1alpha1 (sensor_types.go, eventsource_types.go,
# webhook_context.go, template.go); only what is used here, so that another name is a finding.
POD = closed(
    "serviceAccountName securityContext container",
    serviceAccountName=TEXT,
    securityContext=FREE,
    container=closed("securityContext resources", securityContext=FREE, resources=FREE),
)
PARAMETER = closed(
    "src dest", dest=TEXT, src=closed("dependencyName contextKey", dependencyName=TEXT, contextKey=TEXT)
)
RATE = closed(
    "unit requestsPerUnit",
    unit={"enum": ["Second", "Minute", "Hour"]},
    requestsPerUnit=WHOLE,
)
K8S = closed(
    "operation patchStrategy source parameters",
    operation={"const": "patch"},
    patchStrategy={"const": "application/strategic-merge-patch+json"},
    source=closed("resource", resource=FREE),
    parameters={"type": "array", "items": PARAMETER},
)
FILTER = closed(
    "path type value",
    path=TEXT,
    type={"enum": ["bool", "number", "string"]},
    value={"type": "array", "items": TEXT},
)
SENSOR = closed(
    "template dependencies triggers",
    template=POD,
    dependencies={
        "type": "array",
        "items": closed(
            "name eventSourceName eventName filters",
            name=TEXT,
            eventSourceName=TEXT,
            eventName=TEXT,
            filters=closed("data", data={"type": "array", "items": FILTER}),
        ),
    },
    triggers={
        "type": "array",
        "items": closed(
            "template rateLimit",
            rateLimit=RATE,
            template={
                "oneOf": [
                    closed("name log", name=TEXT, log=closed("intervalSeconds", intervalSeconds=WHOLE)),
                    closed("name k8s", name=TEXT, k8s=K8S),
                ]
            },
        ),
    },
)
EVENT_SOURCE = closed(
    "template service webhook",
    template=POD,
    service=closed("ports", ports={"type": "array"}),
    webhook={
        "type": "object",
        "additionalProperties": closed(
            "port endpoint method authSecret maxPayloadSize",
            port={"type": "string", "pattern": r"^\d+$"},
            endpoint={"type": "string", "pattern": "^/"},
            method={"const": "POST"},
            authSecret=closed("name key", name=TEXT, key=TEXT),
            maxPayloadSize=WHOLE,
        ),
    },
)
# Source: KEDA's documentation, "ScaledObject specification" and "Prometheus" (2.22).
RULES = closed(
    "",
    stabilizationWindowSeconds=WHOLE,
    selectPolicy={"enum": ["Max", "Min", "Disabled"]},
    policies={
        "type": "array",
        "items": closed(
            "type value periodSeconds",
            type={"enum": ["Pods", "Percent"]},
            value=WHOLE,
            # A HorizontalPodAutoscaler takes at most half an hour.
            periodSeconds={"type": "integer", "minimum": 1, "maximum": 1800},
        ),
    },
)
SCALED_OBJECT = closed(
    "scaleTargetRef pollingInterval cooldownPeriod minReplicaCount maxReplicaCount advanced triggers",
    scaleTargetRef=closed("apiVersion kind name", apiVersion=TEXT, kind=TEXT, name=TEXT),
    pollingInterval=WHOLE,
    cooldownPeriod=WHOLE,
    minReplicaCount=WHOLE,
    maxReplicaCount=WHOLE,
    advanced=closed(
        "horizontalPodAutoscalerConfig",
        horizontalPodAutoscalerConfig=closed(
            "behavior", behavior=closed("scaleUp scaleDown", scaleUp=RULES, scaleDown=RULES)
        ),
    ),
    triggers={
        "type": "array",
        "items": closed(
            "type metricType metadata",
            type={"const": "prometheus"},
            metricType={"enum": ["Value", "AverageValue"]},
            metadata=closed(
                "serverAddress query threshold activationThreshold ignoreNullValues",
                serverAddress=TEXT,
                query=TEXT,
                threshold=TEXT,
                activationThreshold=TEXT,
                ignoreNullValues={"const": "false"},
            ),
        ),
    },
)
SCHEMAS = {"Sensor": SENSOR, "EventSource": EVENT_SOURCE, "ScaledObject": SCALED_OBJECT}


@cache
def rendered(name="", *, live=False):
    """The manifests, as they stand or with the component that makes them act."""
    if not live:
        return kustomize(ACTIONS / name)
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as directory:
        (Path(directory) / "actions").symlink_to(ACTIONS)
        chosen = {
            "resources": ["actions" if not name else f"actions/{name}"],
            "components": [f"actions/{name}/live" if name else "actions/live"],
        }
        (Path(directory) / "kustomization.yaml").write_text(yaml.safe_dump(chosen))
        return kustomize(directory)


def one(kind, documents):
    (found,) = (item for item in documents if item["kind"] == kind)
    return found


EVERY = [(name, live) for name in ("", "scale") for live in (False, True)]


@pytest.mark.parametrize(("name", "live"), EVERY)
def test_every_manifest_has_the_schema_of_its_kind(name, live):
    for document in rendered(name, live=live):
        if schema := SCHEMAS.get(document["kind"]):
            jsonschema.validate(document["spec"], schema)
        else:
            for version in VERSIONS:
                assert fits(document, version)


@pytest.mark.parametrize("change", [{"rateLimits": {}}, {"retry": 1}])
def test_a_misspelt_name_would_be_found(change):
    sensor = one("Sensor", rendered())["spec"]
    wrong = {**sensor, "triggers": [{**sensor["triggers"][0], **change}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SENSOR)


def test_as_they_stand_they_change_nothing_and_have_no_right():
    documents = (*rendered(), *rendered("scale"))
    kinds = {item["kind"] for item in documents}
    assert not kinds & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    sensor = one("Sensor", documents)
    assert sensor["metadata"]["labels"]["luxima.id/dry-run"] == "true"
    assert all(set(item["template"]) == {"name", "log"} for item in sensor["spec"]["triggers"])
    for item in documents:
        if item["kind"] == "ScaledObject":
            assert item["metadata"]["annotations"] == {"autoscaling.keda.sh/paused": "true"}
            assert item["metadata"]["labels"]["luxima.id/dry-run"] == "true"


def test_live_has_exactly_these_rights():
    documents = rendered(live=True)
    assert not any(item["kind"].startswith("Cluster") for item in documents)
    role, binding = one("Role", documents), one("RoleBinding", documents)
    assert role["rules"] == [
        {
            "apiGroups": ["apps"],
            "resources": ["deployments"],
            "resourceNames": ["edge-worker"],
            "verbs": ["get", "patch"],
        }
    ]
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "luxima"
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [ACCOUNT]


def test_what_live_patches_is_what_it_may_and_only_an_annotation():
    documents = rendered(live=True)
    sensor, role = one("Sensor", documents), one("Role", documents)
    assert sensor["metadata"]["labels"]["luxima.id/dry-run"] == "false"
    (trigger,) = sensor["spec"]["triggers"]
    resource = trigger["template"]["k8s"]["source"]["resource"]
    assert resource["metadata"]["name"] in role["rules"][0]["resourceNames"]
    assert resource["metadata"]["namespace"] == role["metadata"]["namespace"]
    annotations = {"kubectl.kubernetes.io/restartedAt": ""}
    assert resource["spec"] == {"template": {"metadata": {"annotations": annotations}}}
    (parameter,) = trigger["template"]["k8s"]["parameters"]
    assert parameter["dest"].replace("\\.", "_").split(".")[-1] == "kubectl_kubernetes_io/restartedAt"
    assert sensor["spec"]["template"]["serviceAccountName"] == ACCOUNT["name"]


def test_the_admission_policy_names_the_account_and_refuses_by_default():
    documents = rendered(live=True)
    policy = one("ValidatingAdmissionPolicy", documents)
    binding = one("ValidatingAdmissionPolicyBinding", documents)
    assert (binding["spec"]["policyName"], policy["spec"]["failurePolicy"]) == ("luxima-actions", "Fail")
    assert "Deny" in binding["spec"]["validationActions"]
    (condition,) = policy["spec"]["matchConditions"]
    assert f'"system:serviceaccount:{ACCOUNT["namespace"]}:{ACCOUNT["name"]}"' in condition["expression"]
    (rule,) = policy["spec"]["validations"]
    for kept in ("template.spec", "replicas", "template.metadata.labels"):
        assert f"object.spec.{kept} == oldObject.spec.{kept}" in rule["expression"]


@pytest.mark.parametrize("live", [False, True])
def test_it_acts_at_most_once_an_hour_and_on_firing_alerts_only(live):
    sensor = one("Sensor", rendered(live=live))["spec"]
    names = {item["name"] for item in sensor["dependencies"]}
    for trigger in sensor["triggers"]:
        assert trigger["rateLimit"] == {"unit": "Hour", "requestsPerUnit": 1}
        assert trigger["template"]["name"] in names
    for dependency in sensor["dependencies"]:
        wanted = {item["path"]: item["value"] for item in dependency["filters"]["data"]}
        assert wanted["body.status"] == ["^firing$"]
        assert wanted["body.commonLabels.action"] == [f"^{dependency['name']}$"]


def test_every_action_of_the_alerts_has_somebody_who_takes_it():
    known = {item["name"] for item in one("Sensor", rendered())["spec"]["dependencies"]}
    wanted = {alert.action for alert in rules("luxima", (), "production").alerts if alert.action}
    # Scaling a database is for KEDA, or for a person: docs/actions.md.
    assert wanted == known | {"scale-database"}


def test_the_webhook_asks_for_the_token_that_grafana_sends():
    (webhook,) = one("EventSource", rendered())["spec"]["webhook"].values()
    assert webhook["authSecret"] == {"name": "luxima-actions", "key": "token"}
    points = {item["name"]: item["receivers"][0]["settings"] for item in contact_points()["contactPoints"]}
    sent = next(value for name, value in points.items() if "actions" in name)
    assert sent["authorization_scheme"] == "Bearer"
    assert sent["authorization_credentials"] == "$LUXIMA_ACTIONS_SECRET"
    assert "hmacConfig" not in sent


@pytest.mark.parametrize("name", ["billing-worker", "luxima-db"])
def test_what_is_scaled_has_limits_and_a_query_of_known_metrics(name):
    (item,) = (item for item in rendered("scale", live=True) if item["metadata"]["name"] == name)
    assert "annotations" not in item["metadata"] or not item["metadata"]["annotations"]
    spec = item["spec"]
    assert 1 <= spec["minReplicaCount"] < spec["maxReplicaCount"] <= 4
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleUp"]["policies"][0]["value"] == 1
    query = spec["triggers"][0]["metadata"]["query"]
    assert promql_parser.parse(query)
    metrics = {metric["name"] for metric in assumed()["metrics"].values()}
    assert any(metric in query for metric in metrics)


def test_the_database_grows_by_its_alert_and_never_shrinks_by_itself():
    (item,) = (item for item in rendered("scale") if item["metadata"]["name"] == "luxima-db")
    alert = next(item for item in rules("luxima", (), "production").alerts if item.name == "DatabaseLatency")
    metadata = item["spec"]["triggers"][0]["metadata"]
    assert metadata["query"].replace("\n", " ") == f"max({alert.value})"
    assert float(metadata["threshold"]) == alert.threshold
    behavior = item["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleDown"] == {"selectPolicy": "Disabled"}
    assert f"{behavior['scaleUp']['stabilizationWindowSeconds'] // 60}m" == alert.wait
