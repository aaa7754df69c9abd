"""JSON and YAML of others: whatever is wrong with it is one error."""

from __future__ import annotations

import inspect
import math
import sys

import pytest
import yaml

from luxima_retention.core.foreign import json_of, loader, yaml_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        (b'"\xc3\xa4"', "ä"),
        ('"a"'.encode("utf-16"), "a"),
        ("1e308", 1e308),
    ],
)
def test_json_is_read(text, value):
    assert json_of(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("NaN", "NaN is not a number of JSON"),
        ("[Infinity]", "Infinity is not a number of JSON"),
        ("-Infinity", "-Infinity is not a number of JSON"),
        ("1e999", "1e999 is too large for a number"),
        ("[-1e999]", "-1e999 is too large for a number"),
        ("[" * 100_000, "it is nested too deeply"),
        ("{", "Expecting property name"),
    ],
)
def test_what_no_other_program_reads_is_no_json(text, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its beginning is compared
        json_of(text)
    assert str(caught.value).startswith(said)


def test_yaml_is_read_with_plain_types():
    assert yaml_of("a: [1, x]\nb: .inf\n") == {"a": [1, "x"], "b": math.inf}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "it is not YAML"),
        ("!!python/object:os.system {}", "it is not YAML"),
        ("!!timestamp x", "it holds a value that cannot be read: "),
    ],
)
def test_what_has_no_plain_form_is_no_yaml(text, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its beginning is compared
        yaml_of(text)
    assert str(caught.value).startswith(said)
    assert caught.value.__cause__ is not None


def test_yaml_that_is_nested_too_deeply_is_told(monkeypatch):
    """As the reader in Python finds it, where PyYAML was built without the one in C."""
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert yaml_of("a: 1") == {"a": 1}
    with pytest.raises(ValueError, match="it is nested too deeply"):
        yaml_of("[" * 500)


@pytest.mark.parametrize("reader", ["CSafeLoader", "SafeLoader"])
def test_two_hundred_levels_are_read_and_no_more(monkeypatch, reader):
    monkeypatch.setattr(yaml, "CSafeLoader", getattr(yaml, reader))
    value = yaml_of("[" * 200 + "]" * 200)
    for _ in range(199):
        (value,) = value
    assert value == []
    assert yaml_of("[" + "[]," * 500 + "]") == [[]] * 500
    with pytest.raises(ValueError, match=r"^it is nested too deeply$"):
        yaml_of("[" * 201 + "]" * 201)


def test_yaml_that_does_not_fit_into_what_is_left_of_the_stack_is_told(monkeypatch):
    """As where the loader in Python is called from far below."""
    monkeypatch.setattr(yaml, "CSafeLoader", yaml.SafeLoader)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 150)
    try:
        with pytest.raises(ValueError, match=r"^it is nested too deeply$"):
            yaml_of("[" * 190 + "]" * 190)
    finally:
        sys.setrecursionlimit(limit)


def test_the_loader_in_c_is_taken_where_there_is_one(monkeypatch):
    assert loader() is yaml.CSafeLoader
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert loader() is yaml.SafeLoader
