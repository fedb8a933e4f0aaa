"""Tokens of an OpenID provider: signed by its keys, for this API, and still valid.

The algorithm is one of a fixed list, all of them with a public key: `none`, and a public key
taken for a shared secret, get nowhere.
"""

import base64
import dataclasses
import hashlib
import json
import logging
import warnings
from collections.abc import Mapping
from typing import Any

from joserfc import errors, jws, jwt

from app.access import caller, issuer_keys

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
_LEEWAY = 30  # seconds by which clocks may differ
_LONGEST = 16_384  # characters
_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms:
    """Whose tokens are taken, and what they tell."""

    issuer: str
    audience: str
    roles_claim: str


class Provider:
    """An OpenID provider whose users may call."""

    def __init__(self, *, terms: Terms, keys: issuer_keys.IssuerKeys) -> None:
        self._terms = terms
        self._keys = keys
        self._registry = jws.JWSRegistry(
            algorithms=list(ALGORITHMS),
            strict_check_header=False,  # what it does not know it ignores, unless it is critical
        )
        self._claims = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY,
            iss={"essential": True, "value": terms.issuer},
            aud={"essential": True, "value": terms.audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def aclose(self) -> None:
        """Close connections."""
        await self._keys.aclose()

    async def authenticate(self, token: str) -> caller.Caller | None:
        """Return whoever the token speaks for; None, and a line in the log, if for nobody.

        Raises IssuerAwayError.
        """
        try:
            claims = await self._verified(token)
        except (errors.JoseError, ValueError, TypeError, RecursionError) as error:
            # Its text may repeat what somebody sent; the kind of error says enough.
            _logger.info("refused a token of the provider: %s", type(error).__name__)
            return None
        subject = claims["sub"]
        if not caller.is_subject(subject):
            _logger.info("refused a token of the provider: it speaks for no subject")
            return None
        name = claims.get("name")
        return caller.Caller(
            subject=subject,
            name=name if isinstance(name, str) else None,
            token_id=_token_id(claims, token),
            roles=_roles(claims.get(self._terms.roles_claim)),
        )

    async def _verified(self, token: str) -> Mapping[str, Any]:
        """Return the claims. Raises JoseError, ValueError, TypeError or IssuerAwayError."""
        key = await self._keys.find(_key_id(token))
        if key is None:
            raise errors.InvalidKeyIdError
        with warnings.catch_warnings():
            # Providers still write EdDSA where RFC 9864 would have Ed25519.
            warnings.simplefilter("ignore", errors.SecurityWarning)
            found = jwt.decode(token, key, registry=self._registry)
        self._claims.validate(found.claims)
        return found.claims


def _key_id(token: str) -> str:
    """Return which key the token says it is signed with; nothing of it is believed yet."""
    if len(token) > _LONGEST:
        raise errors.DecodeError("no token")
    written = token.partition(".")[0]
    header = json.loads(base64.urlsafe_b64decode(written + "=" * (-len(written) % 4)))
    if not isinstance(header, dict) or header.get("alg") not in ALGORITHMS:
        raise errors.UnsupportedAlgorithmError
    key_id = header.get("kid")
    if not isinstance(key_id, str):
        raise errors.InvalidKeyIdError
    return key_id


def _token_id(claims: Mapping[str, Any], token: str) -> str:
    """Return what tells this token from others: the provider's own id for it, or a digest."""
    given = claims.get("jti")
    if isinstance(given, str) and 0 < len(given) <= 255 and given.isprintable():  # noqa: PLR2004  as long as any name
        return f"jti:{given}"
    return f"oidc:{hashlib.sha256(token.encode()).hexdigest()[:32]}"


def _roles(claim: object) -> frozenset[caller.Role]:
    """Return the platform roles that the claim names; a provider gives no roles in projects."""
    named = claim.split() if isinstance(claim, str) else claim
    if not isinstance(named, list):
        return frozenset()
    names = {each.upper() for each in named if isinstance(each, str)}
    return frozenset(role for role in caller.PLATFORM_ROLES if role.name in names)
