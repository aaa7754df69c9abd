"""Documentation under test: what the program has is in the docs, and what the docs show is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from textwrap import dedent

import click
import pytest

from luxima_retention.cli import cli, reference
from luxima_retention.config.policies import DEFAULTS
from luxima_retention.config.sources import known_paths
from luxima_retention.core import guards, results
from luxima_retention.core.errors import ExitCode
from luxima_retention.stores.logfiles.options import RotationSetSettings
from luxima_retention.stores.registry import options
from tests import sources
from tests.configured import settings_of

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


def test_the_options_of_log_files_stand_beside_logrotates_words():
    assert DOCS["rotation.md"] == reference.within(DOCS["rotation.md"])
    for name in RotationSetSettings.model_fields:
        assert f"\n| `{name}` | " in DOCS["rotation.md"]


def test_the_settings_are_few_enough_to_be_read():
    rows = re.findall(r"^\| `[a-z_.<>0-9]+` \| ", DOCS["settings.md"], re.MULTILINE)
    assert 80 < len(rows) <= 120


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


def anchors(text):
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCS)
def test_links_lead_somewhere(name):
    here = ROOT if name == "README.md" else ROOT / "docs"
    for link, anchor in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", DOCS[name]):
        assert not link or (here / link).exists(), f"{name} links to {link}"
        text = (here / link).read_text() if anchor and link else DOCS[name]
        assert not anchor or anchor in anchors(text), f"{name} links to {link}#{anchor}"


def shown(text):
    """The words of each command that a document shows, after the program's name."""
    # Names of a namespace and a Helm release.
    text = re.sub(r"(-n|--install|--namespace) luxima-retention ", "", text)
    spans = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^    (.+)$", text, re.MULTILINE)
    for span in spans:
        for found in re.finditer(r"(?<![\w/-])luxima-retention ([a-z-].*?)(?= [|;&] |  +#|$)", span):
            # Options of the program itself come before the command: each of them takes one value.
            yield re.sub(r"(--(config|log-level) \S+ )+", "", found[1]).split()


@pytest.mark.parametrize("name", DOCS)
def test_commands_and_options_that_the_docs_show_are_there(name):
    for words in shown(DOCS[name]):
        longest = max((n for n in (1, 2) if tuple(words[:n]) in TREE), default=None)
        assert longest or words[0].startswith("-"), f"{name} shows luxima-retention {' '.join(words)}"
        options = {"--help"} | {option for param in cli.params for option in param.opts}
        if longest:
            parameters = TREE[tuple(words[:longest])].params
            options |= {option for param in parameters for option in param.opts}
        for word in re.findall(r"(?<=[ \[])--[a-z][a-z-]*", " " + " ".join(words)):
            assert word in options, f"{name} shows luxima-retention {' '.join(words)}"


#: settings and short forms: their first name, and every path below it
KNOWN = {".".join(path).replace("*", "<name>") for path in known_paths(options())}
SECTIONS = sorted({path.partition(".")[0] for path in KNOWN} - {"policies", "databases", "s3"})
NAMED = re.compile(rf"(?<![\w./])(?:{'|'.join(SECTIONS)})(?:\.[a-z][a-z_-]*)+(?![\w(/]|\.[a-z])")
#: what looks like a setting and is an entry of the ledger, an event, a span, a failpoint, a file
OTHERS = re.compile(
    r"(archive|ledger|report)\.(announced|checked|drilled|expired|restored|verified|recovered|sent|write|append"
    r"|unwritten|error|root|size)|observability\.checked|schedule\.(started|clock_set_back)|ledger\.witnesses\.url"
    r"|\w+\.(before|after|during)_\w+|rotation\.(locks|state)"
    r"|\w+\.(json|jsonl|yml|csv|css|typ|py|md|html|pdf|zip|pem|toml|log)"
)


def sentences():
    """Every text of the program, and every document."""
    for path in sorted((ROOT / "luxima_retention").rglob("*.py")):
        yield from ((str(path.relative_to(ROOT)), text) for _, text in sources.texts(path))
    yield from DOCS.items()


def test_every_setting_that_a_sentence_names_is_one():
    wrong = {
        (where, name)
        for where, text in sentences()
        for name in NAMED.findall(text)
        if not OTHERS.fullmatch(name) and not is_a_setting(name)
    }
    assert wrong == set()


def test_every_setting_of_a_policy_that_a_sentence_names_is_one():
    """Written `policies.<name>.option`: one of those that every policy has."""
    ours = {path.removeprefix("policies.<name>.") for path in KNOWN if path.startswith("policies.<name>.")}
    named = {
        (where, name)
        for where, text in sentences()
        for name in re.findall(r"policies\.<name>\.([a-z_]+)", text)
    }
    assert {name for _, name in named} >= {"archive", "identity"}
    assert {(where, name) for where, name in named if name not in ours} == set()


def is_a_setting(name):
    """A setting, a section of settings, or the table of one that has entries by name."""
    parts = name.replace("-", "_").split(".")
    return any(
        len(known) >= len(parts)
        and all(
            part in {wanted, "name"} or wanted == "<name>" for part, wanted in zip(parts, known, strict=False)
        )
        for known in (path.split(".") for path in KNOWN)
    )


def blocks():
    """Each indented block of a document that begins with a section of settings."""
    for name, text in DOCS.items():
        for number, block in enumerate(re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE)):
            if block.lstrip("\n").startswith("    [") and "]\n" in block:
                settings = dedent(block).partition("\nluxima-retention ")[0]
                yield pytest.param(settings, id=f"{name}-{number}")


@pytest.mark.parametrize("block", list(blocks()))
def test_settings_that_the_docs_show_are_settings(block):
    values = tomllib.loads(block)
    for policy in values.get("policies", {}).values():
        policy.update({"key": "a secret file"} if policy.get("kind") == "supabase" else {})
    assert settings_of(values)
