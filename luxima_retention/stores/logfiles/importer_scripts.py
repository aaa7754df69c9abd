"""logrotate's scripts as hooks: typed where that loses nothing, else the shell that they were written for."""

from __future__ import annotations

import re
import shlex
from typing import Any

#: a hook of ``rotation.sets.<name>``
Hook = dict[str, Any]

_NULL = r"(?:\s*(?:[12]?>>?\s*/dev/null|2>&1))*"
_FILE = r"""["']?(?P<{}>/[\w./@:+-]+)["']?"""
_KILL = re.compile(
    r"(?:(?:/usr)?/bin/)?kill\s+(?:-s\s*|-)(?:SIG)?(?P<signal>[A-Z0-9]+)\s+"
    rf"""(?P<quote>"?)\$\(\s*(?:cat\s+|<\s*){_FILE.format("pid")}{_NULL}\s*\)(?P=quote){_NULL}"""
)
_TEST = rf"\[\s+(?P<not>!\s+)?-[fer]\s+{_FILE.format('tested')}\s+\]"
_IF = re.compile(rf"if\s+{_TEST}\s*(?:;\s*|\n\s*)then\s+(?P<body>[^\n;]+?)\s*(?:;\s*|\n\s*)fi")
_GUARD = re.compile(rf"{_TEST}\s*(?P<joined>&&|\|\|)\s*(?P<body>.+)", re.DOTALL)
_OR_TRUE = re.compile(r"\s*\|\|\s*(?:true|:)\Z")
#: other ways to write the same: `…` is $(…), test … is [ … ]
_BACKTICKS = re.compile(r"`([^`$()]*)`")
_TEST_WORD = re.compile(r"\btest\s+((?:!\s+)?-[a-z]\s+[^\s;&|]+)")
#: the numbers that Linux gives signals, where scripts use them
_SIGNALS = {"1": "HUP", "10": "USR1", "12": "USR2"}
_SIMPLE = re.compile(rf"(?P<words>[\w./@:+,%=' \"-]+?){_NULL}")
_PROGRAM = re.compile(r"[A-Za-z0-9_./+-]+")
#: words that mean something to the shell itself
_BUILTINS = frozenset(
    re.findall(
        r"\S+",
        ". : [ alias bg break case cd command continue do done echo elif else esac eval exec "
        "exit export false fc fg fi for function getopts hash if in jobs kill local printf pwd "
        "read readonly return set shift source test then times trap true type typeset ulimit "
        "umask unalias unset until wait while",
    )
)
#: logrotate waits for a script however long it takes
_TIMEOUT = "1h"
_ARGUMENT = "luxima-retention"


def hook_of(script: str, *, rotated: bool) -> Hook | None:
    """A script as one hook; ``None`` for one that does nothing.

    Args:
        script: between its directive and ``endscript``.
        rotated: whether it gets the rotated file as ``$2``.
    """
    text = _plain(script)
    if not text:
        return None
    return _signal(text) or _program(text) or _shell(script, rotated=rotated)


def needs_shell(hook: Hook) -> bool:
    """Whether a hook runs ``/bin/sh``."""
    return tuple(hook.get("run", ()))[:2] == ("/bin/sh", "-c")


def _plain(script: str) -> str:
    """Without comments, continued lines joined."""
    lines = [line for line in script.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    text = re.sub(r"[ \t]*\\\n\s*", " ", "\n".join(lines) + "\n")
    return text.strip().removesuffix("\\").rstrip().removesuffix(";").rstrip()


def _signal(text: str) -> Hook | None:
    """A pid file that gets a signal, behind a guard or not."""
    body = _TEST_WORD.sub(r"[ \1 ]", _BACKTICKS.sub(r"$(\1)", text))
    body, tolerate = _forgiven(body, "nothing")
    tested = None
    if guard := _IF.fullmatch(body) or _GUARD.fullmatch(body):
        negated, joined = bool(guard["not"]), guard.groupdict().get("joined")
        if negated != (joined == "||"):
            return None
        tested = guard["tested"]
        # After && the script fails without the file, and so does the hook.
        body, tolerate = _forgiven(guard["body"].strip(), tolerate if joined == "&&" else _milder(tolerate))
    kill = _KILL.fullmatch(body)
    if kill is None or tested not in {None, kill["pid"]}:
        return None
    name = _SIGNALS.get(kill["signal"], kill["signal"])
    if name.isdigit():
        return None
    return {"pid_file": kill["pid"], "signal": name} | _tolerated(tolerate)


def _forgiven(text: str, tolerate: str) -> tuple[str, str]:
    """Without ``|| true``, and what is then no failure."""
    found = _OR_TRUE.search(text)
    return (text[: found.start()], "failure") if found else (text, tolerate)


def _milder(tolerate: str) -> str:
    return "missing" if tolerate == "nothing" else tolerate


def _tolerated(tolerate: str) -> Hook:
    return {} if tolerate == "nothing" else {"tolerate": tolerate}


def _program(text: str) -> Hook | None:
    """One program with plain arguments."""
    body, tolerate = _forgiven(text, "nothing")
    simple = _SIMPLE.fullmatch(body)
    if simple is None:
        return None
    try:
        words = shlex.split(simple["words"])
    except ValueError:
        return None
    if not words or words[0] in _BUILTINS or not _PROGRAM.fullmatch(words[0]):
        return None
    return {"run": words} | _tolerated(tolerate) | {"timeout": _TIMEOUT}


def _shell(script: str, *, rotated: bool) -> Hook:
    places = ["{path}", "{rotated}"] if rotated else ["{path}"]
    # The line feed at the end keeps a script from being taken for a placeholder.
    return {"run": ["/bin/sh", "-c", f"{script}\n", _ARGUMENT, *places], "timeout": _TIMEOUT}
