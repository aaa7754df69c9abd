"""Settings as a file would give them, for tests that work below the command."""

from __future__ import annotations

from luxima_retention.config.connections import s3_access
from luxima_retention.config.sources import layered
from luxima_retention.core.plan import Count, Identity, Plan
from luxima_retention.stores.loki import open_loki
from luxima_retention.stores.registry import options


def plan_of(**values):
    """A plan, each figure of which is another one."""
    usual = {
        "policy": "audit-logs",
        "identity": Identity(kind="memory", target="core.audit_log", fingerprint="memory:1"),
        "retention_days": 180,
        "cutoff_basis": "store clock",
        "items": 70,
        "held": 5,
        "locked": 2,
        "undated": 3,
        "future": 1,
        "population": Count(value=100, exact=False),
        "size_bytes": Count(value=7000),
    }
    return Plan(**{**usual, **values})


def settings_of(values=None):
    """The settings of one layer over the defaults."""
    settings, _ = layered([("the test", values or {})], options())
    return settings


def s3_section(server, **more):
    """``s3.default`` of a test server."""
    return {
        "endpoint_url": server.endpoint_url,
        "region": server.region,
        "access_key_id": server.access_key,
        "secret_access_key": server.secret_key,
        **more,
    }


def s3_variables(server, name="default"):
    """The same in the environment."""
    return {f"LUXIMA_S3__{name.upper()}__{key.upper()}": value for key, value in s3_section(server).items()}


def loki_settings(server, bucket, **more):
    """Settings with one Loki bucket of a test server."""
    loki = {"buckets": [bucket], **more}
    return settings_of({"policies": {"application-logs": loki}, "s3": {"default": s3_section(server)}})


def opened_loki(settings, **opening):
    """The store of the policy ``application-logs``."""
    policy = settings.policy("application-logs")
    access = s3_access(settings.s3_named(policy.options.s3))
    return open_loki(policy.options, access, **opening)
