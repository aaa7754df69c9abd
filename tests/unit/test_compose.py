"""The containers of the tests: each with a health check, a pinned image, an address of this machine only."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.test.yml").read_text())
SERVICES = COMPOSE["services"]


def test_every_store_of_the_stack_is_there():
    assert set(SERVICES) >= {
        "postgres",
        "s3",
        "loki",
        "prometheus",
        "pushgateway",
        "alertmanager",
        "blackbox",
        "postgrest",
        "tempo",
        "grafana",
        "mail",
    }


def test_compose_takes_the_file_as_it_is():
    compose = Path(sysconfig.get_path("scripts")) / "docker-compose"
    done = subprocess.run(
        [compose, "-f", ROOT / "docker-compose.test.yml", "config", "-q"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_checked_and_not_in_reach_of_others(name):
    service = SERVICES[name]
    assert re.fullmatch(r"[a-z0-9/-]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", service["image"])
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    for config in service.get("configs", []):
        assert config["source"] in COMPOSE["configs"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_health_check_asks_the_server_itself(name):
    """A program that prints its version is healthy without any server."""
    words = " ".join(SERVICES[name]["healthcheck"]["test"])
    asks = r"http://127\.0\.0\.1:\d+/\S*(health|ready)|pg_isready -h 127\.0\.0\.1|--ready|-health$|readyz$"
    assert re.search(asks, words)
    assert "-version" not in words


def test_no_two_services_share_a_port():
    ports = [port.split(":")[1] for service in SERVICES.values() for port in service["ports"]]
    assert len(ports) == len(set(ports))


def test_configurations_are_what_their_servers_read():
    for name in ("loki", "tempo", "prometheus", "blackbox", "alertmanager"):
        assert isinstance(yaml.safe_load((ROOT / COMPOSE["configs"][name]["file"]).read_text()), dict)
    assert yaml.safe_load(COMPOSE["configs"]["s3"]["content"])["identities"]


def test_the_variables_of_the_tests_are_documented():
    known = set(re.findall(r"LUXIMA_TEST_[A-Z0-9_]+", (ROOT / "tests" / "conftest.py").read_text())) - {
        "LUXIMA_TEST_",
        "LUXIMA_TEST_SEEDS",  # of `make long`; names no server
    }
    head = (ROOT / "docker-compose.test.yml").read_text()
    assert {name for name in known if name not in head} == set()
