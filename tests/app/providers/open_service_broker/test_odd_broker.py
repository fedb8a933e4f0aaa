"""Brokers that hang, break, answer nonsense or answer late, and what may be left behind then."""

import dataclasses
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping

import pytest

from app.providers import contract
from app.providers.open_service_broker import client, order
from app.providers.open_service_broker import provider as providers
from tests.app.providers.open_service_broker import book as books
from tests.app.providers.open_service_broker import odd_broker
from tests.app.providers.open_service_broker.odd_broker import IN_PROGRESS, SUCCEEDED, Reply

pytestmark = pytest.mark.anyio

Code = contract.ProviderErrorCode
PLAN: Mapping[str, object] = {"service_id": "search-id", "plan_id": "small-id", "credential": "uri"}
ACCEPTED = Reply(202, {"operation": "task & 10"})
FAILED = Reply(200, {"state": "failed", "description": "no room"})
NONSENSE = b"<html>fine</html>"
HANGS_UP = Reply(hangs_up=True)
REDIRECT = Reply(302, headers={"Location": "http://127.0.0.1:1/"})


def conflict(error: str) -> Reply:
    return Reply(422, {"error": error, "description": "not now"})


@dataclasses.dataclass
class Desk:
    """A provider of one broker, and one instance that is asked for."""

    broker: odd_broker.OddBroker
    book: books.Book
    id: uuid.UUID
    provider: providers.BrokerProvider | None = None

    def request(self, **changes: object) -> contract.ResourceRequest:
        given = {"service_instance_id": self.id, "plan": PLAN, "parameters": {}}
        return contract.ResourceRequest(**(given | changes))

    def order(self, **changes: object) -> None:
        self.book.entries[self.id] = books.ordered(self.request(), **changes)

    async def bind(self, version: int = 1) -> Mapping[str, str]:
        return await self.provider.ensure_credentials(
            service_instance_id=self.id, version=version, secret={}
        )

    def another_provider(
        self, *, deadline: float = 5.0, port: int | None = None, **given: object
    ) -> providers.BrokerProvider:
        """Return one as another process would have it."""
        asking = client.Client(
            url=f"http://127.0.0.1:{port or self.broker.port}/prefix",
            username=odd_broker.USERNAME,
            password=odd_broker.PASSWORD,
            deadline=deadline,
            largest=100_000,
        )
        usual = {"client": asking, "orders": self.book.known, "first_pause": 0.01}
        return providers.BrokerProvider(**(usual | given))


@pytest.fixture(scope="module")
def shared_broker() -> Iterator[odd_broker.OddBroker]:
    with odd_broker.running() as broker:
        yield broker


@pytest.fixture
async def desk(shared_broker: odd_broker.OddBroker) -> AsyncIterator[Desk]:
    shared_broker.asked.clear()
    shared_broker.next.clear()
    desk = Desk(shared_broker, books.Book(), uuid.uuid4())
    desk.provider = desk.another_provider()
    desk.order()
    yield desk
    await desk.provider.aclose()


async def failure(work: Awaitable[object]) -> contract.ProviderError:
    with pytest.raises(contract.ProviderError) as caught:
        await work
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    return caught.value


TABLE_OF_PROVISIONING = [
    ([Reply(200, NONSENSE)], Code.FAILED, "for good", "stays"),
    ([Reply(201, NONSENSE)], Code.FAILED, "for good", "discarded"),
    ([Reply(201, [])], Code.FAILED, "for good", "discarded"),
    ([Reply(204)], Code.FAILED, "for good", "discarded"),
    ([Reply(206)], Code.FAILED, "for good", "discarded"),
    ([ACCEPTED, FAILED], Code.FAILED, "for good", "discarded"),
    ([REDIRECT], Code.FAILED, "for good", "stays"),
    ([Reply(400)], Code.PARAMETERS_INVALID, "for good", "stays"),
    ([Reply(401)], Code.PERMISSION_DENIED, "for good", "stays"),
    ([Reply(403)], Code.PERMISSION_DENIED, "for good", "stays"),
    ([Reply(404)], Code.FAILED, "for good", "stays"),
    ([Reply(408)], Code.UNAVAILABLE, "for now", "stays"),
    ([Reply(409)], Code.FAILED, "for good", "stays"),
    ([Reply(412)], Code.FAILED, "for good", "stays"),
    ([conflict("ConcurrencyError")], Code.UNAVAILABLE, "for now", "stays"),
    ([conflict("AsyncRequired")], Code.FAILED, "for good", "stays"),
    ([conflict("RequiresApp")], Code.FAILED, "for good", "stays"),
    ([conflict("MaintenanceInfoConflict")], Code.FAILED, "for good", "stays"),
    ([Reply(422, NONSENSE)], Code.PARAMETERS_INVALID, "for good", "stays"),
    ([Reply(429)], Code.UNAVAILABLE, "for now", "stays"),
    ([Reply(500)], Code.UNAVAILABLE, "for now", "discarded"),
    ([Reply(503, NONSENSE)], Code.UNAVAILABLE, "for now", "discarded"),
    ([HANGS_UP], Code.UNAVAILABLE, "for now", "discarded"),
]


@pytest.mark.parametrize(("replies", "code", "is_final", "orphan"), TABLE_OF_PROVISIONING)
async def test_a_failed_provisioning_is_told_and_discarded_as_specified(
    desk: Desk, replies: list[Reply], code: Code, is_final: str, orphan: str
) -> None:
    desk.broker.will("PUT instance", replies[0])
    desk.broker.will("GET instance/last_operation", *replies[1:])

    error = await failure(desk.provider.ensure_present(desk.request()))

    assert error.code == code
    assert error.is_transient == (is_final == "for now")
    assert ("DELETE instance" in desk.broker.whats) == (orphan == "discarded")
    if orphan == "discarded":
        assert desk.broker.last("DELETE instance").query["plan_id"] == "small-id"


@pytest.mark.parametrize(
    "replies", [row[0] for row in TABLE_OF_PROVISIONING if row[3] == "discarded"]
)
async def test_an_instance_that_was_ever_ready_is_never_discarded(
    desk: Desk, replies: list[Reply]
) -> None:
    desk.order(was_ready=True)
    desk.broker.will("PUT instance", replies[0])
    desk.broker.will("GET instance/last_operation", *replies[1:])

    await failure(desk.provider.ensure_present(desk.request()))

    assert "DELETE instance" not in desk.broker.whats


@pytest.mark.parametrize("now", [{"operation_id": uuid.uuid4()}, {"is_given_away": True}])
@pytest.mark.parametrize("what", ["instance", "binding"])
async def test_what_another_one_makes_is_not_discarded(
    desk: Desk, now: Mapping[str, object], what: str
) -> None:
    """The next operation, or another worker that was given this one."""

    class Slow(books.Book):
        async def known(self, service_instance_id: uuid.UUID) -> order.Order | None:
            found = await super().known(service_instance_id)
            self.note(service_instance_id, **now)
            return found

    desk.book = Slow(desk.book.entries)
    slow = desk.another_provider()
    desk.broker.will(f"PUT {what}", Reply(500))
    work = {
        "instance": lambda: slow.ensure_present(desk.request()),
        "binding": lambda: slow.ensure_credentials(
            service_instance_id=desk.id, version=1, secret={}
        ),
    }

    assert (await failure(work[what]())).is_transient

    assert desk.broker.whats == [f"PUT {what}"]
    await slow.aclose()


async def test_what_was_never_sent_leaves_nothing_to_discard(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    lost = desk.another_provider(port=port)

    error = await failure(lost.ensure_present(desk.request()))

    assert (error.code, error.is_transient) == (Code.UNAVAILABLE, True)
    assert "cannot be removed" not in error.message
    await lost.aclose()


async def test_a_binding_that_nobody_heard_of_is_made_anew_and_its_password_is_used(
    desk: Desk,
) -> None:
    hasty = desk.another_provider(deadline=0.2)
    desk.broker.will("PUT binding", Reply(hangs=True))

    error = await failure(
        hasty.ensure_credentials(service_instance_id=desk.id, version=1, secret={})
    )
    found = await desk.bind()

    assert (error.code, error.is_transient) == (Code.TIMEOUT, True)
    assert desk.broker.whats == ["PUT binding", "DELETE binding", "PUT binding"]
    assert found["uri"] == odd_broker.CREDENTIALS["uri"]
    await hasty.aclose()


async def test_an_orphan_that_cannot_be_discarded_is_tried_again(desk: Desk) -> None:
    for _ in range(2):
        desk.broker.will("PUT instance", ACCEPTED)
        desk.broker.will("GET instance/last_operation", FAILED)
        desk.broker.will("DELETE instance", Reply(500))
        assert (await failure(desk.provider.ensure_present(desk.request()))).is_transient

    desk.broker.will("PUT instance", ACCEPTED)
    desk.broker.will("GET instance/last_operation", FAILED)
    error = await failure(desk.provider.ensure_present(desk.request()))

    assert not error.is_transient
    assert "no room" in error.message


async def test_what_a_failure_left_is_not_taken_for_what_was_wanted(desk: Desk) -> None:
    desk.broker.will("PUT instance", ACCEPTED, Reply(200))
    desk.broker.will("GET instance/last_operation", FAILED, FAILED)
    desk.broker.will("DELETE instance", Reply(500))

    first = await failure(desk.provider.ensure_present(desk.request()))
    second = await failure(desk.provider.ensure_present(desk.request()))

    assert (first.is_transient, second.is_transient) == (True, False)
    assert "no room" in second.message
    assert desk.broker.whats[-1] == "DELETE instance"


UNTOLD = Reply(404)


@pytest.mark.parametrize(
    ("looks", "fetched", "is_believed"),
    [
        ([SUCCEEDED], UNTOLD, True),
        ([IN_PROGRESS, SUCCEEDED], UNTOLD, True),
        ([IN_PROGRESS, FAILED], Reply(200), False),
        ([UNTOLD], Reply(200), True),
        ([UNTOLD], Reply(501), True),
        ([Reply(500)], Reply(404), False),
        ([Reply(400)], Reply(410), False),
    ],
)
async def test_what_is_said_to_be_there_is_looked_at(
    desk: Desk, looks: list[Reply], fetched: Reply, *, is_believed: bool
) -> None:
    request = desk.request(plan={**PLAN, "instances_retrievable": True})
    desk.broker.will("PUT instance", Reply(200))
    desk.broker.will("GET instance/last_operation", *looks)
    desk.broker.will("GET instance", fetched)

    if is_believed:
        await desk.provider.ensure_present(request)
    else:
        await failure(desk.provider.ensure_present(request))

    assert ("DELETE instance" in desk.broker.whats) != is_believed


async def test_what_cannot_be_looked_at_is_believed(desk: Desk) -> None:
    desk.broker.will("PUT instance", Reply(200))
    desk.broker.will("GET instance/last_operation", UNTOLD)

    await desk.provider.ensure_present(desk.request())

    assert desk.broker.whats == ["PUT instance", "GET instance/last_operation"]


async def test_what_ever_was_ready_is_not_looked_at(desk: Desk) -> None:
    """Its last operation may be an update that failed."""
    desk.order(was_ready=True)
    desk.broker.will("PUT instance", Reply(200))

    await desk.provider.ensure_present(desk.request())

    assert desk.broker.whats == ["PUT instance"]


@pytest.mark.parametrize(
    ("replies", "is_final", "orphan"),
    [
        ([Reply(200, NONSENSE)], "for good", "stays"),
        ([Reply(201, NONSENSE)], "for good", "discarded"),
        ([Reply(201)], "for good", "discarded"),
        ([Reply(201, {"credentials": "none"})], "for good", "discarded"),
        ([Reply(204)], "for good", "discarded"),
        ([ACCEPTED, FAILED], "for good", "discarded"),
        ([Reply(400)], "for good", "stays"),
        ([conflict("ConcurrencyError")], "for now", "stays"),
        ([Reply(502)], "for now", "discarded"),
        ([HANGS_UP], "for now", "discarded"),
    ],
)
@pytest.mark.parametrize("use", ["new", "in use"])
async def test_a_failed_binding_is_discarded_unless_it_is_in_use(
    desk: Desk, replies: list[Reply], is_final: str, orphan: str, use: str
) -> None:
    desk.order(secret_version=3 if use == "in use" else 2, was_ready=True)
    desk.broker.will("PUT binding", replies[0])
    desk.broker.will("GET binding/last_operation", *replies[1:])

    error = await failure(desk.bind(3))

    assert error.is_transient == (is_final == "for now")
    is_discarded = orphan == "discarded" and use == "new"
    assert ("DELETE binding" in desk.broker.whats) == is_discarded
    assert "DELETE instance" not in desk.broker.whats


async def test_a_binding_that_is_there_already_is_fetched(desk: Desk) -> None:
    desk.order(plan={**PLAN, "bindings_retrievable": True})
    desk.broker.will("PUT binding", Reply(409))

    assert (await desk.bind())["uri"] == odd_broker.CREDENTIALS["uri"]


async def test_a_binding_that_cannot_be_fetched_is_made_anew(desk: Desk) -> None:
    desk.broker.will("PUT binding", Reply(409))

    error = await failure(desk.bind())
    found = await desk.bind()

    assert error.is_transient
    assert desk.broker.whats == ["PUT binding", "DELETE binding", "PUT binding"]
    assert found == {"uri": odd_broker.CREDENTIALS["uri"], "port": "9200"}


async def test_a_binding_that_takes_time_is_fetched_when_it_is_done(desk: Desk) -> None:
    desk.order(plan={**PLAN, "bindings_retrievable": True})
    desk.broker.will("PUT binding", ACCEPTED)
    desk.broker.will("GET binding/last_operation", IN_PROGRESS, SUCCEEDED)

    found = await desk.bind()

    assert found["uri"] == odd_broker.CREDENTIALS["uri"]
    assert desk.broker.last("GET binding/last_operation").query["operation"] == "task & 10"


async def test_a_broker_that_hangs_is_asked_again_and_its_late_success_is_adopted(
    desk: Desk,
) -> None:
    hasty = desk.another_provider(deadline=0.2)
    desk.broker.will("PUT instance", Reply(hangs=True), Reply(200))

    error = await failure(hasty.ensure_present(desk.request()))
    await hasty.ensure_present(desk.request())

    assert (error.code, error.is_transient) == (Code.TIMEOUT, True)
    assert desk.broker.whats == [
        "PUT instance",
        "DELETE instance",
        "PUT instance",
        "GET instance/last_operation",
    ]
    await hasty.aclose()


async def test_a_long_wait_is_cut_into_calls(desk: Desk) -> None:
    patient = desk.another_provider(patience=0.1)
    desk.broker.will("PUT instance", *[ACCEPTED] * 3)
    desk.broker.will("GET instance/last_operation", *[IN_PROGRESS] * 50)
    started = time.monotonic()

    for _ in range(2):
        error = await failure(patient.ensure_present(desk.request()))
        assert error.is_transient
        assert "half of it" in error.message
    desk.broker.will("GET instance/last_operation", SUCCEEDED)
    await patient.ensure_present(desk.request())

    assert time.monotonic() - started < 2
    assert "DELETE instance" not in desk.broker.whats
    assert desk.broker.last("GET instance/last_operation").query == {
        "service_id": "search-id",
        "plan_id": "small-id",
        "operation": "task & 10",
    }
    await patient.aclose()


async def test_an_operation_may_not_take_longer_than_its_plan_grants(desk: Desk) -> None:
    plan = {**PLAN, "maximum_polling_duration": 0.1}
    patient = desk.another_provider(patience=0.08)
    desk.broker.will("PUT instance", *[ACCEPTED] * 9)
    desk.broker.will("GET instance/last_operation", *[IN_PROGRESS] * 99)

    for _ in range(9):
        error = await failure(patient.ensure_present(desk.request(plan=plan)))
        if not error.is_transient:
            break

    assert (error.code, error.is_transient) == (Code.TIMEOUT, False)
    assert desk.broker.whats.count("DELETE instance") == 1
    # Another operation has its own time.
    desk.order()
    desk.broker.will("GET instance/last_operation", SUCCEEDED)
    await patient.ensure_present(desk.request(plan=plan))
    await patient.aclose()


async def test_a_broker_that_wants_to_be_left_alone_is(desk: Desk) -> None:
    later = {"Retry-After": "120"}
    desk.broker.will("PUT instance", ACCEPTED, Reply(429, headers=later))
    desk.broker.will(
        "GET instance/last_operation", Reply(200, IN_PROGRESS.body, {"Retry-After": "90"})
    )

    waiting = await failure(desk.provider.ensure_present(desk.request()))
    busy = await failure(desk.provider.ensure_present(desk.request()))

    assert (waiting.retry_after, busy.retry_after) == (90, 120)
    assert desk.broker.whats.count("GET instance/last_operation") == 1


@pytest.mark.parametrize(
    "odd",
    [
        Reply(200, NONSENSE),
        Reply(200, {"state": "dancing"}),
        Reply(200, {"state": ["succeeded"]}),
        Reply(404),
        Reply(410),
        Reply(500),
    ],
)
async def test_an_odd_look_is_followed_by_another_one(desk: Desk, odd: Reply) -> None:
    desk.broker.will("PUT instance", ACCEPTED)
    desk.broker.will("GET instance/last_operation", odd, odd, SUCCEEDED)

    await desk.provider.ensure_present(desk.request())

    assert desk.broker.whats.count("GET instance/last_operation") == 3


@pytest.mark.parametrize("body", [NONSENSE, [], {"operation": 7}, {"operation": "x" * 10_001}])
async def test_what_was_accepted_in_odd_words_is_accepted(desk: Desk, body: object) -> None:
    desk.broker.will("PUT instance", Reply(202, body))

    await desk.provider.ensure_present(desk.request())

    assert "operation" not in desk.broker.last("GET instance/last_operation").query


async def test_a_rotation_names_the_binding_that_it_follows(desk: Desk) -> None:
    desk.order(plan={**PLAN, "binding_rotatable": True})
    await desk.bind(1)
    first = desk.broker.last("PUT binding")
    desk.order(plan={**PLAN, "binding_rotatable": True}, secret_version=1, was_ready=True)

    await desk.bind(2)

    second = desk.broker.last("PUT binding")
    assert "predecessor_binding_id" not in first.body
    assert second.body["predecessor_binding_id"] == providers.binding_id(desk.id, 1)
    assert first.path.endswith(providers.binding_id(desk.id, 1))
    assert second.path.endswith(str(uuid.uuid5(desk.id, "2")))


async def test_a_plan_without_rotation_gets_another_binding(desk: Desk) -> None:
    desk.order(secret_version=1, was_ready=True)

    await desk.bind(2)

    assert "predecessor_binding_id" not in desk.broker.last("PUT binding").body


async def test_an_update_says_what_differs(desk: Desk) -> None:
    desk.order(plan={**PLAN, "can_change": True}, parameters={"size": 1, "colour": "red"})
    large = {**PLAN, "plan_id": "large-id", "can_change": True}

    await desk.provider.ensure_configured(
        desk.request(plan=large, parameters={"size": 2, "colour": "red"})
    )
    await desk.provider.ensure_configured(desk.request(parameters={"size": 1, "colour": "red"}))

    assert desk.broker.whats == ["PATCH instance"]
    body = desk.broker.last("PATCH instance").body
    assert (body["plan_id"], body["parameters"]) == ("large-id", {"size": 2})
    assert body["previous_values"]["plan_id"] == "small-id"


@pytest.mark.parametrize(
    ("plan", "parameters"), [({**PLAN, "plan_id": "large-id"}, {"size": 1}), (PLAN, {})]
)
async def test_what_a_broker_cannot_change_is_refused(
    desk: Desk, plan: Mapping[str, object], parameters: Mapping[str, object]
) -> None:
    desk.order(parameters={"size": 1})

    error = await failure(
        desk.provider.ensure_configured(desk.request(plan=plan, parameters=parameters))
    )

    assert (error.code, error.is_transient) == (Code.PARAMETERS_INVALID, False)
    assert desk.broker.asked == []


@pytest.mark.parametrize("status", [404, 410])
async def test_a_binding_of_nothing_says_that_it_is_missing(desk: Desk, status: int) -> None:
    desk.broker.will("PUT binding", Reply(status))

    assert (await failure(desk.bind())).code == Code.RESOURCE_MISSING


async def test_bindings_go_before_their_instance_and_gone_is_success(desk: Desk) -> None:
    desk.order(secret_version=3, secret_versions=(2, 3), was_ready=True)
    desk.broker.will("DELETE binding", Reply(410), Reply(200), Reply(410))
    desk.broker.will("DELETE instance", Reply(410))

    await desk.provider.ensure_absent(desk.id)

    assert desk.broker.whats == ["DELETE binding"] * 3 + ["DELETE instance"]
    bound = [each.path.rpartition("/")[2] for each in desk.broker.asked[:3]]
    assert bound == [providers.binding_id(desk.id, version) for version in (2, 3, 4)]


async def test_a_deletion_under_way_ends_when_it_is_gone(desk: Desk) -> None:
    desk.broker.will("DELETE instance", ACCEPTED)
    desk.broker.will("GET instance/last_operation", IN_PROGRESS, Reply(410))

    await desk.provider.ensure_absent(desk.id)

    assert desk.broker.whats.count("GET instance/last_operation") == 2


async def test_a_binding_that_is_not_released_does_not_keep_the_instance(desk: Desk) -> None:
    desk.broker.will("DELETE binding", Reply(404))

    await desk.provider.ensure_absent(desk.id)

    assert desk.broker.whats == ["DELETE binding", "DELETE instance"]


@pytest.mark.parametrize(
    "replies", [[Reply(500)], [Reply(404)], [Reply(200, NONSENSE)], [ACCEPTED, FAILED]]
)
async def test_an_instance_that_is_not_removed_is_not_forgotten(
    desk: Desk, replies: list[Reply]
) -> None:
    desk.broker.will("DELETE instance", replies[0])
    desk.broker.will("GET instance/last_operation", *replies[1:])

    await failure(desk.provider.ensure_absent(desk.id))
    desk.broker.will("DELETE instance", Reply(200))
    await desk.provider.ensure_absent(desk.id)

    assert desk.broker.whats.count("DELETE instance") == 2


async def test_a_broker_s_errors_are_told_without_secrets(desk: Desk) -> None:
    said = (
        f"login {odd_broker.PASSWORD} refused for http://root:hunter2@db/, token=abc123,"
        " key s3cr3t-parameter"
    )
    desk.broker.will("PUT instance", Reply(400, {"error": "Bad", "description": said}))

    error = await failure(
        desk.provider.ensure_present(desk.request(parameters={"keys": [{"a": "s3cr3t-parameter"}]}))
    )

    assert "login" in error.message
    for secret in (odd_broker.PASSWORD, "hunter2", "abc123", "s3cr3t-parameter"):
        assert secret not in error.message


async def test_a_broker_s_errors_are_told_without_what_cannot_be_stored(desk: Desk) -> None:
    desk.broker.will("PUT instance", Reply(400, {"error": "Bad", "description": "no\0 room"}))

    error = await failure(desk.provider.ensure_present(desk.request()))

    assert "no room" in error.message
    assert "\0" not in error.message


async def test_an_answer_without_end_is_cut_off(desk: Desk) -> None:
    desk.broker.will("PUT instance", Reply(201, b'"' + b"x" * 200_000 + b'"'))

    error = await failure(desk.provider.ensure_present(desk.request()))

    assert (error.code, error.is_transient) == (Code.UNAVAILABLE, True)


async def test_deep_nesting_counts_as_no_answer_that_can_be_read(desk: Desk) -> None:
    desk.broker.will("PUT instance", Reply(200, b"[" * 50_000))

    assert (await failure(desk.provider.ensure_present(desk.request()))).code == Code.FAILED


async def test_requests_say_what_the_protocol_wants(desk: Desk) -> None:
    await desk.provider.ensure_present(desk.request(parameters={"size": 1}))

    (asked,) = desk.broker.asked
    known = desk.book.entries[desk.id]
    assert asked.path == f"/prefix/v2/service_instances/{desk.id}"
    assert asked.query == {"accepts_incomplete": "true"}
    assert asked.headers["x-broker-api-version"] == "2.17"
    assert uuid.UUID(asked.headers["x-broker-api-request-identity"])
    assert asked.body == {
        "service_id": "search-id",
        "plan_id": "small-id",
        "organization_guid": str(known.project_id),
        "space_guid": str(known.environment_id),
        "context": {
            "platform": "servicebook",
            "project": str(known.project_id),
            "environment": str(known.environment_id),
        },
        "parameters": {"size": 1},
    }
