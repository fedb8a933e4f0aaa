"""An OpenID provider on this machine: a real server with real keys, and the tokens it signs."""

import asyncio
import contextlib
import functools
import json
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
from joserfc import jwk, jws, jwt, registry

from app.access import issuer_keys, oidc

AUDIENCE = "servicebook"
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the usual one takes long to make


@functools.cache
def rsa_key(kid: str) -> jwk.RSAKey:
    """Return a key, the same for all tests: to make one takes long."""
    return jwk.RSAKey.generate_key(2048, {"kid": kid})


class Issuer:
    """Answers its configuration and its keys, and counts how often it was asked for those."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {
            "rsa": rsa_key("rsa"),
            "ec": jwk.ECKey.generate_key("P-256", {"kid": "ec"}),
            "ed": jwk.OKPKey.generate_key("Ed25519", {"kid": "ed"}),
        }
        self.shown: list[object] = [key.as_dict(private=False) for key in self.keys.values()]
        self.url = ""
        self.named: str | None = None
        self.jwks_uri: str | None = None
        self.is_broken = False
        self.is_failing = False
        self.asked = 0

    def token(
        self,
        *,
        key: str = "rsa",
        algorithm: str = "RS256",
        header: dict[str, Any] | None = None,
        **claims: object,
    ) -> str:
        """Return a signed token; claims of None are left out."""
        return jwt.encode(
            {"alg": algorithm, "kid": key, **(header or {})},
            self.claims(**claims),
            self.keys[key],
            registry=jws.JWSRegistry(
                algorithms=oidc.ALGORITHMS,
                header_registry={"x": registry.HeaderParameter("a header of nobody", "int")},
            ),
        )

    def claims(self, **changes: object) -> dict[str, Any]:
        now = int(time.time())
        own = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "jane",
            "name": "Jane",
            "iat": now,
            "exp": now + 300,
        }
        return {name: value for name, value in (own | changes).items() if value is not None}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        path = request.split()[1].decode()
        if path == "/.well-known/openid-configuration":
            answer: object = {
                "issuer": self.named or self.url,
                "jwks_uri": self.jwks_uri or f"{self.url}/keys",
            }
        else:
            self.asked += 1
            answer = {"keys": self.shown}
        body = b"?" if self.is_broken else json.dumps(answer).encode()
        status = b"503 Service Unavailable" if self.is_failing else b"200 OK"
        header = b"Connection: close\r\nContent-Length: %d" % len(body)
        writer.write(b"HTTP/1.1 %b\r\n%b\r\n\r\n%b" % (status, header, body))
        await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    """Run a provider."""
    issuer = Issuer()
    server = await asyncio.start_server(issuer.answer, "127.0.0.1", 0)
    async with server:
        issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield issuer


@contextlib.asynccontextmanager
async def provider(issuer: Issuer, *, seconds: float = 60.0) -> AsyncIterator[oidc.Provider]:
    """Hold what recognises the tokens of a provider."""
    made = oidc.Provider(
        terms=oidc.Terms(issuer=issuer.url, audience=AUDIENCE, roles_claim="groups"),
        keys=issuer_keys.IssuerKeys(
            issuer=issuer.url,
            seconds=seconds,
            client=httpx.AsyncClient(verify=_NO_TLS, timeout=5),
        ),
    )
    try:
        yield made
    finally:
        await made.aclose()
