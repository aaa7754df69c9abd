"""Every way to stop, each with its exit code and its hint.

The table stands in ``docs/exit-codes.md``; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from luxima_retention.core.redact import redacted


class ExitCode(IntEnum):
    """What a run's exit status means, for the whole run."""

    #: done: nothing to do, not configured, and dry runs included
    DONE = 0
    #: unexpected fault: a bug, with its traceback at debug level
    FAULT = 1
    #: usage or configuration
    USAGE = 2
    #: a policy could not be completed or checked
    INCOMPLETE = 3
    #: a guard refused; that policy deleted nothing
    REFUSED = 4
    #: another run holds the lease
    LOCKED = 5
    #: the proof failed, or verification found tampering
    VERIFICATION_FAILED = 6
    #: time budget or SIGTERM: stopped in good order, backlog remains
    STOPPED = 7
    #: another system's retention differs from the policy
    DRIFT = 8


#: With several policies the worst decides, in this order.
SEVERITY = (
    ExitCode.FAULT,
    ExitCode.USAGE,
    ExitCode.VERIFICATION_FAILED,
    ExitCode.INCOMPLETE,
    ExitCode.REFUSED,
    ExitCode.DRIFT,
    ExitCode.STOPPED,
    ExitCode.LOCKED,
    ExitCode.DONE,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit code of a run, given its policies' codes; no policy at all is ``DONE``."""
    return min(codes, key=SEVERITY.index, default=ExitCode.DONE)


class RetentionError(Exception):
    """Something went wrong that the user should read as a sentence, not as a traceback.

    Args:
        message: what happened, with the value; lower case, no full stop.
        hint: one sentence that names the option, command or right that would help.

    Secrets are masked in both: what a server or a library said may quote them.
    """

    exit_code = ExitCode.FAULT

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.message = redacted(message)
        self.hint = None if hint is None else redacted(hint)
        super().__init__(self.message)


class ConfigurationError(RetentionError):
    """A setting, an argument or a file is missing, unknown or contradicts another."""

    exit_code = ExitCode.USAGE


class StoreError(RetentionError):
    """A store could not be reached, read or changed."""

    exit_code = ExitCode.INCOMPLETE


class ArchiveError(RetentionError):
    """What was to be archived could not be written, read back or verified."""

    exit_code = ExitCode.INCOMPLETE


class GuardRefused(RetentionError):  # noqa: N818 - a refusal is the normal work of a guard
    """A guard refused before anything was deleted."""

    exit_code = ExitCode.REFUSED


class LeaseHeld(RetentionError):  # noqa: N818 - not a fault: somebody else is at work
    """Another run holds the lease of this policy."""

    exit_code = ExitCode.LOCKED


class RunStopped(RetentionError):  # noqa: N818 - the end that was asked for
    """The time budget is used up, or somebody asked for the end, while something was waited for."""

    exit_code = ExitCode.STOPPED


class LeaseLost(RetentionError):  # noqa: N818 - the event, not the class, is the error
    """The lease went to another run while this one was at work; the open batch was rolled back."""

    exit_code = ExitCode.INCOMPLETE


class ProofFailed(RetentionError):  # noqa: N818 - the finding of a second survey
    """Expired records are left that nothing explains, or more went than was planned."""

    exit_code = ExitCode.VERIFICATION_FAILED


class TamperingFound(RetentionError):  # noqa: N818 - the finding of a verification
    """The ledger, an archive or a checkpoint is not what was written."""

    exit_code = ExitCode.VERIFICATION_FAILED
