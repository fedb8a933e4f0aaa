import uuid
from typing import Any

import pytest

from app.graphql import identifiers
from tests.app.graphql.asking import Api, Shop

pytestmark = pytest.mark.anyio

PAGE = """
query ($environment: ID!, $order: ServiceInstanceOrder!, $first: Int, $after: String, $last: Int,
       $before: String) {
  environment(by: {id: $environment}) {
    serviceInstances(orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
      totalCount
      edges { cursor node { prefix } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}
"""
ORDERS = {
    "CREATED_AT_ASC": ("created_at, id", False),
    "CREATED_AT_DESC": ("created_at, id", True),
    "UPDATED_AT_ASC": ("updated_at, id", False),
    "UPDATED_AT_DESC": ("updated_at, id", True),
    "PREFIX_ASC": ("prefix, id", False),
    "PREFIX_DESC": ("prefix, id", True),
}


@pytest.fixture
async def crowd(api: Api, shop: Shop) -> uuid.UUID:
    """`test` with 23 instances, many of which share their times."""
    await api.execute(
        """INSERT INTO read.service_instances
        SELECT (jsonb_populate_record(i, jsonb_build_object(
            'id', gen_random_uuid(), 'prefix', 'P' || (n / 2),
            'created_at', timestamptz '2026-01-01 00:00:00.123456Z' + (n / 5) * interval '1 hour',
            'updated_at', timestamptz '2026-02-01 00:00:00.654321Z' - (n / 7) * interval '1 hour'
        ))).* FROM read.service_instances AS i, generate_series(1, 21) AS n WHERE i.id = %s""",
        [shop.database],
    )
    return shop.test


async def page(api: Api, environment: uuid.UUID, **arguments: object) -> Any:  # noqa: ANN401  a JSON tree
    id_ = identifiers.text(type_name="Environment", uuid=environment)
    data = await api.ask(PAGE, environment=id_, **arguments)
    return data["environment"]["serviceInstances"]


async def in_order(api: Api, environment: uuid.UUID, order: str) -> list[str]:
    columns, is_descending = ORDERS[order]
    async with api.parts.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT prefix FROM read.service_instances"  # noqa: S608  written above
            f" WHERE environment_id = %s ORDER BY {columns}",
            [environment],
        )
        prefixes = [prefix for (prefix,) in await cursor.fetchall()]
    return prefixes[::-1] if is_descending else prefixes


@pytest.mark.parametrize("order", ORDERS)
async def test_pages_forward_hold_everything_once(api: Api, crowd: uuid.UUID, order: str) -> None:
    seen: list[str] = []
    after, has_next = None, True
    while has_next:
        found = await page(api, crowd, order=order, first=4, after=after)
        assert found["totalCount"] == 23
        assert found["pageInfo"]["hasPreviousPage"] is (after is not None)
        assert found["pageInfo"]["startCursor"] == found["edges"][0]["cursor"]
        seen += [edge["node"]["prefix"] for edge in found["edges"]]
        after, has_next = found["pageInfo"]["endCursor"], found["pageInfo"]["hasNextPage"]
        assert len(api.statements) == 1

    assert seen == await in_order(api, crowd, order)


@pytest.mark.parametrize("order", ORDERS)
async def test_pages_backward_hold_everything_once(api: Api, crowd: uuid.UUID, order: str) -> None:
    seen: list[str] = []
    before, has_previous = None, True
    while has_previous:
        found = await page(api, crowd, order=order, last=4, before=before)
        assert found["pageInfo"]["hasNextPage"] is (before is not None)
        seen = [edge["node"]["prefix"] for edge in found["edges"]] + seen
        before = found["pageInfo"]["startCursor"]
        has_previous = found["pageInfo"]["hasPreviousPage"]

    assert seen == await in_order(api, crowd, order)


async def test_page_between_two_cursors(api: Api, crowd: uuid.UUID) -> None:
    whole = await page(api, crowd, order="CREATED_AT_ASC", first=100)
    cursors = [edge["cursor"] for edge in whole["edges"]]

    found = await page(
        api, crowd, order="CREATED_AT_ASC", first=3, after=cursors[4], before=cursors[7]
    )

    assert [edge["cursor"] for edge in found["edges"]] == cursors[5:7]
    assert found["pageInfo"]["hasPreviousPage"] is True


async def test_empty_page(api: Api, crowd: uuid.UUID) -> None:
    whole = await page(api, crowd, order="PREFIX_ASC", first=100)

    found = await page(
        api, crowd, order="PREFIX_ASC", first=5, after=whole["pageInfo"]["endCursor"]
    )

    assert found["edges"] == []
    assert found["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": True,
        "startCursor": None,
        "endCursor": None,
    }


async def test_fifty_unless_said_otherwise(api: Api, crowd: uuid.UUID) -> None:
    for _ in range(2):
        await api.execute(
            """INSERT INTO read.service_instances SELECT (jsonb_populate_record(
            i, jsonb_build_object('id', gen_random_uuid()))).* FROM read.service_instances AS i
            WHERE environment_id = %s""",
            [crowd],
        )

    found = await page(api, crowd, order="CREATED_AT_ASC")

    assert len(found["edges"]) == 50
    assert found["totalCount"] == 92


@pytest.mark.parametrize(
    "arguments",
    [
        {"first": 0},
        {"first": -1},
        {"first": 101},
        {"last": 0},
        {"last": 101},
        {"first": 1, "last": 1},
        {"after": "x"},
        {"after": ""},
        {"before": "bm9wZQ"},
        {"after": "W10"},
        {"after": "W1tbW1tb"},
        {"after": "é"},
        {"after": "x" * 5000},
        {"after": "WyJDUkVBVEVEX0FUX0FTQyIsIm5ldmVyIiwibm8iXQ"},
    ],
)
async def test_what_is_no_page_is_refused(
    api: Api, crowd: uuid.UUID, arguments: dict[str, object]
) -> None:
    id_ = identifiers.text(type_name="Environment", uuid=crowd)

    is_too_large = 101 in arguments.values()
    assert await api.codes(PAGE, environment=id_, order="CREATED_AT_ASC", **arguments) == [
        "LIMIT_EXCEEDED" if is_too_large else "BAD_USER_INPUT"
    ]


async def test_cursor_of_another_order_is_refused(api: Api, crowd: uuid.UUID) -> None:
    id_ = identifiers.text(type_name="Environment", uuid=crowd)
    found = await page(api, crowd, order="CREATED_AT_ASC", first=2)

    codes = await api.codes(
        PAGE, environment=id_, order="UPDATED_AT_ASC", after=found["pageInfo"]["endCursor"]
    )

    assert codes == ["BAD_USER_INPUT"]


@pytest.mark.usefixtures("crowd")
async def test_nested_lists_have_their_own_pages(api: Api) -> None:
    data = await api.ask(
        """query ($first: Int!) { projects { totalCount nodes { environments {
          name
          few: serviceInstances(first: $first, orderBy: PREFIX_DESC) {
            nodes { prefix history(last: 1) { nodes { event } pageInfo { hasPreviousPage } } }
          }
          count: serviceInstances(filter: {prefix: " p3 "}) { totalCount }
          wanted: serviceInstances(filter: {wanted: false, parked: null}) { totalCount }
          kinds: serviceInstances(filter: {kind: [STORAGE], state: [NEW, ATTACHED]}) {
            nodes { kind }
          }
        } } } }""",
        first=2,
    )

    [project] = data["projects"]["nodes"]
    test, live = project["environments"]
    assert [each["prefix"] for each in test["few"]["nodes"]] == ["P9", "P9"]
    assert test["count"] == {"totalCount": 2}
    assert test["wanted"] == {"totalCount": 0}
    assert test["kinds"] == {"nodes": [{"kind": "STORAGE"}]}
    assert len(live["few"]["nodes"]) == 2
    assert live["few"]["nodes"][0]["history"]["nodes"] == [{"event": "ServiceAdded"}]
    assert len(api.statements) == 1


@pytest.mark.usefixtures("crowd")
async def test_unfinished_removals_and_orphans(api: Api) -> None:
    await api.execute(
        """UPDATE read.service_instances SET
        removal_requested = prefix IN ('P1', 'P2'), abandoned = prefix = 'P3',
        state = CASE prefix WHEN 'P2' THEN 'REMOVED' ELSE state END"""
    )

    data = await api.ask(
        """{ unfinishedRemovals(first: 1) { totalCount nodes { prefix } pageInfo { hasNextPage } }
        orphans { nodes { prefix } } }"""
    )

    assert data["unfinishedRemovals"] == {
        "totalCount": 2,
        "nodes": [{"prefix": "P1"}],
        "pageInfo": {"hasNextPage": True},
    }
    assert data["orphans"]["nodes"] == [{"prefix": "P3"}, {"prefix": "P3"}]
