"""Where metrics go: groups of a Pushgateway, files of a node exporter's textfile collector.

Sources: Pushgateway's "API" (POST replaces metrics of the same name and leaves the others; timestamps are
refused; a label value with a slash is sent as base64), node_exporter's "Textfile Collector".
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from luxima_retention.core.errors import RetentionError, StoreError
from luxima_retention.tell.families import FAMILIES, PREFIX, Sample, exposition, registry

if TYPE_CHECKING:
    from luxima_retention.io.http import Http

JOB = "luxima_retention"
#: what a file keeps of the last successful run while later ones fail
_KEPT = "last_success_timestamp_seconds"
_SAID = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What is told together and replaces what was told before.

    Args:
        key: the grouping key besides ``job``: ``environment``, ``policy``, and ``shard`` for a part of one.
        samples: of all its families.
        part: tells files of one policy apart: ``verify``.
    """

    key: Mapping[str, str]
    samples: tuple[Sample, ...]
    part: str = ""


def push(http: Http, groups: Iterable[Group]) -> list[str]:
    """Send groups to a Pushgateway; a sentence for each that it did not take.

    One that cannot be reached is not asked again for the next group.
    """
    from prometheus_client import pushadd_to_gateway

    from luxima_retention.io.http import HttpError

    said = []
    for group in groups:
        try:
            key = dict(group.key)
            pushadd_to_gateway(http.url, JOB, registry(group.samples), key, handler=partial(_send, http))
        except Refused as error:
            said.append(error.message)
        except HttpError as error:
            return [*said, f"{http.url} {error.reason}"]
        except RetentionError as error:
            return [*said, error.message]
    return said


def forget(http: Http, key: Mapping[str, str]) -> None:
    """Delete the group of a policy that is gone.

    Raises:
        StoreError: the Pushgateway cannot be reached, or refuses.
    """
    from prometheus_client import delete_from_gateway

    delete_from_gateway(http.url, JOB, dict(key), handler=partial(_send, http))


class Refused(StoreError):  # noqa: N818 - the answer, not the class, is the error
    """A Pushgateway did not take what it was sent."""


def _send(  # noqa: PLR0917 - the signature that prometheus_client calls
    http: Http,
    url: str,
    method: str,
    timeout: float | None,  # noqa: ARG001 - theirs
    headers: list[tuple[str, str]],
    data: bytes,
) -> Callable[[], None]:
    """How ``prometheus_client`` sends; the limit is the client's own."""

    def send() -> None:
        answer = http.send(method, url.removeprefix(http.url), body=data, headers=dict(headers))
        if not answer.ok:
            told = " ".join(answer.text.split())[:_SAID]
            raise Refused(f"{url} answers {answer.status}{': ' if told else ''}{told}")

    return send


def write_files(directory: Path, groups: Iterable[Group]) -> list[str]:
    """Write a file for each group, whole or not at all; a sentence for each that could not be written."""
    said = []
    for group in groups:
        path = directory / f"{_name(group)}.prom"
        try:
            _replace(path, exposition((*group.samples, *_kept(path, group)), group.key))
        except OSError as error:
            said.append(f"{path} cannot be written: {error.strerror or type(error).__name__}")
    return said


def written(directory: Path) -> list[Sample]:
    """What the files of a directory hold, with all labels of their lines."""
    return [sample for path in sorted(directory.glob(f"{JOB}_*.prom")) for sample in _read(path)]


def _name(group: Group) -> str:
    words = (JOB, group.key["policy"], group.key.get("shard", ""), group.part)
    return "_".join(filter(None, words))


def _kept(path: Path, group: Group) -> list[Sample]:
    """The time of the last success, which a file that is replaced would forget."""
    if any(sample.name == _KEPT for sample in group.samples):
        return []
    return [
        Sample(
            name=sample.name,
            value=sample.value,
            labels={name: sample.labels[name] for name in FAMILIES[_KEPT].labels},
        )
        for sample in _read(path)
        if sample.name == _KEPT
    ]


def _read(path: Path) -> list[Sample]:
    from prometheus_client.parser import text_string_to_metric_families

    try:
        text = path.read_text(encoding="utf-8")
        families = list(text_string_to_metric_families(text))
    except (OSError, ValueError):
        return []
    return [
        Sample(name=name, value=found.value, labels=found.labels)
        for family in families
        for found in family.samples
        if (name := found.name.removeprefix(PREFIX)) in FAMILIES
    ]


def _replace(path: Path, data: bytes) -> None:
    """The collector never sees half a file."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            Path(file.name).chmod(0o644)
            Path(file.name).rename(path)
        except BaseException:
            os.unlink(file.name)  # noqa: PTH108 - by the name that was made
            raise
