from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from domain import events
from projections.api_tokens import ApiTokens
from projections.people import People
from projections.projection import Key, RecordedEvent, Row

Record = Callable[..., RecordedEvent]
Fold = Callable[..., dict[Key, Row]]

JANE, TOKEN, PROJECT = UUID(int=1), UUID(int=2), UUID(int=3)


def test_a_person_is_in_the_beta_until_it_leaves(record: Record, fold: Fold) -> None:
    history = [
        record(events.PersonAppeared, of=JANE, position=1, subject="jane"),
        record(events.BetaJoined, of=JANE, position=2),
    ]

    joined = fold(People(), history)
    left = fold(People(), [*history, record(events.BetaLeft, of=JANE, position=3)])

    row = {"id": JANE, "subject": "jane", "erased_at": None}
    assert joined == {(JANE,): {**row, "in_beta": True, "position": 2}}
    assert left == {(JANE,): {**row, "in_beta": False, "position": 3}}


def test_an_erased_person_is_on_record(record: Record, fold: Fold) -> None:
    history = [
        record(events.PersonAppeared, of=JANE, position=1, subject="jane"),
        record(events.PersonErased, of=JANE, position=2, subject="jane"),
    ]

    assert fold(People(), history) == {
        (JANE,): {
            "id": JANE,
            "subject": "jane",
            "in_beta": False,
            "erased_at": datetime(2026, 11, 24, 12, 2, tzinfo=UTC),
            "position": 2,
        }
    }


def test_a_revoked_token_stays_on_record(record: Record, fold: Fold) -> None:
    history = [
        record(
            events.TokenCreated,
            of=TOKEN,
            position=1,
            subject="robot",
            name="ci",
            roles=("DEVELOPER",),
            projects=(PROJECT,),
            expires_at=None,
        ),
        record(events.TokenRevoked, of=TOKEN, position=2),
    ]

    rows = fold(ApiTokens(), history)

    assert rows == {
        (TOKEN,): {
            "id": TOKEN,
            "subject": "robot",
            "name": "ci",
            "roles": ["DEVELOPER"],
            "projects": [PROJECT],
            "created_at": datetime(2026, 11, 24, 12, 1, tzinfo=UTC),
            "created_by": "ada",
            "expires_at": None,
            "revoked_at": datetime(2026, 11, 24, 12, 2, tzinfo=UTC),
            "position": 2,
        }
    }
