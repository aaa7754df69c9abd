"""The SQL is found, file by file and query by query."""

import re

import pytest

from luxima_retention.io import sqlfiles

DIRECTORIES = ("migrations", "queries", "templates")


def test_migrations_come_in_their_order():
    names = sqlfiles.names("migrations")
    assert names[0] == "migrations/0001_retention.sql"
    assert [int(name.split("/")[1][:4]) for name in names] == list(range(1, len(names) + 1))


def test_load_gives_the_text():
    assert "CREATE TABLE retention.hold" in sqlfiles.load("migrations/0001_retention.sql")


def test_a_file_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError):
        sqlfiles.load("migrations/9999_nothing.sql")


def test_a_directory_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError):
        sqlfiles.names("nothing")


@pytest.mark.parametrize("path", sqlfiles.names("queries"))
def test_each_named_query_is_there_once_and_is_not_empty(path):
    queries = sqlfiles.named(path)
    declared = re.findall(r"^-- name: (\w+)$", sqlfiles.load(path), re.MULTILINE)
    assert sorted(queries) == sorted(declared)
    assert all(re.search(r"^[^-\s]", text, re.MULTILINE) for text in queries.values())


def test_comments_below_a_name_belong_to_its_query():
    text = sqlfiles.named("queries/ledger.sql")["head"]
    assert text.startswith("-- Takes the head")
    assert text.endswith(";")


@pytest.mark.parametrize("path", [path for directory in DIRECTORIES for path in sqlfiles.names(directory)])
def test_each_file_explains_itself(path):
    assert re.search(r"^--", sqlfiles.load(path), re.MULTILINE), f"{path} has no comment"
