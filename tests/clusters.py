"""What kustomize makes of the manifests, and how tests look at it."""

from __future__ import annotations

import shlex
import subprocess
import sysconfig
from functools import cache
from pathlib import Path

import click
import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils

from luxima_retention.cli import cli
from luxima_retention.config.sources import load
from luxima_retention.stores.registry import options

ROOT = Path(__file__).parents[1]
CRON = ROOT / "cron"
OVERLAYS = ("base", "overlays/staging", "overlays/production")
#: but the daemon, which leaves no CronJob; jobs first, so that the others reach its CronJob too
COMPONENTS = ("jobs", "paused", "sharded", "pushgateway", "otel", "log-volume", "grafana-webhook")
VERSIONS = ("1.31", "1.33", "1.37")
KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"
DSN = "postgresql://role@host/database"
SECRETS = {"database__dsn": DSN, "databases__supabase__dsn": DSN}
#: of the settings that are committed
COMMITTED = {**SECRETS, "notify__telegram_token": "7100000000:AAE-of-this-test"}


#: the definitions of a version are megabytes, which the library reads again for each document
_schema = cache(utils.schema_contents)


def fits(document, version):
    """The version whose schema the document has; an exception where it has it not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", _schema)
        return kubernetes_validate.validate(document, version, strict=True)


def configuration(file, directory, secrets):
    """The settings of a file and of secret files, as a pod or an administrator has them."""
    directory.mkdir(exist_ok=True)
    for name, value in secrets.items():
        (directory / name).write_text(value + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LUXIMA_SECRETS_DIR", str(directory))
        return load(file, options())


def kustomize(directory):
    done = subprocess.run(
        [KUBECTL, "kustomize", directory], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.load_all(done.stdout, yaml.CSafeLoader))


@cache
def rendered(name):
    return kustomize(CRON / name)


def combined(directory, overlay, components=COMPONENTS):
    """An overlay as it is with these components."""
    (directory / "cron").symlink_to(CRON)
    (directory / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "resources": [f"cron/{overlay}"],
                "components": [f"cron/components/{name}" for name in components],
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
    """The command that these words call and its parameters, by the real command line."""
    name, *rest = words
    outer = click.Context(cli)
    command = cli.get_command(outer, name)
    # `report` is a command as well as a group.
    if isinstance(command, click.Group) and (
        rest[0] in command.commands or not command.invoke_without_command
    ):
        name, command, rest = command.resolve_command(outer, rest)
    with command.make_context(name, rest, parent=outer) as inner:
        return name, inner.params


def selects(selector, labels):
    wanted = selector.get("matchLabels", {})
    one_of = selector.get("matchExpressions", [])
    return wanted.items() <= labels.items() and all(
        labels.get(item["key"]) in item["values"] for item in one_of
    )


def secret_files(cron_job):
    """Names of the files below the directory of secrets."""
    for volume in pod(cron_job)["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            yield from (item["path"] for item in source["secret"]["items"])


def lines_of(crontab):
    """Expression and parameters of each line."""
    for line in crontab.splitlines():
        if line[:1] in {*"0123456789*"}:
            *fields, user, words = line.split(maxsplit=6)
            program, *arguments = shlex.split(words)
            assert (user, program) == (
                "root" if "log-files" in words else "luxima-retention",
                "luxima-retention",
            )
            assert "%" not in words
            yield " ".join(fields), parsed(arguments)
