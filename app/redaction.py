"""Makes text that others wrote fit to be kept: errors of servers, output of commands.

Secrets go, and so do the characters that PostgreSQL cannot store.
"""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote, urlsplit

REDACTED = "[redacted]"

_WORD = r"password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key"
_NAME = rf"[\w.-]{{0,64}}(?:{_WORD})[\w-]{{0,32}}"
_VALUE = r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*"|[^\s,;&'"]+"""
_VERIFIER = re.compile(r"SCRAM-SHA-\d+\$\d+:[^\s'\"]+|\bmd5[0-9a-f]{32}\b")
_URL_PASSWORD = re.compile(
    r"""([a-z][a-z0-9+.-]{0,30}://[^\s:/@'"]{0,255}:)[^\s'"<>]{1,1024}@""", re.IGNORECASE
)
_NAMED_VALUE = re.compile(rf"""({_NAME}["']?\s{{0,8}}[=:]\s{{0,8}})(?:{_VALUE})""", re.IGNORECASE)
_SQL_PASSWORD = re.compile(r"(\bPASSWORD\s{1,8})'(?:[^']|'')*'", re.IGNORECASE)


def redact(text: str, *, secrets: Iterable[str] = ()) -> str:
    """Return the text without the secrets, and without whatever has the shape of a password.

    NUL is left out, and what is no character becomes a question mark.
    """
    # First of all: what is between the letters of a secret must not hide it.
    text = _storable(text)
    known = map(_storable, secrets)
    forms = sorted({form for secret in known for form in _forms(secret)}, key=len, reverse=True)
    if forms:
        text = re.sub("|".join(map(re.escape, forms)), REDACTED, text)
    text = _VERIFIER.sub(REDACTED, text)
    text = _URL_PASSWORD.sub(rf"\1{REDACTED}@", text)
    text = _SQL_PASSWORD.sub(rf"\1{REDACTED}", text)
    return _NAMED_VALUE.sub(rf"\1{REDACTED}", text)


def _storable(text: str) -> str:
    return text.replace("\0", "").encode(errors="replace").decode()


def _forms(secret: str) -> Iterator[str]:
    """Yield how a secret may show up: as it is, encoded, quoted, as the password of an address."""
    for value in (secret, *_password_of(secret)):
        yield from filter(
            None,
            (
                value,
                quote(value, safe=""),
                quote_plus(value),
                value.replace("'", "''"),
                value.replace("\\", "\\\\").replace('"', '\\"'),
            ),
        )


def _password_of(secret: str) -> tuple[str, ...]:
    try:
        password = urlsplit(secret).password
    except ValueError:
        return ()
    return (password, unquote(password)) if password else ()
