import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from joserfc import jwk, jwt

from app.access import caller, issuer_keys, oidc
from tests.app.access import issuer as issuers

pytestmark = pytest.mark.anyio

Issuer = issuers.Issuer


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuers.issuing() as made:
        yield made


@pytest.fixture
async def provider(issuer: Issuer) -> AsyncIterator[oidc.Provider]:
    async with issuers.provider(issuer) as made:
        yield made


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256"), ("ed", "EdDSA"), ("ed", "Ed25519")],
)
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # as the signer's business
async def test_a_token_speaks_for_its_subject(
    issuer: Issuer, provider: oidc.Provider, key: str, algorithm: str
) -> None:
    token = issuer.token(key=key, algorithm=algorithm, jti="7", groups=["operator", "cooks"])

    assert await provider.authenticate(token) == caller.Caller(
        subject="jane",
        name="Jane",
        token_id="jti:7",
        roles=frozenset({caller.Role.OPERATOR}),
    )


@pytest.mark.parametrize(
    ("claim", "roles"),
    [
        (None, set()),
        ("AUDITOR OPERATOR", {caller.Role.AUDITOR, caller.Role.OPERATOR}),
        (["MANAGER", "VIEWER"], set()),  # roles in projects are memberships
        ({"operator": True}, set()),
        ([["OPERATOR"], 7], set()),
    ],
)
async def test_roles_come_from_the_claim(
    issuer: Issuer, provider: oidc.Provider, claim: object, roles: set[caller.Role]
) -> None:
    found = await provider.authenticate(issuer.token(groups=claim))

    assert found is not None
    assert found.roles == roles


async def test_clocks_may_differ_a_little(issuer: Issuer, provider: oidc.Provider) -> None:
    now = int(time.time())

    assert await provider.authenticate(issuer.token(exp=now - 20)) is not None
    assert await provider.authenticate(issuer.token(nbf=now + 20, iat=now + 20)) is not None


async def test_it_may_be_for_others_too(issuer: Issuer, provider: oidc.Provider) -> None:
    assert await provider.authenticate(issuer.token(aud=["other", issuers.AUDIENCE])) is not None


def part(data: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")


def unsigned(issuer: Issuer, algorithm: str) -> str:
    return f"{part({'alg': algorithm, 'kid': 'rsa'})}.{part(issuer.claims())}."


def signed_with_the_public_key(issuer: Issuer) -> str:
    """The classical confusion: a public key, which everybody knows, as a shared secret."""
    signed = f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{part(issuer.claims())}"
    secret = issuer.keys["rsa"].as_pem(private=False)
    signature = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def signed_with_a_key_of_ones_own(issuer: Issuer) -> str:
    own = issuers.rsa_key("own")
    return jwt.encode({"alg": "RS256", "kid": "rsa"}, issuer.claims(), own)


def that_brings_its_key_along(issuer: Issuer) -> str:
    own = issuers.rsa_key("own")
    header = {"alg": "RS256", "kid": "own", "jwk": own.as_dict(private=False)}
    return jwt.encode(header, issuer.claims(), own)


def tampered(issuer: Issuer) -> str:
    header, _, signature = issuer.token().split(".")
    return f"{header}.{part(issuer.claims(sub='root'))}.{signature}"


BAD: dict[str, Callable[[Issuer], str]] = {
    "unsigned": lambda issuer: unsigned(issuer, "none"),
    "unsigned, in capitals": lambda issuer: unsigned(issuer, "NONE"),
    "unsigned, but claims a signature": lambda issuer: unsigned(issuer, "RS256"),
    "signed with the public key": signed_with_the_public_key,
    "signed with another key": signed_with_a_key_of_ones_own,
    "brings its key along": that_brings_its_key_along,
    "tampered with": tampered,
    "unknown key": lambda issuer: issuer.token(header={"kid": "unknown"}),
    "no key named": lambda issuer: issuer.token(header={"kid": ""}),
    "a key of another kind": lambda issuer: issuer.token(header={"kid": "ec"}),
    "a critical extension": lambda issuer: issuer.token(header={"crit": ["x"], "x": 1}),
    "expired": lambda issuer: issuer.token(exp=int(time.time()) - 31),
    "never expires": lambda issuer: issuer.token(exp=None),
    "expires some day": lambda issuer: issuer.token(exp="tomorrow"),
    "not yet valid": lambda issuer: issuer.token(nbf=int(time.time()) + 60),
    "from the future": lambda issuer: issuer.token(iat=int(time.time()) + 60),
    "for somebody else": lambda issuer: issuer.token(aud="elsewhere"),
    "for nobody": lambda issuer: issuer.token(aud=None),
    "for an empty list": lambda issuer: issuer.token(aud=[]),
    "of another issuer": lambda issuer: issuer.token(iss="https://elsewhere.example"),
    "of no issuer": lambda issuer: issuer.token(iss=None),
    "of no subject": lambda issuer: issuer.token(sub=None),
    "of an empty subject": lambda issuer: issuer.token(sub=""),
    "of a number": lambda issuer: issuer.token(sub=7),
    "of the program itself": lambda issuer: issuer.token(sub="servicebook"),
    "of a subject with a line break": lambda issuer: issuer.token(sub="ada\nkey"),
    "nothing": lambda _: "",
    "two dots": lambda _: "..",
    "no text": lambda _: "e30.\udcff.",
    "no object": lambda _: f"{part([])}.{part({})}.x",
    "deeply nested": lambda _: f"{base64.urlsafe_b64encode(b'[' * 9000).decode()}.e30.x",
    "endless": lambda issuer: issuer.token() + "A" * 20_000,
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_a_bad_token_speaks_for_nobody(
    issuer: Issuer, provider: oidc.Provider, bad: Callable[[Issuer], str]
) -> None:
    assert await provider.authenticate(bad(issuer)) is None


async def test_keys_are_fetched_once_for_all(issuer: Issuer, provider: oidc.Provider) -> None:
    known = [issuer.token() for _ in range(20)]
    unknown = [issuer.token(header={"kid": f"unknown-{each}"}) for each in range(20)]

    found = await asyncio.gather(*map(provider.authenticate, known + unknown))

    assert [each is not None for each in found] == [True] * 20 + [False] * 20
    assert issuer.asked == 1


async def test_a_new_key_is_found_and_a_withdrawn_one_is_forgotten(issuer: Issuer) -> None:
    async with issuers.provider(issuer, seconds=0) as provider:
        old = issuer.token()
        assert await provider.authenticate(old) is not None
        new = issuers.rsa_key("new")
        issuer.keys["new"], issuer.shown = new, [new.as_dict(private=False)]

        assert await provider.authenticate(issuer.token(key="new")) is not None
        assert await provider.authenticate(old) is None


async def test_known_keys_outlive_a_broken_issuer(issuer: Issuer) -> None:
    async with issuers.provider(issuer, seconds=0) as provider:
        assert await provider.authenticate(issuer.token()) is not None
        issuer.is_broken = True

        assert await provider.authenticate(issuer.token(header={"kid": "unknown"})) is None
        assert await provider.authenticate(issuer.token()) is not None


def names_another(issuer: Issuer) -> None:
    issuer.named = "https://elsewhere.example"


def keeps_its_keys_in_a_file(issuer: Issuer) -> None:
    issuer.jwks_uri = "file:///etc/passwd"


def breaks(issuer: Issuer) -> None:
    issuer.is_broken = True


def shows_secrets(issuer: Issuer) -> None:
    secret: Any = jwk.OctKey.generate_key(256, {"kid": "rsa"}).as_dict()
    issuer.shown = [secret, None, {"kty": "RSA", "kid": "rsa"}, {"kid": 7, "kty": "RSA"}]


@pytest.mark.parametrize(
    "trouble", [names_another, keeps_its_keys_in_a_file, breaks, shows_secrets]
)
async def test_an_issuer_that_makes_no_sense_admits_nobody(
    issuer: Issuer, provider: oidc.Provider, trouble: Callable[[Issuer], None]
) -> None:
    trouble(issuer)

    assert await provider.authenticate(issuer.token()) is None


async def test_of_an_issuer_that_is_away_nobody_can_tell() -> None:
    async with issuers.issuing() as issuer:
        token = issuer.token()
    async with issuers.provider(issuer) as provider:
        for _ in range(2):
            with pytest.raises(issuer_keys.IssuerAwayError):
                await provider.authenticate(token)
        assert await provider.authenticate("no token") is None


async def test_an_issuer_that_fails_is_away_until_it_answers(issuer: Issuer) -> None:
    async with issuers.provider(issuer, seconds=0) as provider:
        issuer.is_failing = True
        with pytest.raises(issuer_keys.IssuerAwayError):
            await provider.authenticate(issuer.token())
        issuer.is_failing = False

        assert await provider.authenticate(issuer.token()) is not None
        assert await provider.authenticate(issuer.token(header={"kid": "unknown"})) is None


async def test_known_keys_outlive_an_issuer_that_fails(issuer: Issuer) -> None:
    async with issuers.provider(issuer, seconds=0) as provider:
        assert await provider.authenticate(issuer.token()) is not None
        issuer.is_failing = True

        assert await provider.authenticate(issuer.token()) is not None
        with pytest.raises(issuer_keys.IssuerAwayError):
            await provider.authenticate(issuer.token(header={"kid": "new"}))
