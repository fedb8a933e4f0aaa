from datetime import UTC, datetime
from uuid import UUID

from domain import api_token, events

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PROJECT = UUID(int=2)


def test_a_token_is_revoked_once() -> None:
    token = api_token.ApiToken.create(
        token_id=UUID(int=1),
        subject="robot",
        name="ci",
        roles=["DEVELOPER"],
        projects=[PROJECT],
        expires_at=None,
        at=NOON,
    )

    for _ in range(2):
        token.revoke(at=NOON)

    assert (token.subject, token.roles, token.projects) == ("robot", ("DEVELOPER",), (PROJECT,))
    assert token.is_revoked
    created, revoked = token.collect_events()
    assert isinstance(created, events.TokenCreated)
    assert isinstance(revoked, events.TokenRevoked)
