"""Secrets out of everything that people and programs read: errors, logs, JSON, ledger, tracebacks.

What is a secret is known in two ways: by its shape (a password in a URL or a connection string), and by its
value, once the settings that hold it have been read. Sentences lose every known secret. Values for programs
(names of targets, digests) lose only those that no ordinary word can be: a password "audit" must not change
the name of ``core.audit_log``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MASK = "***"
#: Shorter ones are parts of too many words.
_SHORTEST = 4
_SHORTEST_PART = 6
_SHORTEST_IN_VALUES = 8
#: Up to the last ``@``: an unescaped one may be part of the password.
_IN_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<login>[^\s\"'<>]*)@")
_IN_DSN = re.compile(
    r"(?P<name>\b(?:ssl)?passw(?:or)?d|\bpgpassword|\bsecret_access_key)\s*=\s*"
    r"(?:'(?:[^'\\]|\\.)*'|\"[^\"]*\"|[^\s&,;'\"]+)",
    re.IGNORECASE,
)
#: A connection string as a whole: of its parts only the password is a secret.
_CONNECTION = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://|\s*(host(addr)?|port|dbname|user|password|passfile|service|ssl\w+|\w+_\w+)\s*="
)
#: members of JSON and of events that hold sentences
_TOLD = frozenset({"message", "sentence", "hint", "reason", "error", "warnings", "exception"})


class Redactor:
    """Masks secrets.

    Args:
        secrets: values that are known, such as passwords, tokens and whole connection strings.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {form for secret in secrets for form in _forms(secret)}
        self._in_sentences = _any_of(known)
        self._in_values = _any_of(form for form in known if is_distinctive(form))

    def sentence(self, text: str) -> str:
        """A text for people without any secret."""
        return _shaped(self._in_sentences.sub(MASK, _shaped(text)))

    def value(self, text: str) -> str:
        """A text for programs without what can only be a secret."""
        return self._in_values.sub(MASK, _shaped(text))

    def tree(self, value: Any, *, told: bool = False) -> Any:
        """JSON values with every text in them masked; keys stay. ``told`` takes texts as sentences."""
        if isinstance(value, str):
            return self.sentence(value) if told else self.value(value)
        if isinstance(value, Mapping):
            return {key: self.tree(item, told=told or key in _TOLD) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.tree(item, told=told) for item in value]
        return value


def _shaped(text: str) -> str:
    """Without what has the shape of a password."""
    if "://" in text:
        text = _IN_URL.sub(_without_login, text)
    return _IN_DSN.sub(rf"\g<name>={MASK}", text) if "=" in text else text


def _without_login(match: re.Match[str]) -> str:
    """Masks user and password; an ``@`` in a path, or after ``host:port/``, is none of them.

    A user alone is a secret in HTTP only, where it may be a token.
    """
    login = match["login"]
    before, slash, _ = login.partition("/")
    if ":" not in login and not match["scheme"].lower().startswith("http"):
        return match[0]
    if slash and (":" not in before or re.fullmatch(r"[^:@]*:\d*", before)):
        return match[0]
    return f"{match['scheme']}{MASK}@"


def _forms(secret: str) -> Iterator[str]:
    """A secret, the password in it, their parts, each also as URLs write it."""
    for text in {secret, *passwords_in(secret)}:
        parts = (part for part in re.split(r"[@/#?:&=\s]+", text) if len(part) >= _SHORTEST_PART)
        for form in (text, *(() if _CONNECTION.match(text) else parts)):
            for written in (form, _unquoted(form), _quoted(form), _quoted(form, "/")):
                if len(written) >= _SHORTEST:
                    yield written


def _quoted(text: str, safe: str = "") -> str:
    """As URLs write it (RFC 3986, section 2.1)."""
    plain = rf"[^A-Za-z0-9._~{safe}-]"
    return re.sub(plain, lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)


def _unquoted(text: str) -> str:
    read = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode())
    return read.decode("utf-8", "replace")


def passwords_in(text: str) -> Iterator[str]:
    """The passwords of a URL or of a connection string, as they are written there."""
    for match in _IN_URL.finditer(text):
        _, colon, password = match["login"].partition(":")
        if colon and password:
            yield password
    for match in _IN_DSN.finditer(text):
        yield match[0].partition("=")[2].strip().strip("'\"")


def is_distinctive(form: str) -> bool:
    """Whether no ordinary word or name is this."""
    return len(form) >= _SHORTEST_IN_VALUES and not re.fullmatch(r"[a-z_.-]+|[A-Z_.-]+", form)


def _any_of(forms: Iterable[str]) -> re.Pattern[str]:
    """Finds any of the forms, the longest first; without any it finds nothing."""
    longest_first = sorted(set(forms), key=lambda form: (-len(form), form))
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


class _Known:
    """The secrets of this process."""

    def __init__(self) -> None:
        self.secrets: frozenset[str] = frozenset()
        self.redactor = Redactor()


_known = _Known()


def know(secrets: Iterable[str]) -> None:
    """From now on these are the known secrets; the ones known before are forgotten."""
    _known.secrets = frozenset(secrets)
    _known.redactor = Redactor(_known.secrets)


def learn(secret: str) -> None:
    """One more known secret, such as the content of a token's file."""
    if secret not in _known.secrets:
        know(_known.secrets | {secret})


def redacted(text: str) -> str:
    """A sentence without secrets."""
    return _known.redactor.sentence(text)


def redacted_tree(value: Any) -> Any:
    """JSON values without secrets."""
    return _known.redactor.tree(value)
