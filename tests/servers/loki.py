"""The HTTP side of a Loki, answering as a real one was seen to: pages that it does not have are 404."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.servers.stub import Answer, Stub, run_stub

DATA = Path(__file__).parents[1] / "data" / "loki"


@cache
def _captured(retention: str) -> Any:
    return yaml.load((DATA / f"config-retention-{retention}.yaml").read_text(), yaml.CSafeLoader)


def config_of(bucket: str, *, retention: str = "off", **changes: Any) -> dict[str, Any]:
    """``/config`` of a captured Loki, for another bucket.

    Args:
        bucket: its name, or several with commas between them.
        retention: ``off``, or ``on-720h``: its compactor deletes.
        changes: section with a dot, then member → value: ``{"storage_config.object_prefix": "a"}``.
    """
    found = copy.deepcopy(_captured(retention))
    found["storage_config"]["aws"]["bucketnames"] = bucket
    for path, value in changes.items():
        *sections, member = path.split(".")
        inner = found
        for section in sections:
            inner = inner[section]
        inner[member] = value
    return found


def period(start: str = "2026-09-04", **changes: Any) -> dict[str, Any]:
    """An entry of ``schema_config.configs``."""
    index = {"path_prefix": "index/", "prefix": "index_", "period": "1d", "tags": {}}
    found = {"from": start, "store": "tsdb", "object_store": "s3", "schema": "v13", "index": index}
    for name, value in changes.items():
        (index if name in index else found)[name] = value
    return found


@contextmanager
def run_loki(
    config: Mapping[str, Any] | str,
    *,
    runtime: Mapping[str, Any] | str | None = None,
    limits: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[Stub]:
    """A Loki that answers.

    Args:
        config: of ``/config``.
        runtime: of ``/runtime_config``; ``None`` where there is no such page.
        limits: by tenant, of ``/config/tenant/v1/limits``; ``None`` for Loki before 3.6.
    """
    pages = {"/config": _text(config), "/ready": "ready\n"}
    pages |= {"/runtime_config": _text(runtime)} if runtime else {}

    def answer(method: str, target: str, headers: Mapping[str, str], _: bytes) -> Answer:
        page = pages.get(target)
        if target == "/config/tenant/v1/limits" and limits is not None:
            tenant = headers.get("X-Scope-OrgID")
            if not tenant:
                return Answer(401, b"no org id\n")
            page = _text(limits.get(tenant, {"retention_period": "0s"}))
        if method != "GET" or page is None:
            return Answer(404, b"404 page not found\n")
        return Answer(200, page.encode(), {"Content-Type": "text/plain; charset=utf-8"})

    with run_stub(answer) as stub:
        yield stub


def _text(page: Mapping[str, Any] | str) -> str:
    return page if isinstance(page, str) else yaml.dump(page, Dumper=yaml.CSafeDumper)
