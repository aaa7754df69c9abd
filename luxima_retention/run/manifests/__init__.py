"""Kustomize base, components, Helm chart and crontab from the settings: what is scheduled, and no more.

One set of documents makes them all; see ``documents.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from luxima_retention import __version__
from luxima_retention.core.errors import ConfigurationError
from luxima_retention.run.manifests.accounts import account_of, accounts, secret_settings
from luxima_retention.run.manifests.chart import chart
from luxima_retention.run.manifests.documents import (
    APP,
    IMAGE,
    REPOSITORY,
    Document,
    cron_job,
    defaults,
    dumped,
    network_policies,
    service_account,
    template,
)
from luxima_retention.run.manifests.jobs import Jobs, daemon, jobs
from luxima_retention.run.schedule import Slot, slots
from luxima_retention.stores.registry import kind_of

if TYPE_CHECKING:
    from luxima_retention.config.settings import Settings
    from luxima_retention.config.sources import Configuration

_WRITTEN = "Written by `luxima-retention manifests`: change the settings, and write it again."
#: the first line of every file that is written here; others are never touched
MARK = f"# {_WRITTEN}\n"
#: the settings of every pod, below the directory that is written
SETTINGS = "base/luxima-retention.toml"
#: letters of a file that its mark stands in
_HEAD = 200
#: in Argo CD what migrate needs comes before it, and CronJobs come after it
_WAVES = {
    ("v1", "Namespace"): "-3",
    ("v1", "ServiceAccount"): "-2",
    ("v1", "ConfigMap"): "-2",
    ("networking.k8s.io/v1", "NetworkPolicy"): "-2",
}
_WAVE = "argocd.argoproj.io/sync-wave"


def manifests(configuration: Configuration) -> dict[str, str]:
    """The files, by their path below the directory that they are written to.

    Args:
        configuration: in force; secrets come from secret files or the environment, all else from the file.

    Returns:
        Texts by path. Without ``database.dsn`` the crontab only: no pod keeps a ledger in a file.

    Raises:
        ConfigurationError: nothing is scheduled, or the pods would not have these settings.
    """
    settings, chosen = configuration.settings, slots(configuration.settings)
    if not chosen:
        raise ConfigurationError("nothing is scheduled", "configure a policy, and give it a schedule")
    secrets = secret_settings(configuration)
    written = {"crontab": _crontab(settings, chosen)}
    # A ledger in a file is for machines: each pod would begin one anew.
    if settings.database.dsn is not None:
        written[SETTINGS] = configuration.file.read_text(encoding="utf-8") if configuration.file else ""
        written |= _of_the_cluster(settings, chosen, secrets)
        written["chart/files/luxima-retention.toml"] = written[SETTINGS]
    return {name: _marked(name, text) for name, text in written.items()}


def _marked(name: str, text: str) -> str:
    """With the sentence by which a file is known as written here, as a comment of its form."""
    if text.startswith(MARK):
        return text
    if name.endswith(".json"):
        return text.replace("{", f'{{\n  "$comment": "{_WRITTEN}",', 1)
    return f"{{{{- /* {_WRITTEN} */ -}}}}\n{text}" if name.startswith("chart/templates/") else MARK + text


def _of_the_cluster(settings: Settings, chosen: Sequence[Slot], secrets: Sequence[str]) -> dict[str, str]:
    """Base, the components that hang on the settings, and the chart."""
    known = accounts(settings, chosen, secrets)
    crons = {slot.name: cron_job(slot, known[account_of(slot)]) for slot in chosen}
    own, ways = list(map(service_account, known)), network_policies(settings, known.values())
    extra = jobs(settings, secrets, known)
    parts = {
        "base": _base(settings, crons, own, ways),
        "components/jobs": _jobs(extra),
        "components/daemon": _daemon(daemon(settings, secrets)),
        "chart": chart(settings, crons.values(), own, ways, extra),
    }
    return {f"{part}/{name}": text for part, made in parts.items() for name, text in made.items()}


def _base(
    settings: Settings,
    crons: Mapping[str, Document],
    own: Iterable[Document],
    ways: Iterable[Document],
) -> dict[str, str]:
    return {
        "kustomization.yaml": _kustomization(crons),
        "namespace.yaml": template("namespace.yaml"),
        "defaults.yaml": defaults(settings),
        "service-accounts.yaml": dumped(*own),
        "network-policies.yaml": dumped(*ways),
        **{f"jobs/{name}.yaml": dumped(cron) for name, cron in crons.items()},
    }


def _kustomization(names: Iterable[str]) -> str:
    parts = ["namespace.yaml", "service-accounts.yaml", "network-policies.yaml"]
    return dumped(
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "luxima-retention",
            "labels": [{"pairs": APP, "includeTemplates": True}],
            "resources": [*parts, *(f"jobs/{name}.yaml" for name in names)],
            "configMapGenerator": [{"name": "luxima-retention", "files": ["luxima-retention.toml"]}],
            "images": _images(),
            "patches": [{"path": "defaults.yaml", "target": {"kind": "CronJob"}}],
        }
    )


def _images() -> list[Document]:
    return [{"name": IMAGE, "newName": REPOSITORY, "newTag": __version__}]


def _jobs(extra: Jobs) -> dict[str, str]:
    """A component: in Argo CD hooks, whose order the waves say; with ``kubectl`` plain Jobs."""
    migrate = _hook(extra.migrate, "Sync", "-1")
    doctor = _hook(extra.doctor, "PostSync", "0")
    waves = [
        {"target": {"kind": kind}, "patch": dumped(_note(version, kind, {_WAVE: wave}))}
        for (version, kind), wave in _WAVES.items()
    ]
    return {
        "jobs.yaml": dumped(*map(_placed, (migrate, doctor, extra.hold))),
        "accounts.yaml": dumped(*map(_placed, (*extra.accounts, *extra.policies))),
        "kustomization.yaml": _component(["accounts.yaml", "jobs.yaml"], waves),
    }


def _note(version: str, kind: str, notes: Mapping[str, str]) -> Document:
    """A patch that adds annotations, and keeps those that are there."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "any", "annotations": dict(notes)}}


def _hook(document: Document, phase: str, wave: str) -> Document:
    notes = {
        "argocd.argoproj.io/hook": phase,
        _WAVE: wave,
        # A Job cannot be changed: the one before goes first.
        "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
    }
    return {**document, "metadata": {**document["metadata"], "annotations": notes}}


def _daemon(documents: Sequence[Document]) -> dict[str, str]:
    """A component: the daemon as a Deployment, and none of the CronJobs that it stands in for."""
    gone = {
        "$patch": "delete",
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "any"},
    }
    target = {"kind": "CronJob", "labelSelector": "luxima.id/job!=hold"}
    return {
        "daemon.yaml": dumped(*map(_placed, documents)),
        "kustomization.yaml": _component(["daemon.yaml"], [{"target": target, "patch": dumped(gone)}]),
    }


def _component(resources: Sequence[str], patches: Sequence[Document]) -> str:
    return dumped(
        {
            "apiVersion": "kustomize.config.k8s.io/v1alpha1",
            "kind": "Component",
            "resources": list(resources),
            "images": _images(),
            "patches": list(patches),
        }
    )


def _placed(document: Document) -> Document:
    """In the namespace of base; an overlay with another one changes it."""
    return {**document, "metadata": {**document["metadata"], "namespace": "luxima-retention"}}


def differing(wanted: Mapping[str, str], directory: Path) -> list[str]:
    """The names of files that are missing, differ, or were written for settings that are no more.

    Raises:
        ConfigurationError: no job is wanted where there are some: a secret was forgotten, most likely.
    """
    left = list(_left_over(wanted, directory))
    if left and set(wanted) == {"crontab"}:
        raise ConfigurationError(
            f"database.dsn is not set: the {len(left)} jobs in {directory}/base/jobs would be removed",
            "set LUXIMA_SECRETS_DIR or LUXIMA_DATABASE__DSN, or remove them yourself",
        )
    different = [name for name, text in wanted.items() if _content(directory / name) != text]
    return sorted({*different, *left})


def write(wanted: Mapping[str, str], directory: Path) -> list[str]:
    """Write what differs, and remove what an earlier call wrote and nobody wants any more.

    Returns:
        The names of the files that were written or removed.

    Raises:
        ConfigurationError: as :func:`differing`, or a file there was not written here; nothing was written.
    """
    names = differing(wanted, directory)
    for name in names:
        path = directory / name
        if path.is_symlink() or (path.exists() and not _is_ours(path)):
            raise ConfigurationError(
                f"{path} was not written by this command, and is left alone",
                "move it away, or name another directory with --output",
            )
    try:
        for name in names:
            _replace(directory / name, wanted.get(name))
    except OSError as error:
        raise ConfigurationError(f"{error.filename} cannot be written: {error.strerror}") from error
    return names


def _replace(path: Path, text: str | None) -> None:
    """Write the file as a whole, or remove it."""
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _is_ours(path: Path) -> bool:
    return _WRITTEN in (_content(path) or "")[:_HEAD]


def _left_over(wanted: Collection[str], directory: Path) -> Iterator[str]:
    for path in directory.glob("base/jobs/*.yaml"):
        name = path.relative_to(directory).as_posix()
        if name not in wanted and _is_ours(path):
            yield name


def _words(slot: Slot) -> tuple[str, ...]:
    return ("luxima-retention", *slot.arguments)


def _user(settings: Settings, slot: Slot) -> str:
    """Files belong to many users, and hooks reload services: only root may do both. A set may say user."""
    volume = slot.policy is not None and kind_of(settings.policy(slot.policy)).volume
    return "root" if volume else "luxima-retention"


def _crontab(settings: Settings, chosen: Sequence[Slot]) -> str:
    width = max(len(slot.expression) for slot in chosen)
    lines = [
        f"{slot.expression:<{width}}  {_user(settings, slot):<16}  {' '.join(_words(slot))}"
        for slot in chosen
    ]
    return template("crontab").format(zone=settings.schedule.time_zone, lines="\n".join(lines))
