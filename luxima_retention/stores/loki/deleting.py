"""The half of the buckets that deletes: whole requests side by side, each object in every version.

Sources: Amazon S3 API Reference, DeleteObjects (per-key errors in a 200 answer), "Deleting object versions".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from luxima_retention.core.errors import RunStopped, StoreError
from luxima_retention.io.failpoints import failpoint
from luxima_retention.io.objects import is_missing_operation
from luxima_retention.stores.loki.bucket import ABREAST, BATCH, Buckets
from luxima_retention.stores.loki.locate import Looker

#: DeleteObjects requests side by side; services count each of their objects against their limits
_DELETING = 4
#: an object, or one version of it, as requests name it
Target = Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class Deletion:
    """What became of keys that were to be deleted: each is in one of these.

    Args:
        gone: was there, and is not any more.
        absent: was not there.
        young: was uploaded too recently, and stays.
        failures: could not be deleted, with a sentence.
        left: not tried, because the run was told to stop.
    """

    gone: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    young: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)


class WritableBuckets(Buckets):
    """The same, and it deletes."""

    #: whether the service is asked for each object; unknown until it has answered for several
    _singly: bool | None = None

    def delete(
        self,
        keys: Iterable[str],
        *,
        listed: bool = False,
        newest: datetime | None = None,
        looker: Looker | None = None,
    ) -> Deletion:
        """Really delete keys, in whatever bucket they are, in every version.

        Args:
            keys: of objects; some ten thousand at most.
            listed: they were listed a moment ago, so that they need not be looked for.
            newest: what was uploaded later stays.
            looker: looks for them; its own by default.

        Raises:
            StoreError: a whole request failed.
        """
        wanted, done = list(dict.fromkeys(keys)), Deletion()
        if listed and len(self.names) == 1 and not self.versioned:
            self._delete({self.names[0]: {key: [None] for key in wanted}}, done)
            done.gone.update(set(wanted) - done.failures.keys() - done.left)
            return done
        try:
            there = (looker or Looker(self)).locate(wanted)
        except RunStopped:
            done.left.update(wanted)
            return done
        present = {key for found in there.values() for key in found}
        if newest is not None:
            late = {key for found in there.values() for key, item in found.items() if item.modified > newest}
            done.young |= late
            present -= late
        absent = set(wanted) - present - done.young
        targets: dict[str, dict[str, list[str | None]]] = {}
        for bucket, found in there.items():
            targets[bucket] = {key: item.versions for key, item in found.items() if key in present}
            if bucket not in self.versioned:
                # Asked for all the same: a service that lists in another order must not keep any.
                targets[bucket] |= {key: [None] for key in wanted if key in absent}
        self._delete(targets, done)
        done.absent.update(absent - done.failures.keys() - done.left)
        done.gone.update(present - done.failures.keys() - done.left)
        return done

    def _delete(self, keys: Mapping[str, Mapping[str, Sequence[str | None]]], done: Deletion) -> None:
        """Ask for all of it; the first request alone, since it may find out how this service is asked."""
        names = {self.wire(key): key for found in keys.values() for key in found}
        asked = [
            (bucket, targets[start : start + BATCH])
            for bucket, found in keys.items()
            if (targets := _targets({self.wire(key): versions for key, versions in found.items()}))
            for start in range(0, len(targets), BATCH)
        ]
        answers: list[Mapping[str, Any] | None] = []
        if self._singly is None and asked:
            answers.append(self._request(*asked[0], first=True))
        left = asked[len(answers) :]
        with ThreadPoolExecutor(1 if self._singly else _DELETING) as pool:
            answers += pool.map(
                lambda one: self._request(*one[1], first=not one[0]), enumerate(left, len(answers))
            )
        for (_, targets), answer in zip(asked, answers, strict=True):
            if answer is None:
                done.left.update(names[target["Key"]] for target in targets)
            else:
                done.failures |= {
                    names.get(wire, wire): sentence for wire, sentence in _failures(targets, answer).items()
                }

    def _request(self, bucket: str, targets: Sequence[Target], *, first: bool) -> Mapping[str, Any] | None:
        """The answer for some objects; ``None`` where the run was told to stop before there was one."""
        if not first and self.patience.stopping():
            return None
        failpoint("loki.before_request")
        try:
            answer = self._one_by_one(bucket, targets) if self._singly else self._together(bucket, targets)
        except RunStopped:
            return None
        failpoint("loki.after_request")
        return answer

    def _together(self, bucket: str, targets: Sequence[Target]) -> Mapping[str, Any]:
        """One request; services that do not have it are asked for each object instead, from then on."""
        from botocore.exceptions import ClientError

        try:
            answer: Mapping[str, Any] = self.call(
                bucket, self.client.delete_objects, Bucket=bucket, Delete={"Objects": targets}
            )
        except StoreError as error:
            cause = error.__cause__
            if not isinstance(cause, ClientError) or not _lacks_multi_delete(cause):
                raise
            self._singly = True
            return self._one_by_one(bucket, targets)
        self._singly = False
        return answer

    def _one_by_one(self, bucket: str, targets: Sequence[Target]) -> Mapping[str, Any]:
        """DeleteObject for each, answered as DeleteObjects would."""

        def ask(target: Target) -> dict[str, str] | None:
            try:
                self.call(bucket, self.client.delete_object, Bucket=bucket, **target)
            except StoreError as error:
                return {"Key": target["Key"], "Code": "", "Message": error.message}
            return None

        with ThreadPoolExecutor(ABREAST) as pool:
            errors = list(pool.map(ask, targets))
        return {
            "Errors": [error for error in errors if error],
            "Deleted": [target for target, error in zip(targets, errors, strict=True) if not error],
        }


def _targets(wires: Mapping[str, Sequence[str | None]]) -> list[Target]:
    return [
        {"Key": wire} if version is None else {"Key": wire, "VersionId": version}
        for wire, versions in wires.items()
        for version in versions
    ]


def _lacks_multi_delete(error: Any) -> bool:
    """Google's interoperability and older services take the request for something else, in many words."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = error.response.get("Error", {}).get("Code")
    return is_missing_operation(error) or (status in {400, 404, 411} and code != "NoSuchBucket")


def _failures(targets: Sequence[Target], answer: Mapping[str, Any]) -> dict[str, str]:
    """What an answer does not say is gone, is not: a sentence by key, as it goes over the wire."""
    gone = {item.get("Key") for item in answer.get("Deleted", ())}
    found = {
        item["Key"]: f"{item['Key']}: the service does not confirm that it was deleted"
        for item in targets
        if item["Key"] not in gone
    }
    for error in answer.get("Errors", ()):
        wire = str(error.get("Key"))
        found[wire] = f"{wire}: {error.get('Code')} {error.get('Message', '')}".strip()
    return found
