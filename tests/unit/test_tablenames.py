"""Names of a table's functions, and the values of a row's key."""

from __future__ import annotations

import hashlib

import pytest

from luxima_retention.core.errors import ConfigurationError
from luxima_retention.core.tablenames import function_name, key_values


def digest(table: str) -> str:
    return hashlib.sha256(table.encode()).hexdigest()[:8]


@pytest.mark.parametrize("table", ["core.audit_log", "a.b", "a1.b_2", "s." + "t" * 53])
def test_a_plain_name_is_taken_as_it_is(table):
    assert function_name(table) == table.replace(".", "_")


@pytest.mark.parametrize(
    ("table", "begins"),
    [
        ("core_a.log", "core_a_log_"),  # core.a_log has that name already
        ("Core.Audit", "core_audit_"),
        ("core.log-2", "core_log_2_"),
        ("log", "log_"),
        ("s." + "t" * 54, "s_" + "t" * 44 + "_"),
    ],
)
def test_a_name_that_another_table_could_have_ends_with_a_digest(table, begins):
    assert function_name(table) == begins + digest(table)
    assert len("explain_" + function_name(table)) <= 63


@pytest.mark.parametrize(
    ("columns", "item", "values"),
    [
        (("id",), "7", ["7"]),
        (("id",), "a,b", ["a,b"]),
        (("id",), "", [""]),
        (("a", "b"), "1,2", ["1", "2"]),
        (("a", "b"), '"1,5",2', ["1,5", "2"]),
    ],
)
def test_a_key_has_one_value_for_each_column(columns, item, values):
    assert key_values("core.t", columns, item) == values


@pytest.mark.parametrize(("columns", "item"), [(("a", "b"), "1"), (("a", "b"), "1,2,3"), (("a", "b"), "")])
def test_another_number_of_values_is_no_key(columns, item):
    with pytest.raises(ConfigurationError) as caught:
        key_values("core.t", columns, item)
    assert caught.value.message == f"{item!r} is not a key of core.t: its columns are a, b"
    assert caught.value.hint == "give one value for each, separated by commas; quote one that holds a comma"
