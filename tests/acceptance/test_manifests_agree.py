"""CronJobs, crontab and daemon from one settings file, with a policy that was added there only."""

from __future__ import annotations

import json
import shlex
import subprocess
import sysconfig
from contextlib import closing
from datetime import datetime
from pathlib import Path

import yaml

from luxima_retention.core.errors import ExitCode
from luxima_retention.run.state import State
from tests.servers.command import Command

ROOT = Path(__file__).parents[2]
DSN = "postgresql://role@127.0.0.1/database\n"
SIXTH = """
[policies.billing-webhooks]
kind = "table"
retention_days = 45
tables = [{ table = "billing.webhook_log", time_column = "received_at" }]
schedule = "41 2 * * *"
basis = "Contract with payment partners, clause 7"   # and owner, review_by: shown in matrix, ledger, report
"""
SEED = {"application-logs", "security-events", "audit-logs", "metrics", "log-files"}
#: a Prometheus that is not there
NOBODY = {"LUXIMA_PROMETHEUS__URLS": "http://127.0.0.1:1"}
OTHERS = {
    "application-logs-sweep",
    "archive-drill",
    "archive-expire",
    "archive-verify",
    "ledger-verify",
    "observability-check",
    "report",
}


def prepared(directory):
    """The committed settings with a sixth policy, and the secrets that an administrator has."""
    file = directory / "luxima-retention.toml"
    file.write_text((ROOT / "cron" / "base" / file.name).read_text() + SIXTH)
    secrets = directory / "secrets"
    secrets.mkdir()
    for name in ("database__dsn", "databases__supabase__dsn"):
        (secrets / name).write_text(DSN)
    return Command(variables={"LUXIMA_CONFIG": str(file), "LUXIMA_SECRETS_DIR": str(secrets)}, cwd=directory)


def cron_jobs(directory):
    """Expression and arguments of each CronJob."""
    kubectl = Path(sysconfig.get_path("scripts")) / "kubectl"
    done = subprocess.run(
        [kubectl, "kustomize", directory], capture_output=True, text=True, check=True, timeout=300
    )
    for document in yaml.load_all(done.stdout, yaml.CSafeLoader):
        if document["kind"] == "CronJob":
            spec = document["spec"]
            (run,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
            arguments = [word for word in run["args"] if word not in {"--output", "json"}]
            yield document["metadata"]["name"], (spec["schedule"], spec["timeZone"], arguments)


def crontab(text):
    """Expression and arguments of each line."""
    for line in text.splitlines():
        if line[:1] in set("0123456789*"):
            *fields, _, words = line.split(maxsplit=6)
            yield " ".join(fields), shlex.split(words)[1:]


def test_a_run_beside_another_one_fails_no_cron_job(tmp_path):
    """What CronJobs, crontab and daemon give: exit 0, and the outcome says what it was."""
    (tmp_path / "service.log").write_text("works\n")
    sets = json.dumps({"services": {"paths": [f"{tmp_path}/*.log"], "method": "rename"}})
    ledger = str(tmp_path / "ledger")
    command = Command(variables={"LUXIMA_LEDGER__PATH": ledger, "LUXIMA_ROTATION__SETS": sets}, cwd=tmp_path)
    with closing(State("", ledger)) as state:
        lease = state.lease("log-files")
        skipped = command.json("run", "log-files", "--if-locked", "skip")
        assert [policy["outcome"] for policy in skipped["policies"]] == ["locked"]
        command.json("run", "log-files", code=ExitCode.LOCKED)
        # With a fault besides, the fault counts.
        command.json("run", "log-files", "metrics", "--if-locked", "skip", code=ExitCode.INCOMPLETE, **NOBODY)
        lease.release()
    command.json("run", "log-files", "--if-locked", "skip")


def test_cluster_cron_and_daemon_agree_on_five_policies_and_a_sixth(tmp_path):
    command = prepared(tmp_path)
    done = command("manifests", "--output", "out")
    assert done.returncode == 0, done.stderr
    jobs = dict(cron_jobs(tmp_path / "out" / "base"))
    assert jobs.keys() == SEED | OTHERS | {"billing-webhooks"}
    assert jobs["billing-webhooks"][:2] == ("41 2 * * *", "Asia/Jakarta")
    wanted = sorted((expression, arguments) for expression, _, arguments in jobs.values())
    assert sorted(crontab((tmp_path / "out" / "crontab").read_text())) == wanted

    # As many as make sure that the monthly one is among them.
    coming = command.json("schedule", "--print-next", "250")["runs"]
    daemon = {run["slot"]: run for run in coming}
    assert daemon.keys() == jobs.keys()
    for name, run in daemon.items():
        expression, _, arguments = jobs[name]
        assert run["arguments"] == arguments
        local = datetime.fromisoformat(run["local"])
        assert expression.split()[:2] == [str(local.minute), str(local.hour)]

    matrix = json.dumps(command.json("matrix"))
    assert "billing.webhook_log" in matrix
    assert command("manifests", "--output", "out", "--check").returncode == 0
    (tmp_path / "out" / "crontab").unlink()
    checked = command("manifests", "--output", "out", "--check")
    assert (checked.returncode, checked.stdout) == (ExitCode.DRIFT, "crontab\n")
