"""What an environment may set for the deployer that sends webhooks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from app.deployers import settings as settings_
from app.deployers import signature
from domain import errors

SECRET = "signingKey"  # noqa: S105  the name of the secret, not the secret

_DEFAULT_TIMEOUT = 15
_LONGEST_TIMEOUT = 120


@dataclass(frozen=True, kw_only=True)
class WebhookSettings:
    """Where to send to, how long one answer may take in seconds, and the key that signs."""

    url: str
    timeout: float
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, settings: Mapping[str, object], secrets: Mapping[str, str]) -> "WebhookSettings":
        """Read the settings; raises DeployerSettingsError with every problem."""
        url, timeout = settings.get("url"), settings.get("timeout", _DEFAULT_TIMEOUT)
        settings_.refuse(
            [
                *settings_.unknown(settings, known=("url", "timeout")),
                *_url_problems(url),
                *settings_.timeout_problems(timeout, longest=_LONGEST_TIMEOUT),
                *_key_problems(secrets.get(SECRET)),
            ]
        )
        return cls(url=str(url), timeout=float(str(timeout)), key=signature.key_of(secrets[SECRET]))


def _url_problems(url: object) -> Iterator[errors.Problem]:
    if not isinstance(url, str) or not _is_address(url):
        yield errors.Problem(
            path="url",
            message="must be an http or https address, without a password or fragment in it",
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        return False
    is_plain = url.isascii() and url.isprintable() and " " not in url
    is_open = parts.scheme in {"http", "https"} and bool(parts.hostname) and has_port
    return is_plain and is_open and "@" not in parts.netloc and not parts.fragment


def _key_problems(key: str | None) -> Iterator[errors.Problem]:
    if key is None:
        yield errors.Problem(path=SECRET, message="is missing: the receiver must know who sends")
        return
    try:
        signature.key_of(key)
    except signature.SigningKeyError as error:
        yield errors.Problem(path=SECRET, message=str(error))
