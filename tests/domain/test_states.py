"""The public state, and every row of the tables of states with every command and result."""

import dataclasses
import itertools
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from domain import service_facts, service_refusals, states, values
from domain.errors import RefusalCode
from domain.service_instance import ServiceInstance
from domain.states import Command, Resource
from tests.domain import histories

PUBLIC_STATE = {
    # resource, applied, wanted: state, functional, usable
    (Resource.READY, False, True): ("PENDING_ATTACHMENT", True, False),
    (Resource.READY, True, True): ("ATTACHED", True, True),
    (Resource.READY, True, False): ("PENDING_DETACHMENT", True, True),
    (Resource.READY, False, False): ("DETACHED", True, False),
    **dict.fromkeys(
        itertools.product([Resource.ABSENT], [False], [True, False]), ("NEW", False, False)
    ),
    **dict.fromkeys(
        itertools.product([Resource.CREATING], [False], [True, False]),
        ("PROVISIONING", False, False),
    ),
    **dict.fromkeys(
        itertools.product([Resource.GONE], [False], [True, False]), ("REMOVED", False, False)
    ),
}


def facts_with(**facts: object) -> service_facts.ServiceFacts:
    return dataclasses.replace(histories.new().facts, **facts)


@pytest.mark.parametrize(("given", "expected"), PUBLIC_STATE.items(), ids=str)
def test_the_public_state_is_a_function_of_three_facts(
    given: tuple[Resource, bool, bool], expected: tuple[str, bool, bool]
) -> None:
    resource, applied, wanted = given

    facts = facts_with(resource=resource, applied=applied, wanted=wanted)

    assert (facts.state.value, facts.is_functional, facts.is_usable) == expected


@pytest.mark.parametrize(("was_ready", "shown"), [(True, "DETACHED"), (False, "NEW")])
def test_an_instance_under_deletion_keeps_its_previous_name(was_ready: bool, shown: str) -> None:  # noqa: FBT001  a row of the table
    facts = facts_with(resource=Resource.DELETING, applied=False, wanted=False, was_ready=was_ready)

    assert (facts.state.value, facts.is_functional, facts.is_usable) == (shown, False, False)


DETACH, DEPLOY = "Detach it and deploy first.", "Deploy first."
PROVISION, WAIT = "Provision it first.", "Wait until it is provisioned."
REPLACE = "Add a new service instead."
KEEP = "Cancel its removal before the grace period ends, or add a new service instead."
ONLY_FAILED = "Only a removal that failed can be abandoned."
ONLY_IN_GRACE = "Only a removal in its grace period can be cancelled."
WAYS_OUT = [
    ("new", Command.REVEAL, PROVISION),
    ("new failed", Command.ROTATE, PROVISION),
    ("provisioning", Command.REVEAL, WAIT),
    ("provisioning parked", Command.ROTATE, WAIT),
    ("attached", Command.REMOVE, DETACH),
    ("pending detachment", Command.REMOVE, DEPLOY),
    ("pending detachment", Command.ABANDON, DEPLOY),
    ("detached", Command.ABANDON, ONLY_FAILED),
    ("detached", Command.CANCEL_REMOVAL, ONLY_IN_GRACE),
    ("removal pending", Command.ATTACH, REPLACE),
    ("removal scheduled", Command.ATTACH, KEEP),
    ("removal scheduled", Command.REVEAL, KEEP),
    ("removal scheduled", Command.ABANDON, ONLY_FAILED),
    ("removing", Command.PROVISION, REPLACE),
    ("removal failed", Command.RENAME, REPLACE),
    ("removed", Command.CONFIGURE, REPLACE),
    ("removed", Command.CANCEL_REMOVAL, ONLY_IN_GRACE),
]


@pytest.mark.parametrize(("row", "command", "way_out"), WAYS_OUT)
def test_a_refusal_shows_the_way_out_of_its_state(row: str, command: Command, way_out: str) -> None:
    """R44"""
    facts = histories.ROWS[row]().facts
    code = states.refusal(situation=facts.situation, command=command)
    assert code is not None

    refusal = service_refusals.refused(facts, code, command)

    assert refusal.message == (
        f"Cannot {command.value} {facts.label}: it is {facts.situation.value}. {way_out}"
    )


def test_what_a_deployment_is_detaching_is_waited_for() -> None:
    """R44"""
    instance = histories.pending_detachment()
    histories.join(instance, values.DeploymentRole.DETACH)

    refusal = histories.refusal_of(lambda: histories.remove(instance))

    assert refusal.message.endswith("Wait for the end of the deployment that detaches it.")


@pytest.mark.parametrize("row", ["removal pending", "removal scheduled", "removing", "removed"])
def test_an_instance_under_removal_is_not_functional(row: str) -> None:
    facts = histories.ROWS[row]().facts

    assert not facts.is_functional
    assert not facts.is_usable


@pytest.mark.parametrize(
    ("row", "is_parked"),
    [
        ("new", False),
        ("new parked", True),
        ("new failed", False),
        ("new failed parked", True),
        ("provisioning parked", False),
        ("detached", False),
        ("removed unsent", False),
    ],
)
def test_parked_means_new_and_not_wanted(row: str, is_parked: bool) -> None:  # noqa: FBT001  a row of the table
    assert histories.ROWS[row]().facts.is_parked is is_parked


# States x commands. A cell is the new state, or
#   ok      accepted, the state stays      REMOVE  deletion is under way
#   =       in effect already, no event    later   the state stays, removal is requested
#   !CODE   refused
STATES_X_COMMANDS = """
row                 |provision   |attach            |detach            |remove |rename  |abandon
new                 |PROVISIONING|=                 |NEW               |REMOVED|ok      |!NOTHING
new parked          |PROVISIONING|NEW               |=                 |REMOVED|ok      |!NOTHING
new failed          |PROVISIONING|=                 |NEW               |REMOVE |ok      |!NOTHING
new failed parked   |PROVISIONING|NEW               |=                 |REMOVE |ok      |!NOTHING
provisioning        |=           |=                 |PROVISIONING      |later  |ok      |!NOTHING
provisioning parked |=           |PROVISIONING      |=                 |later  |ok      |!NOTHING
removal pending     |!REMOVAL    |!REMOVAL          |!REMOVAL          |=      |!REMOVAL|!NOTHING
removal scheduled   |!REMOVAL    |!REMOVAL          |!REMOVAL          |=      |!REMOVAL|!NOTHING
pending attachment  |=           |=                 |DETACHED          |REMOVE |ok      |!NOTHING
attached            |=           |=                 |PENDING_DETACHMENT|!DETACH|ok      |!DETACH
pending detachment  |=           |ATTACHED          |=                 |!DETACH|ok      |!DETACH
detached            |=           |PENDING_ATTACHMENT|=                 |REMOVE |ok      |!NOTHING
removing            |!REMOVAL    |!REMOVAL          |!REMOVAL          |=      |!REMOVAL|!NOTHING
removing never ready|!REMOVAL    |!REMOVAL          |!REMOVAL          |=      |!REMOVAL|!NOTHING
removal failed      |!REMOVAL    |!REMOVAL          |!REMOVAL          |REMOVE |!REMOVAL|REMOVED
removed             |!REMOVED    |!REMOVED          |!REMOVED          |=      |!REMOVED|=
removed unsent      |!REMOVED    |!REMOVED          |!REMOVED          |=      |!REMOVED|=
abandoned           |!REMOVED    |!REMOVED          |!REMOVED          |=      |!REMOVED|=
"""

STATES_X_OTHER_COMMANDS = """
row                 |configure|rotate  |reveal  |protect |cancel removal|same prefix|same plan
new                 |ok       |!READY  |!READY  |ok      |!CANCEL       |=          |=
new parked          |ok       |!READY  |!READY  |ok      |!CANCEL       |=          |=
new failed          |ok       |!READY  |!READY  |ok      |!CANCEL       |=          |=
new failed parked   |ok       |!READY  |!READY  |ok      |!CANCEL       |=          |=
provisioning        |ok       |!READY  |!READY  |ok      |!CANCEL       |=          |=
provisioning parked |ok       |!READY  |!READY  |ok      |!CANCEL       |=          |=
removal pending     |!REMOVAL |!REMOVAL|!REMOVAL|!REMOVAL|!CANCEL       |!REMOVAL   |!REMOVAL
removal scheduled   |!REMOVAL |!REMOVAL|!REMOVAL|!REMOVAL|DETACHED      |!REMOVAL   |!REMOVAL
pending attachment  |ok       |ok      |ok      |ok      |!CANCEL       |=          |=
attached            |ok       |ok      |ok      |ok      |!CANCEL       |=          |=
pending detachment  |ok       |ok      |ok      |ok      |!CANCEL       |=          |=
detached            |ok       |ok      |ok      |ok      |!CANCEL       |=          |=
removing            |!REMOVAL |!REMOVAL|!REMOVAL|!REMOVAL|!CANCEL       |!REMOVAL   |!REMOVAL
removing never ready|!REMOVAL |!REMOVAL|!REMOVAL|!REMOVAL|!CANCEL       |!REMOVAL   |!REMOVAL
removal failed      |!REMOVAL |!REMOVAL|!REMOVAL|!REMOVAL|!CANCEL       |!REMOVAL   |!REMOVAL
removed             |!REMOVED |!REMOVED|!REMOVED|!REMOVED|!CANCEL       |!REMOVED   |!REMOVED
removed unsent      |!REMOVED |!REMOVED|!REMOVED|!REMOVED|!CANCEL       |!REMOVED   |!REMOVED
abandoned           |!REMOVED |!REMOVED|!REMOVED|!REMOVED|!CANCEL       |!REMOVED   |!REMOVED
"""

REFUSALS = {
    "!NOTHING": RefusalCode.NOTHING_TO_ABANDON,
    "!REMOVAL": RefusalCode.REMOVAL_IN_PROGRESS,
    "!REMOVED": RefusalCode.SERVICE_REMOVED,
    "!DETACH": RefusalCode.MUST_DETACH_FIRST,
    "!DEPLOY": RefusalCode.DEPLOYMENT_IN_PROGRESS,
    "!READY": RefusalCode.NOT_READY,
    "!CANCEL": RefusalCode.NOTHING_TO_CANCEL,
}

COMMANDS: dict[str, Callable[[ServiceInstance], object]] = {
    "provision": histories.provision,
    "attach": lambda instance: instance.request_attachment(at=histories.NOW),
    "detach": lambda instance: instance.request_detachment(at=histories.NOW),
    "remove": histories.remove,
    "rename": lambda instance: histories.rename(instance, "REPORTS"),
    "abandon": lambda instance: instance.abandon(reason="Lost.", at=histories.NOW),
    "configure": histories.configure,
    "rotate": histories.rotate,
    "reveal": lambda instance: instance.reveal_credentials(reason="Import.", at=histories.NOW),
    "protect": lambda instance: instance.change_protection(protected=True, at=histories.NOW),
    "cancel removal": lambda instance: instance.cancel_removal(at=histories.NOW),
    "same prefix": lambda instance: histories.rename(instance, "DEFAULT"),
    "same plan": lambda instance: histories.configure(instance, plan="small"),
}


def cells(table: str) -> list[tuple[str, str, str]]:
    """Row, column and cell of a table above."""
    lines = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    (_, *columns), *rows = lines
    return [
        (row, column, cell)
        for row, *row_cells in rows
        for column, cell in zip(columns, row_cells, strict=True)
    ]


def assert_cell(instance: ServiceInstance, act: Callable[[], object], cell: str) -> None:
    """Do it, and find what the cell of a table says."""
    before = instance.facts

    if cell.startswith("!"):
        refusal = histories.refusal_of(act)
        assert refusal.code is REFUSALS[cell]
        assert instance.facts == before
        return
    news = histories.news(instance, act)

    facts = instance.facts
    assert (news == []) is (cell == "=")
    match cell:
        case "=":
            assert facts == before
        case "ok":
            assert facts.state is before.state
        case "later":
            assert facts.state is before.state
            assert facts.removal_requested
            assert facts.operation == before.operation
        case "REMOVE":
            assert_removal_is_under_way(instance)
        case _:
            assert facts.state.value == cell


def assert_removal_is_under_way(instance: ServiceInstance) -> None:
    operation = histories.current_operation(instance)
    assert operation.kind is values.OperationKind.REMOVE
    assert operation.is_in_progress
    assert instance.facts.removal_requested
    assert instance.facts.state.value == ("DETACHED" if instance.facts.was_ready else "NEW")


@pytest.mark.parametrize(
    ("row", "command", "cell"),
    [*cells(STATES_X_COMMANDS), *cells(STATES_X_OTHER_COMMANDS)],
)
def test_every_state_with_every_command(row: str, command: str, cell: str) -> None:
    instance = histories.ROWS[row]()

    assert_cell(instance, lambda: COMMANDS[command](instance), cell)


def test_the_tables_name_every_row_and_every_command() -> None:
    tables = [*cells(STATES_X_COMMANDS), *cells(STATES_X_OTHER_COMMANDS)]

    assert {(row, command) for row, command, _ in tables} == set(
        itertools.product(histories.ROWS, COMMANDS)
    )
    assert {histories.ROWS[row]().facts.situation for row, _, _ in tables} == set(states.Situation)
    assert set(states.REFUSALS) == set(states.Command)


HELD_ROWS = [
    ("new failed", values.DeploymentRole.ATTACH, "!DEPLOY"),
    ("new failed parked", values.DeploymentRole.ATTACH, "!DEPLOY"),
    ("provisioning", values.DeploymentRole.ATTACH, "!DEPLOY"),
    ("provisioning parked", values.DeploymentRole.ATTACH, "!DEPLOY"),
    ("pending attachment", values.DeploymentRole.ATTACH, "!DEPLOY"),
    ("detached", values.DeploymentRole.ATTACH, "!DEPLOY"),
    ("pending detachment", values.DeploymentRole.DETACH, "!DETACH"),
    ("attached", values.DeploymentRole.DETACH, "!DETACH"),
]


@pytest.mark.parametrize(
    ("row", "role", "command", "cell"),
    [
        (row, role, command, refused if command in {"remove", "abandon"} else cell)
        for row, role, refused in HELD_ROWS
        for table_row, command, cell in [
            *cells(STATES_X_COMMANDS),
            *cells(STATES_X_OTHER_COMMANDS),
        ]
        if table_row == row
    ],
)
def test_a_running_deployment_refuses_removal_and_leaves_all_other_cells(
    row: str, role: values.DeploymentRole, command: str, cell: str
) -> None:
    instance = histories.ROWS[row]()
    histories.join(instance, role)

    assert_cell(instance, lambda: COMMANDS[command](instance), cell)


# States x results. A cell is as above, or
#   ignored  recorded, changes nothing      FAILED   the state stays, the operation failed
#   cleanup  recorded, deletion is asked for, changes nothing else
STATES_X_RESULTS = """
row                 |provisioned       |failed |deadline|gone   |stale provisioned |stale failed
new                 |PENDING_ATTACHMENT|ignored|=       |ignored|PENDING_ATTACHMENT|ignored
new parked          |DETACHED          |ignored|=       |ignored|DETACHED          |ignored
new failed          |PENDING_ATTACHMENT|ignored|=       |ignored|PENDING_ATTACHMENT|ignored
new failed parked   |DETACHED          |ignored|=       |ignored|DETACHED          |ignored
provisioning        |PENDING_ATTACHMENT|NEW    |NEW     |ignored|ignored           |ignored
provisioning parked |DETACHED          |NEW    |NEW     |ignored|ignored           |ignored
removal pending     |REMOVE            |REMOVE |REMOVE  |ignored|ignored           |ignored
removal scheduled   |=                 |ignored|=       |ignored|=                 |ignored
pending attachment  |=                 |ignored|=       |ignored|=                 |ignored
attached            |=                 |ignored|=       |ignored|=                 |ignored
pending detachment  |=                 |ignored|=       |ignored|=                 |ignored
detached            |=                 |ignored|=       |ignored|=                 |ignored
removing            |ignored           |FAILED |FAILED  |REMOVED|ignored           |ignored
removing never ready|ignored           |FAILED |FAILED  |REMOVED|ignored           |ignored
removal failed      |ignored           |ignored|=       |REMOVED|ignored           |ignored
removed             |cleanup           |ignored|=       |=      |cleanup           |ignored
removed unsent      |cleanup           |ignored|=       |=      |cleanup           |ignored
abandoned           |cleanup           |ignored|=       |=      |cleanup           |ignored
"""

RESULTS: dict[str, Callable[[ServiceInstance], object]] = {
    "provisioned": lambda instance: histories.report_provisioned(
        instance, operation_id=last_operation_id(instance)
    ),
    "failed": lambda instance: histories.report_failure(
        instance, operation_id=last_operation_id(instance)
    ),
    "deadline": lambda instance: histories.expire(
        instance, operation_id=last_operation_id(instance)
    ),
    "gone": lambda instance: histories.report_gone(
        instance, operation_id=last_operation_id(instance)
    ),
    "stale provisioned": lambda instance: histories.report_provisioned(
        instance, operation_id=uuid4()
    ),
    "stale failed": lambda instance: histories.report_failure(instance, operation_id=uuid4()),
}


def last_operation_id(instance: ServiceInstance) -> object:
    """The operation that a result belongs to: the one shown, or else some earlier one."""
    return instance.facts.operation.id if instance.facts.operation else uuid4()


@pytest.mark.parametrize(("row", "result", "cell"), cells(STATES_X_RESULTS))
def test_every_state_with_every_result_of_a_provider(row: str, result: str, cell: str) -> None:
    instance = histories.ROWS[row]()
    before = instance.facts

    match cell:
        case "ignored":
            news = histories.news(instance, lambda: RESULTS[result](instance))
            assert news == ["ServiceResultIgnored"]
            assert instance.facts == before
        case "cleanup":
            news = histories.news(instance, lambda: RESULTS[result](instance))
            assert news == ["ServiceResultIgnored", "ServiceCleanupStarted"]
            assert instance.facts == before
        case "FAILED":
            RESULTS[result](instance)
            assert instance.facts.state is before.state
            assert histories.current_operation(instance).status is values.OperationStatus.FAILED
        case _:
            assert_cell(instance, lambda: RESULTS[result](instance), cell)


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("row", histories.ROWS)
def test_a_result_told_twice_has_the_effect_of_one(row: str, result: str) -> None:
    instance = histories.ROWS[row]()
    operation_id = last_operation_id(instance)
    tell = {
        "provisioned": histories.report_provisioned,
        "failed": histories.report_failure,
        "deadline": histories.expire,
        "gone": histories.report_gone,
    }[result.removeprefix("stale ")]
    tell(instance, operation_id=operation_id)
    after_first = instance.facts

    tell(instance, operation_id=operation_id)

    assert instance.facts == after_first


ROLE_OF_ROW = {
    # what a deployment that starts now does with the row, and what success and failure leave
    "new failed": (values.DeploymentRole.ATTACH, None, "NEW"),
    "provisioning": (values.DeploymentRole.ATTACH, None, "PROVISIONING"),
    "pending attachment": (values.DeploymentRole.ATTACH, "ATTACHED", "PENDING_ATTACHMENT"),
    "attached": (None, "ATTACHED", "ATTACHED"),
    "pending detachment": (values.DeploymentRole.DETACH, "DETACHED", "PENDING_DETACHMENT"),
}


@pytest.mark.parametrize(
    ("row", "role", "expected"),
    [(row, role, succeeded) for row, (role, succeeded, _) in ROLE_OF_ROW.items() if succeeded],
)
def test_every_state_with_a_deployment_that_succeeds(
    row: str, role: values.DeploymentRole | None, expected: str
) -> None:
    instance = histories.ROWS[row]()
    deployment_id = histories.join(instance, role) if role else uuid4()

    histories.take_effect(instance, role, deployment_id=deployment_id)

    assert instance.facts.state.value == expected
    assert instance.facts.deployment_id is None
    assert instance.facts.deployment_role is None


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
@pytest.mark.parametrize(
    ("row", "role", "expected"),
    [(row, role, failed) for row, (role, _, failed) in ROLE_OF_ROW.items()],
)
def test_every_state_with_a_deployment_that_does_not_succeed(
    row: str, role: values.DeploymentRole | None, expected: str, status: str
) -> None:
    instance = histories.ROWS[row]()
    before = instance.facts
    deployment_id = histories.join(instance, role) if role else uuid4()

    histories.leave(instance, deployment_id, values.DeploymentStatus(status))

    assert instance.facts.state.value == expected
    assert instance.facts == before


def test_a_deadline_is_over_at_its_very_instant_and_not_before() -> None:
    instance = histories.provisioning()

    early = histories.news(
        instance,
        lambda: histories.expire(instance, at=histories.DEADLINE - timedelta(microseconds=1)),
    )
    punctual = histories.news(instance, lambda: histories.expire(instance, at=histories.DEADLINE))

    assert early == []
    assert punctual == ["ServiceProvisioningFailed"]
    assert histories.current_operation(instance).error_code == histories.DEADLINE_EXCEEDED
