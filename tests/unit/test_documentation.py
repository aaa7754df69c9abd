"""Documentation under test: what the program has is in the docs, and what the docs show is there."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from luxima_retention.cli import COMMANDS, cli, reference
from luxima_retention.config.policies import DEFAULTS
from luxima_retention.core import guards, results
from luxima_retention.core.errors import ExitCode

ROOT = Path(__file__).parents[2]
DOCS = {path.name: path.read_text() for path in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]}
ALL = "\n".join(DOCS.values())


def commands(group=cli, name=()):
    context = click.Context(cli)
    for part in group.list_commands(context):
        command = group.get_command(context, part)
        yield (*name, part), command
        if isinstance(command, click.Group):
            yield from commands(command, (*name, part))


TREE = dict(commands())


def test_every_exit_code_is_explained():
    for code in ExitCode:
        assert f"| {int(code)} | {code.name} |" in DOCS["exit-codes.md"]


def test_every_command_is_in_the_docs():
    for name in TREE:
        assert " ".join(name) in ALL, f"luxima-retention {' '.join(name)} is nowhere in the docs"


def test_every_option_of_run_is_in_the_docs():
    for parameter in TREE["run",].params:
        for option in parameter.opts:
            if option.startswith("--"):
                assert option in ALL, f"{option} is nowhere in the docs"


def test_the_settings_page_is_the_one_that_the_settings_make():
    assert DOCS["settings.md"].strip() == reference.page().strip(), (
        "run: python -m luxima_retention.cli.reference > docs/settings.md"
    )


def test_every_outcome_is_in_the_json_contract():
    for word in results.Outcome:
        assert f"`{word}`" in DOCS["json-contract.md"]


def test_every_guard_is_in_the_docs():
    source = (ROOT / "luxima_retention" / "core" / "guards.py").read_text()
    ids = re.findall(r'guard="([a-z-]+)"', source)
    assert set(ids) >= {
        "identity",
        "clock-skew",
        "holds",
        "share",
        "max-items",
        "stale-source",
        "min-remaining",
    }
    for guard in ids:
        assert f"`{guard}`" in ALL
    assert guards.DEFAULT_SHARE


def test_every_policy_is_in_the_readme():
    for name, policy in DEFAULTS.items():
        assert f"`{name}`" in DOCS["README.md"]
        assert f"{policy['retention_days']} days" in DOCS["README.md"]


@pytest.mark.parametrize("name", DOCS)
def test_links_lead_somewhere(name):
    here = ROOT if name == "README.md" else ROOT / "docs"
    for link in re.findall(r"\]\(([^)#:]+)\)", DOCS[name]):
        assert (here / link).exists(), f"{name} links to {link}"


@pytest.mark.parametrize("name", DOCS)
def test_commands_that_the_docs_show_are_there(name):
    for shown in re.findall(r"`luxima-retention ([a-z]+)", DOCS[name]):
        assert shown in COMMANDS, f"{name} shows luxima-retention {shown}"
