"""What a deployment would do, said beforehand."""

import json
from collections.abc import Callable
from uuid import uuid4

import pytest

from domain import deployment_plan, values
from domain.service_instance import ServiceInstance
from tests.domain import estate, histories
from tests.domain.histories import NOW

PLANNED = {
    # row: what the plan says of it
    "new": ["PROVISION", "ATTACH"],
    "new parked": [],
    "new failed": ["PROVISION", "ATTACH"],
    "new failed parked": [],
    "provisioning": ["PROVISION", "ATTACH"],
    "provisioning parked": [],
    "removal pending": [],
    "removal scheduled": [],
    "pending attachment": ["ATTACH"],
    "attached": ["KEEP"],
    "pending detachment": ["DETACH"],
    "detached": [],
    "removing": [],
    "removing never ready": [],
    "removal failed": [],
    "removed": [],
    "removed unsent": [],
    "abandoned": [],
}


def plan_of(*instances: ServiceInstance, **differences: object) -> deployment_plan.DeploymentPlan:
    given = {
        "environment_id": histories.new().facts.environment_id,
        "instances": {instance.id: instance.facts for instance in instances},
        "unavailable_offerings": frozenset(),
        "position": 42,
    }
    return deployment_plan.draw_up(**(given | differences))


def kinds(plan: deployment_plan.DeploymentPlan) -> list[str]:
    return [action.kind.value for action in plan.actions]


@pytest.mark.parametrize(("row", "expected"), PLANNED.items())
def test_what_is_planned_for_every_state(row: str, expected: list[str]) -> None:
    """R17, R29"""
    instance = histories.ROWS[row]()

    plan = plan_of(instance)

    assert kinds(plan) == expected
    assert [line.split(" (")[0] for line in plan.lines] == [
        f"{kind} test/DEFAULT_DATABASE" for kind in expected
    ]
    assert {action.service_instance_id for action in plan.actions} <= {instance.id}
    assert set(PLANNED) == set(histories.ROWS)


@pytest.mark.parametrize(("row", "expected"), PLANNED.items())
def test_the_snapshot_holds_what_the_plan_names(row: str, expected: list[str]) -> None:
    """R32"""
    instance = histories.ROWS[row]()

    items = deployment_plan.snapshot({instance.id: instance.facts})

    role = {"ATTACH": values.DeploymentRole.ATTACH, "DETACH": values.DeploymentRole.DETACH}
    assert [item.role for item in items] == [role.get(kind) for kind in expected[-1:]]
    assert [item.secret_version for item in items] == (
        [None if "PROVISION" in expected else 1] if expected else []
    )


def test_a_new_service_adds_its_variables_and_its_alias() -> None:
    """R29"""
    plan = plan_of(histories.new())

    assert plan.variables_added == ("DATABASE_URL", "DEFAULT_DATABASE_DSN")
    assert (plan.variables_removed, plan.variables_changed) == ((), ())
    assert plan.warnings == ()


def test_a_plan_that_detaches_warns_and_lists_the_variables() -> None:
    """R37"""
    instance = histories.pending_detachment()

    plan = plan_of(instance)

    (warning,) = plan.warnings
    assert plan.variables_removed == ("DATABASE_URL", "DEFAULT_DATABASE_DSN")
    assert warning.code == "VARIABLES_DISAPPEAR"
    assert warning.service_instance_id == instance.id
    assert "test/DEFAULT_DATABASE is detached" in warning.message
    assert "DEFAULT_DATABASE_DSN" in warning.message
    assert "DATABASE_URL" in warning.message


@pytest.mark.parametrize(("prefix", "what"), [("DEFAULT", "them"), ("REPORTS", "it")])
def test_a_warning_counts_the_variables_that_disappear(prefix: str, what: str) -> None:
    """R37"""
    place = estate.Estate()
    place.add_attached(prefix).request_detachment(at=NOW)

    (warning,) = place.plan().warnings

    assert warning.message.endswith(f"and the application may depend on {what}.")


def test_a_renamed_prefix_adds_the_new_and_removes_the_old_names() -> None:
    """R10"""
    instance = histories.attached()
    histories.rename(instance, "OLD")

    plan = plan_of(instance)

    assert kinds(plan) == ["RENAME"]
    assert plan.variables_added == ("OLD_DATABASE_DSN",)
    assert plan.variables_removed == ("DATABASE_URL", "DEFAULT_DATABASE_DSN")
    assert "is renamed" in plan.warnings[0].message


def test_a_prefix_renamed_there_and_back_is_kept() -> None:
    instance = histories.attached()
    before = plan_of(instance)
    histories.rename(instance, "OLD")
    histories.rename(instance, "DEFAULT")

    assert plan_of(instance).actions == before.actions


def test_rotated_credentials_change_the_variables() -> None:
    instance = histories.attached()
    histories.rotate(instance)
    histories.report_rotated(instance, version=2)

    plan = plan_of(instance)

    assert kinds(plan) == ["ROTATE"]
    assert plan.variables_changed == ("DATABASE_URL", "DEFAULT_DATABASE_DSN")
    assert plan.warnings == ()


def test_a_service_may_be_renamed_and_rotated_in_one_deployment() -> None:
    instance = histories.attached()
    histories.rename(instance, "OLD")
    histories.rotate(instance)
    histories.report_rotated(instance, version=2)

    assert kinds(plan_of(instance)) == ["RENAME", "ROTATE"]


def test_rotation_under_way_is_not_planned() -> None:
    instance = histories.attached()
    histories.rotate(instance)

    assert kinds(plan_of(instance)) == ["KEEP"]


def test_a_database_is_replaced_by_swapping_prefixes_in_one_deployment() -> None:
    """R10"""
    place = estate.Estate()
    old = place.add_attached("DEFAULT")
    successor = place.add("NEXT")
    place.rename(old, "OLD")
    place.rename(successor, "DEFAULT")

    plan = place.plan()
    place.deploy()

    assert plan.variables_added == ("OLD_DATABASE_DSN",)
    assert plan.variables_changed == ("DATABASE_URL", "DEFAULT_DATABASE_DSN")
    assert plan.variables_removed == ()
    assert plan.warnings == ()
    assert place.running_variables() == {
        "DEFAULT_DATABASE_DSN": (successor.id, 1),
        "DATABASE_URL": (successor.id, 1),
        "OLD_DATABASE_DSN": (old.id, 1),
    }


def test_a_detached_service_whose_names_another_takes_over_is_no_loss() -> None:
    """R37: nothing disappears"""
    place = estate.Estate()
    old = place.add_attached("DEFAULT")
    successor = place.add("NEXT")
    place.rename(old, "OLD")
    place.rename(successor, "DEFAULT")
    old.request_detachment(at=NOW)

    plan = place.plan()

    assert kinds(plan) == ["DETACH", "PROVISION", "ATTACH"]
    assert plan.variables_changed == ("DATABASE_URL", "DEFAULT_DATABASE_DSN")
    assert plan.warnings == ()


@pytest.mark.parametrize(
    ("row", "is_blocked"),
    [
        ("new", True),
        ("new failed", True),
        ("new parked", False),
        ("provisioning", False),
        ("pending attachment", False),
        ("attached", False),
        ("removed", False),
    ],
)
def test_only_what_must_be_provisioned_without_a_provider_blocks(
    row: str,
    is_blocked: bool,  # noqa: FBT001  a row of the table
) -> None:
    instance = histories.ROWS[row]()

    plan = plan_of(instance, unavailable_offerings=frozenset({"postgres"}))

    assert bool(plan.blockers) is is_blocked
    assert plan_of(instance, unavailable_offerings=frozenset({"s3"})).blockers == ()
    for blocker in plan.blockers:
        assert blocker.code == "PROVIDER_NOT_CONFIGURED"
        assert blocker.service_instance_id == instance.id
        assert "Detach it, which parks it, or remove it." in blocker.message


def test_an_environment_without_anything_to_do_has_an_empty_plan() -> None:
    """R31"""
    plan = plan_of()

    assert plan.actions == ()
    assert plan.variables_added == plan.variables_removed == plan.variables_changed == ()


# The digest


def test_the_digest_is_the_same_when_nothing_changed_and_the_log_went_on() -> None:
    """R30"""
    instance = histories.new()
    environment_id = uuid4()

    earlier = plan_of(instance, environment_id=environment_id, position=42)
    later = plan_of(instance, environment_id=environment_id, position=4711)

    assert later.is_approved_by(earlier.digest)
    assert deployment_plan.position_of(earlier.digest) == 42
    assert deployment_plan.position_of(later.digest) == 4711


def test_the_digest_does_not_depend_on_the_order_of_the_instances() -> None:
    """The query and the command may load them differently."""
    place = estate.Estate()
    instances = [place.add_attached("DEFAULT"), place.add("REPORTS"), place.add("SEARCH")]
    instances[0].request_detachment(at=NOW)
    environment_id = uuid4()

    plan = plan_of(*instances, environment_id=environment_id)

    reverse = plan_of(*reversed(instances), environment_id=environment_id)
    assert reverse.is_approved_by(plan.digest)


def rotate(instance: ServiceInstance) -> None:
    histories.rotate(instance)
    histories.report_rotated(instance, version=2)


def detach(instance: ServiceInstance) -> None:
    instance.request_detachment(at=NOW)


def rename(instance: ServiceInstance) -> None:
    histories.rename(instance, "OLD")


def configure(instance: ServiceInstance) -> None:
    histories.configure(instance, plan="large")


def configure_parameters(instance: ServiceInstance) -> None:
    histories.configure(instance, plan="small", parameters={"extensions": ["postgis"]})


CHANGES = [
    ("new", detach),
    ("new", rename),
    ("new", configure),
    ("new", configure_parameters),
    ("new", histories.remove),
    ("new failed", configure),
    ("provisioning", configure),
    ("pending attachment", configure),
    ("pending attachment", configure_parameters),
    ("pending attachment", rename),
    ("pending attachment", rotate),
    ("pending attachment", detach),
    ("attached", detach),
    ("attached", rename),
    ("attached", rotate),
    ("pending detachment", lambda instance: instance.request_attachment(at=NOW)),
    ("detached", lambda instance: instance.request_attachment(at=NOW)),
]


@pytest.mark.parametrize(("row", "change"), CHANGES)
def test_the_digest_differs_when_anything_that_will_happen_changes(
    row: str, change: Callable[[ServiceInstance], object]
) -> None:
    """R30"""
    instance = histories.ROWS[row]()
    environment_id = uuid4()
    approved = plan_of(instance, environment_id=environment_id)

    change(instance)

    assert not plan_of(instance, environment_id=environment_id).is_approved_by(approved.digest)


IRRELEVANT_CHANGES = [
    ("new", lambda instance: instance.change_protection(protected=True, at=NOW)),
    ("new", histories.provision),
    ("provisioning", histories.report_provisioned),
    ("attached", lambda instance: instance.reveal_credentials(reason="Import.", at=NOW)),
    ("attached", histories.configure),
    ("attached", histories.rotate),
    ("detached", histories.remove),
    ("new parked", configure),
    ("detached", rename),
]


@pytest.mark.parametrize(("row", "change"), IRRELEVANT_CHANGES)
def test_the_digest_stays_when_what_will_happen_stays(
    row: str, change: Callable[[ServiceInstance], object]
) -> None:
    """R30: an approval is not lost for nothing"""
    instance = histories.ROWS[row]()
    environment_id = uuid4()
    approved = plan_of(instance, environment_id=environment_id)

    change(instance)

    assert plan_of(instance, environment_id=environment_id).is_approved_by(approved.digest)


@pytest.mark.parametrize(("row", "change"), CHANGES)
def test_whatever_changes_the_digest_can_be_read_in_the_lines(
    row: str, change: Callable[[ServiceInstance], object]
) -> None:
    """R30: PLAN_STALE shows the difference"""
    instance = histories.ROWS[row]()
    approved = plan_of(instance)

    change(instance)

    assert plan_of(instance).lines != approved.lines


def test_what_attaching_gives_is_told_without_secrets() -> None:
    """R45"""
    instance = histories.pending_attachment()
    histories.configure(instance, plan="large", parameters={"password": {"$sealed": 2}})

    [line] = plan_of(instance).lines
    assert line.startswith("ATTACH test/DEFAULT_DATABASE (postgres, plan large, ")
    assert line.endswith(', {"password": {"$sealed": 2}}, credentials version 1)')


def test_plans_of_other_environments_have_other_digests() -> None:
    instance = histories.new()
    plan = plan_of(instance, environment_id=uuid4())

    assert not plan_of(instance, environment_id=uuid4()).is_approved_by(plan.digest)


def test_a_deployment_that_changed_nothing_leaves_the_plan_as_it_was() -> None:
    """R30: whatever the number of the revision, the next one holds the same"""
    place = estate.Estate()
    place.add_attached("DEFAULT")
    approved = place.plan()

    place.deploy()

    assert place.plan().is_approved_by(approved.digest)


@pytest.mark.parametrize(
    "typed", ["", ".", "abc", "x.y", "-1.abc", "1.2.abc", "\u0661.abc", "9" * 5000 + ".abc"]
)
def test_a_digest_that_is_none_of_ours_approves_nothing_and_has_no_position(typed: str) -> None:
    assert not plan_of(histories.new()).is_approved_by(typed)
    assert deployment_plan.position_of(typed) is None


def test_a_plan_is_stored_as_plain_json_without_secrets() -> None:
    plan = plan_of(histories.pending_detachment())

    stored = json.loads(json.dumps(plan.as_json()))

    assert stored["digest"] == plan.digest
    assert stored["actions"][0]["kind"] == "DETACH"
    assert stored["variables_removed"] == ["DATABASE_URL", "DEFAULT_DATABASE_DSN"]


def test_an_instance_in_the_snapshot_is_changed_only_by_a_new_name_or_version() -> None:
    kept, renamed, rotated = histories.attached(), histories.attached(), histories.attached()
    rename(renamed)
    rotate(rotated)

    items = deployment_plan.snapshot({i.id: i.facts for i in (kept, renamed, rotated)})

    assert [item.is_changed for item in items] == [False, True, True]
    assert [item.role for item in items] == [None, None, None]
