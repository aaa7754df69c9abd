"""Exit codes: the worst decides; an error is a sentence without secrets."""

from __future__ import annotations

from itertools import pairwise

import pytest

from luxima_retention.core import errors
from luxima_retention.core.errors import SEVERITY, ExitCode, RetentionError, worst
from luxima_retention.core.redact import know


def test_every_code_has_its_place_in_the_order():
    assert sorted(SEVERITY) == sorted(ExitCode)


@pytest.mark.parametrize(("worse", "better"), list(pairwise(SEVERITY)))
def test_the_worse_code_decides_wherever_it_stands(worse, better):
    assert worst([worse, better]) is worse
    assert worst([better, worse, better]) is worse


def test_no_policy_at_all_is_done():
    assert worst([]) is ExitCode.DONE


def test_an_error_loses_the_secrets_in_its_sentence_and_in_its_hint():
    know(["hunter2-hunter2"])
    error = RetentionError("no answer with hunter2-hunter2", "leave out hunter2-hunter2")
    assert (error.message, error.hint) == ("no answer with ***", "leave out ***")
    assert str(error) == "no answer with ***"
    assert error.exit_code is ExitCode.FAULT
    assert RetentionError("said").hint is None


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ConfigurationError", 2),
        ("StoreError", 3),
        ("ArchiveError", 3),
        ("LeaseLost", 3),
        ("GuardRefused", 4),
        ("LeaseHeld", 5),
        ("ProofFailed", 6),
        ("TamperingFound", 6),
        ("RunStopped", 7),
    ],
)
def test_each_error_asks_for_its_code(name, code):
    assert getattr(errors, name)("said").exit_code == code
