"""One check for every HTTP address, one for every connection string; neither shows a secret."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from luxima_retention.config.addresses import check_dsn, check_url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://localhost:9000",
        "https://ref.supabase.co/rest/v1",
        "HTTPS://Example.org/",
        "http://[::1]:9090/prom",
        "http://münchen.example",
    ],
)
def test_an_address_is_taken_as_it_is(url):
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:9000", "'localhost:9000' has no http:// or https://"),
        ("//host", "has no http://"),
        ("ftp://host", "'ftp://host' has no http://"),
        ("hooks.example/T0/S3CRET", "'hooks.example' has no http://"),
        ("http://", "not an address"),
        ("http:///path", "not an address"),
        ("http://host name/", "not an address"),
        ("http://host/\n", "not an address"),
        ("http://host:port/", "no valid host and port"),
        ("http://host:99999/", "no valid host and port"),
        ("http://host:0/", "no valid host and port"),
        ("http://[::1/", "no valid host and port"),
        ("http://host/?token=S3CRET", r"has a \? or #"),
        ("http://host/#S3CRET", r"has a \? or #"),
        ("http://user:S3CRET@host", "credentials"),
        ("http://S3CRET@host", "credentials"),
        ("http://user:S3/CRET@host", "credentials"),
        ("http://user:S3CRET#@host", "credentials"),
    ],
)
def test_what_is_no_plain_address_is_refused_without_its_secret(url, said):
    with pytest.raises(ValueError, match=said) as caught:
        check_url(url)
    assert "CRET" not in str(caught.value)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://job@host:5432/luxima",
        "postgresql://job:p%40s%2Fs%23@host/luxima?sslmode=require",
        "postgres://job:pass@host1:5432,host2:5432/luxima",
        "postgresql://host/luxima?application_name=a@b/c",
        "postgresql:///luxima?host=/run/postgresql",
        "postgresql://job:pass@host/db?options=-c%20x%3D1&application_name=a@b",
        "host=h user=job password='a@b/c#d' dbname=x",
        "",
    ],
)
def test_a_connection_string_is_taken_as_it_is(dsn):
    assert check_dsn(SecretStr(dsn)).get_secret_value() == dsn


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://job:hunter2@S3CRET/pa#ss@db.example.test:5432/luxima",
        "postgresql://job:S3@CRET@host/db",
        "postgresql://job:S3/CRET@host/db",
        "postgresql://job:S3#CRET@host/db",
        "postgresql://job:S3?CRET@host/db",
        "postgres://job/x:S3CRET@host/db",
    ],
)
def test_a_password_with_a_special_character_as_it_is_is_refused_unseen(dsn):
    with pytest.raises(ValueError, match="%40") as caught:
        check_dsn(SecretStr(dsn))
    assert not any(part in str(caught.value) for part in ("CRET", "S3", "hunter2", "job"))
