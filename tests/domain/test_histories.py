"""Random histories of one environment, told to the domain and to a model of the rules."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from domain import deployment, errors, service_facts, values
from domain.service_instance import ServiceInstance
from tests.domain import estate, histories, model
from tests.domain.model import Model, Work

UNITS = 3
PREFIXES = ["DEFAULT", "OLD", "NEXT"]
PLANS = ["small", "large"]
TIMEOUT = timedelta(minutes=30)

picks = st.integers(min_value=0, max_value=UNITS * 4)
mostly = st.sampled_from([True, True, True, False])
beginnings = st.sampled_from(["new", "creating", "ready", "attached", "detached", "removing"])
kinds_of = [values.ServiceKind.DATABASE, values.ServiceKind.STORAGE]
kinds = st.sampled_from(kinds_of)


@dataclasses.dataclass
class Planned:
    """What the model knows of the running deployment."""

    found: deployment.Deployment
    items: dict[UUID, tuple[str | None, str, int]]  # role, prefix, secret version


class Histories(RuleBasedStateMachine):
    """Commands, results in any order, late ones and repeats, deployments, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.place = estate.Estate(units=UNITS)
        self.models: dict[UUID, Model] = {}
        self.issued: dict[UUID, list[UUID]] = {}  # all operations, the stale ones too
        self.running: Planned | None = None
        self.before: dict[UUID, service_facts.ServiceFacts] = {}

    @initialize(first=beginnings, second=beginnings)
    def begin(self, first: str, second: str) -> None:
        """Two services, and mostly more than new: much can follow from there."""
        for begun, kind in ((first, kinds_of[0]), (second, kinds_of[1])):
            self.add(kind, "DEFAULT", protected=False)
            key = list(self.models)[-1]
            if begun == "attached":
                self.everything_is_deployed()
            elif begun != "new":
                self._provision(key)
            if begun in {"detached", "removing"}:
                self.place.instances[key].request_detachment(at=self.place.now)
                self.models[key].wanted = False
            if begun != "creating" and self.models[key].work:
                self._is_done(key)
            if begun == "removing":
                self._remove(key, timedelta())

    # People

    @rule(kind=kinds, prefix=st.sampled_from(PREFIXES), protected=st.booleans())
    def add(self, kind: values.ServiceKind, prefix: str, protected: bool) -> None:  # noqa: FBT001  drawn
        live = [found for found in self.models.values() if found.resource != model.GONE]
        expected = None
        if sum(found.kind == kind.value for found in live) >= UNITS:
            expected = "QUOTA_EXCEEDED"
        elif any((found.kind, found.prefix) == (kind.value, prefix) for found in live):
            expected = "PREFIX_TAKEN"
        if expected:
            return  # one transaction: nothing of it is kept; tested with the aggregates
        instance = self.place.add(prefix, kind=kind, protected=protected)
        self.models[instance.id] = Model(kind=kind.value, prefix=prefix, protected=protected)
        self.issued[instance.id] = [uuid4()]

    @precondition(lambda self: self.models)
    @rule(pick=picks)
    def provision(self, pick: int) -> None:
        self._provision(self._pick_key(pick))

    @precondition(lambda self: self.models)
    @rule(pick=picks)
    def attach(self, pick: int) -> None:
        instance, told = self._pick(pick)
        if self._is_accepted(
            told, "attach", lambda: instance.request_attachment(at=self.place.now)
        ):
            told.wanted = True

    @precondition(lambda self: self.models)
    @rule(pick=picks)
    def detach(self, pick: int) -> None:
        instance, told = self._pick(pick)
        if self._is_accepted(
            told, "detach", lambda: instance.request_detachment(at=self.place.now)
        ):
            told.wanted = False

    @precondition(lambda self: self.models)
    @rule(pick=picks, prefix=st.sampled_from(PREFIXES))
    def rename(self, pick: int, prefix: str) -> None:
        instance, told = self._pick(pick)
        is_taken = any(
            (other.kind, other.prefix) == (told.kind, prefix)
            for other in self.models.values()
            if other is not told and other.resource != model.GONE
        )
        if is_taken:
            return  # as with `add`
        if self._is_accepted(told, "rename", lambda: self.place.rename(instance, prefix)):
            told.prefix = prefix

    @precondition(lambda self: self.models)
    @rule(pick=picks, plan=st.sampled_from(PLANS))
    def configure(self, pick: int, plan: str) -> None:
        instance, told = self._pick(pick)
        work = self._work(instance, "UPDATE")
        ask = lambda: instance.configure(  # noqa: E731  passed on
            plan=plan,
            parameters={},
            operation_id=work.id,
            deadline=work.deadline,
            at=self.place.now,
        )
        if self._is_accepted(told, "configure", ask, plan=plan):
            told.configure(plan, work)

    @precondition(lambda self: self.models)
    @rule(pick=picks)
    def rotate(self, pick: int) -> None:
        instance, told = self._pick(pick)
        work = self._work(instance, "ROTATE")
        ask = lambda: instance.rotate_credentials(  # noqa: E731  passed on
            operation_id=work.id, deadline=work.deadline, at=self.place.now
        )
        if self._is_accepted(told, "rotate", ask):
            told.rotate(work)

    @precondition(lambda self: self.models)
    @rule(pick=picks)
    def reveal(self, pick: int) -> None:
        instance, told = self._pick(pick)
        self._is_accepted(
            told, "reveal", lambda: instance.reveal_credentials(reason="?", at=self.place.now)
        )

    @precondition(lambda self: self.models)
    @rule(pick=picks, protected=st.booleans())
    def protect(self, pick: int, protected: bool) -> None:  # noqa: FBT001  drawn
        instance, told = self._pick(pick)
        ask = lambda: instance.change_protection(  # noqa: E731  passed on
            protected=protected, at=self.place.now
        )
        if self._is_accepted(told, "protect", ask):
            told.protected = protected

    @precondition(lambda self: self.models)
    @rule(pick=picks, grace=st.sampled_from([timedelta(), timedelta(minutes=20)]))
    def remove(self, pick: int, grace: timedelta) -> None:
        self._remove(self._pick_key(pick), grace)

    @precondition(lambda self: self.models)
    @rule(pick=picks)
    def cancel_removal(self, pick: int) -> None:
        instance, told = self._pick(pick)
        if self._is_accepted(
            told, "cancel removal", lambda: instance.cancel_removal(at=self.place.now)
        ):
            told.cancel_removal()

    @precondition(lambda self: self.models)
    @rule(pick=picks)
    def abandon(self, pick: int) -> None:
        instance, told = self._pick(pick)
        if self._is_accepted(
            told, "abandon", lambda: instance.abandon(reason="Lost.", at=self.place.now)
        ):
            told.end()

    # Providers: results of any operation that there ever was

    @precondition(lambda self: any(told.work for told in self.models.values()))
    @rule(pick=picks)
    def provider_is_done(self, pick: int) -> None:
        busy = [key for key, told in self.models.items() if told.work]
        self._is_done(busy[pick % len(busy)])

    @precondition(lambda self: self.models)
    @rule(pick=picks, which=picks, is_current=mostly)
    def provisioned(self, pick: int, which: int, is_current: bool) -> None:  # noqa: FBT001  drawn
        instance, told = self._pick(pick)
        if not told.was_asked:
            return  # no provider heard of it
        operation_id = self._operation_id(instance, told, which, is_current=is_current)
        then = self._work(instance, "then")
        instance.record_provisioned(
            operation_id=operation_id,
            next_operation_id=then.id,
            deadline=then.deadline,
            at=self.place.now,
        )
        told.provisioned(operation_id, then, at=self.place.now)

    @precondition(lambda self: self.models)
    @rule(pick=picks, which=picks, is_current=mostly)
    def failed(self, pick: int, which: int, is_current: bool) -> None:  # noqa: FBT001  drawn
        instance, told = self._pick(pick)
        operation_id = self._operation_id(instance, told, which, is_current=is_current)
        then = self._work(instance, "then")
        under_way = instance.facts.operation
        instance.record_failure(
            operation_id=operation_id,
            attempt=under_way.attempt if under_way else 1,
            code="BROKEN",
            message="It broke.",
            next_operation_id=then.id,
            deadline=then.deadline,
            at=self.place.now,
        )
        told.failed(operation_id, then, at=self.place.now)

    @precondition(lambda self: self.models)
    @rule(pick=picks, which=picks, is_current=mostly, kind=st.sampled_from("ur"))
    def changed(self, pick: int, which: int, is_current: bool, kind: str) -> None:  # noqa: FBT001  drawn
        """An update or a rotation is done; nobody answers one operation with the other."""
        instance, told = self._pick(pick)
        operation_id = self._operation_id(instance, told, which, is_current=is_current)
        wanted = {"u": "UPDATE", "r": "ROTATE"}[kind]
        if told.work and told.work.id == operation_id and told.work.kind != wanted:
            return
        if kind == "u":
            instance.record_updated(operation_id=operation_id, at=self.place.now)
            told.updated(operation_id)
        else:
            instance.record_rotated(
                operation_id=operation_id, secret_version=told.version + 1, at=self.place.now
            )
            told.rotated(operation_id)

    @precondition(lambda self: self.models)
    @rule(pick=picks, which=picks, is_current=mostly)
    def gone(self, pick: int, which: int, is_current: bool) -> None:  # noqa: FBT001  drawn
        instance, told = self._pick(pick)
        operation_id = self._operation_id(instance, told, which, is_current=is_current)
        instance.record_gone(operation_id=operation_id, at=self.place.now)
        told.gone()

    @precondition(lambda self: self.models)
    @rule(pick=picks, which=picks, attempt=st.integers(1, 3))
    def delayed(self, pick: int, which: int, attempt: int) -> None:
        instance, told = self._pick(pick)
        operation_id = self._operation_id(instance, told, which, is_current=which % 2 == 0)
        before = instance.facts.operation
        instance.record_delay(
            operation_id=operation_id,
            attempt=attempt,
            code="BUSY",
            message="Later.",
            next_attempt_at=self.place.now,
            at=self.place.now,
        )
        after = instance.facts.operation
        is_due = told.work and told.work.id == operation_id and before and before.attempt == attempt
        assert (after != before) == bool(is_due)

    @precondition(lambda self: self.models)
    @rule(pick=picks)
    def revoked(self, pick: int) -> None:
        instance, told = self._pick(pick)
        for version in (*instance.facts.unused_secret_versions, told.version):
            instance.record_revoked(secret_version=version, at=self.place.now)
        told.versions = instance.facts.secret_versions  # held against what is needed, below

    # Time

    @rule(minutes=st.sampled_from([1, 10, 20, 30, 120]))
    def time_passes(self, minutes: int) -> None:
        self.place.advance(timedelta(minutes=minutes))

    @precondition(lambda self: self.models)
    @rule(pick=picks, which=picks, is_current=mostly)
    def somebody_looks_at_the_clock(self, pick: int, which: int, is_current: bool) -> None:  # noqa: FBT001  drawn
        instance, told = self._pick(pick)
        operation_id = self._operation_id(instance, told, which, is_current=is_current)
        now, then, removal = (
            self.place.now,
            self._work(instance, "then"),
            self._work(instance, "REMOVE"),
        )
        instance.expire_operation(
            operation_id=operation_id, next_operation_id=then.id, deadline=then.deadline, at=now
        )
        if told.work and told.work.id == operation_id and now >= told.work.deadline:
            told.failed(operation_id, then, at=now)
        instance.start_scheduled_removal(operation_id=removal.id, deadline=removal.deadline, at=now)
        told.grace_is_over(removal, at=now)

    @precondition(lambda self: self.models)
    @rule(pick=picks)
    def removal_is_retried(self, pick: int) -> None:
        instance, told = self._pick(pick)
        work = self._work(instance, "REMOVE")
        operation = instance.facts.operation
        has_failed = told.resource == model.DELETING and told.work is None
        retry_at = operation.next_attempt_at if operation and has_failed else None
        instance.retry_removal(operation_id=work.id, deadline=work.deadline, at=self.place.now)
        if retry_at is not None and self.place.now >= retry_at:
            told.delete(work)

    # Deployments

    @rule()
    def deployment_starts(self) -> None:
        if self.running:
            refusal = histories.refusal_of(self.place.start_deployment)
            assert isinstance(refusal, errors.DeploymentRefusedError)
            assert refusal.deployment_id == self.running.found.id
            return
        found = self.place.start_deployment()
        items = {}
        for service_instance_id, told in self.models.items():
            if told.wanted or told.applied:
                items[service_instance_id] = (told.next_role, told.prefix, told.version)
                told.role = told.next_role
            if told.role == "ATTACH" and told.resource == model.ABSENT:
                operation = histories.current_operation(self.place.instances[service_instance_id])
                self.issued[service_instance_id].append(operation.id)
                told.provision(Work("PROVISION", operation.id, operation.deadline))
        self.running = Planned(found, items)

    @precondition(lambda self: self.running)
    @rule()
    def deployment_succeeds(self) -> None:
        assert self.running
        attaching = [
            self.models[key] for key, (role, _, _) in self.running.items.items() if role == "ATTACH"
        ]
        if any(told.resource != model.READY for told in attaching):
            return  # it waits for them
        self.place.succeed(self.running.found)
        for key, (role, prefix, version) in self.running.items.items():
            told = self.models[key]
            if role == "DETACH":
                told.detached()
            else:
                told.attached(prefix=prefix, version=version or told.version)
        self.running = None

    @precondition(lambda self: not self.running)
    @rule()
    def everything_is_deployed(self) -> None:
        self.deployment_starts()
        for key, told in self.models.items():
            if told.resource == model.CREATING:
                self._is_done(key)
        self.deployment_succeeds()

    @precondition(lambda self: self.running)
    @rule(is_cancelled=st.booleans())
    def deployment_ends_without_success(self, is_cancelled: bool) -> None:  # noqa: FBT001  drawn
        assert self.running
        running = self.place.running_variables()
        end = self.place.cancel if is_cancelled else self.place.fail
        end(self.running.found)
        for key in self.running.items:
            self.models[key].role = None
        self.running = None
        assert self.place.running_variables() == running

    # What is always true

    @invariant()
    def the_domain_agrees_with_the_model(self) -> None:
        for key, told in self.models.items():
            facts = self.place.instances[key].facts
            assert (facts.resource, facts.applied, facts.wanted) == (
                told.resource,
                told.applied,
                told.wanted,
            )
            assert (facts.state, facts.is_functional) == (told.state, told.is_functional)
            assert facts.is_usable == (told.resource == model.READY and told.applied)
            assert (facts.removal_requested, facts.removal_scheduled_for) == (
                told.leaving,
                told.leaves_at,
            )
            assert (facts.plan, facts.next_plan) == (told.plan, told.next_plan)
            assert (facts.prefix, facts.applied_prefix) == (told.prefix, told.applied_prefix)
            assert facts.secret_versions == told.versions
            assert facts.applied_secret_version == told.applied_version
            assert facts.deployment_role == told.role
            assert facts.protected == told.protected

    @invariant()
    def at_most_one_operation_is_under_way(self) -> None:
        allowed = {
            model.ABSENT: set(),
            model.CREATING: {"PROVISION"},
            model.READY: {"UPDATE", "ROTATE"},
            model.DELETING: {"REMOVE"},
            model.GONE: set(),
        }
        for key, told in self.models.items():
            operation = self.place.instances[key].facts.operation
            shown = operation if operation and operation.is_in_progress else None
            assert (shown.id if shown else None) == (told.work.id if told.work else None)
            assert (shown.deadline if shown else None) == (
                told.work.deadline if told.work else None
            )
            if shown:
                assert shown.kind in allowed[told.resource]
            elif told.resource == model.CREATING:
                raise AssertionError("being created, but nobody is at it")

    @invariant()
    def replaying_gives_the_same(self) -> None:
        for instance in self.place.instances.values():
            assert histories.replayed(instance) == instance.facts

    @invariant()
    def nothing_goes_from_applied_to_deletion_in_one_step(self) -> None:
        now = {key: found.facts for key, found in self.place.instances.items()}
        for key, facts in self.before.items():
            if facts.applied:
                assert now[key].resource not in {model.DELETING, model.GONE}
            if facts.resource == model.GONE:
                assert now[key] == facts  # terminal
        self.before = now

    @invariant()
    def nothing_under_removal_is_applied_or_held(self) -> None:
        for instance in self.place.instances.values():
            if instance.facts.is_under_removal or instance.facts.resource == model.GONE:
                assert not instance.facts.applied
                assert not instance.facts.wanted
                assert instance.facts.deployment_role is None

    @invariant()
    def units_and_prefixes_are_held_by_the_live_and_by_nobody_else(self) -> None:
        for instance in self.place.instances.values():
            self.place.settle_removed(instance)
        live = self.place.live
        assert set(self.place.project.holders) == set(live)
        assert {
            key: (held.kind, held.prefix, held.variable_names)
            for key, held in self.place.environment.holdings.items()
        } == {
            key: (found.facts.kind, found.facts.prefix, found.facts.variable_names)
            for key, found in live.items()
        }

    @invariant()
    def no_variable_is_there_twice(self) -> None:
        everybody = [found.facts for found in self.place.live.values()]
        wanted = [name for facts in everybody for name in facts.variable_names]
        running = [name for facts in everybody for name in facts.applied_variable_names or ()]
        assert len(set(wanted)) == len(wanted)
        assert len(set(running)) == len(running)

    @invariant()
    def credentials_that_somebody_needs_are_valid(self) -> None:
        held = self.running.items if self.running else {}
        for key, instance in self.place.instances.items():
            facts = instance.facts
            if facts.resource == model.READY:
                needed = {facts.secret_version}
                needed |= {facts.applied_secret_version} if facts.applied_secret_version else set()
                role, _, version = held.get(key, (None, "", 0))
                needed |= {version} if version and role != "DETACH" else set()
                assert needed <= set(facts.secret_versions)
                assert needed.isdisjoint(facts.unused_secret_versions)

    @invariant()
    def the_plan_says_what_a_deployment_would_change(self) -> None:
        plan = self.place.plan()
        assert plan.is_approved_by(self.place.plan(position=8).digest)
        roles = {(a.kind.value, a.service_instance_id) for a in plan.actions}
        for key, told in self.models.items():
            assert (("ATTACH", key) in roles) == (told.next_role == "ATTACH")
            assert (("DETACH", key) in roles) == (told.next_role == "DETACH")
            assert (("PROVISION", key) in roles) == (
                told.next_role == "ATTACH" and told.resource in {model.ABSENT, model.CREATING}
            )

    def teardown(self) -> None:
        """Removed can be reached from wherever the history ended."""
        if self.running:
            self.place.cancel(self.running.found)
        for instance in self.place.live.values():
            if not instance.facts.is_under_removal:
                instance.change_protection(protected=False, at=self.place.now)
                instance.request_detachment(at=self.place.now)
        self.place.deploy()
        self.place.advance(timedelta(minutes=20))
        for instance in self.place.live.values():
            self._bring_to_its_end(instance)
        assert self.place.live == {}
        assert self.place.running_variables() == {}
        for instance in self.place.instances.values():
            self.place.settle_removed(instance)
        self.place.environment.delete(at=self.place.now)
        assert self.place.project.holders == {}

    def _bring_to_its_end(self, instance: ServiceInstance) -> None:
        """Four steps at most: the removal, the end of provisioning, the clock, the provider."""
        now = self.place.now
        histories.remove(instance, at=now)
        if instance.facts.resource == model.CREATING:
            histories.report_failure(instance, at=now)
        histories.start_scheduled_removal(instance, at=now)
        if instance.facts.resource != model.GONE:
            histories.report_gone(instance)
        assert instance.facts.state == "REMOVED"

    # How it is done

    def _pick_key(self, pick: int) -> UUID:
        """Any instance; one that is removed now and then only."""
        keys = list(self.models)
        live = [key for key in keys if self.models[key].resource != model.GONE]
        chosen = live if live and pick % 5 else keys
        return chosen[pick % len(chosen)]

    def _pick(self, pick: int) -> tuple[ServiceInstance, Model]:
        key = self._pick_key(pick)
        return self.place.instances[key], self.models[key]

    def _provision(self, key: UUID) -> None:
        instance, told = self.place.instances[key], self.models[key]
        work = self._work(instance, "PROVISION")
        ask = lambda: instance.request_provisioning(  # noqa: E731  passed on
            operation_id=work.id, deadline=work.deadline, at=self.place.now
        )
        if self._is_accepted(told, "provision", ask):
            told.provision(work)

    def _remove(self, key: UUID, grace: timedelta) -> None:
        instance, told = self.place.instances[key], self.models[key]
        work = self._work(instance, "REMOVE")
        ask = lambda: instance.remove(  # noqa: E731  passed on
            confirmation=instance.facts.label,
            operation_id=work.id,
            deadline=work.deadline,
            grace=grace,
            at=self.place.now,
        )
        if self._is_accepted(told, "remove", ask):
            told.remove(work, leaves_at=self.place.now + grace if grace else None)

    def _is_done(self, key: UUID) -> None:
        """What the provider is at succeeds."""
        instance, told, now = self.place.instances[key], self.models[key], self.place.now
        assert told.work
        done = told.work.id
        match told.work.kind:
            case "PROVISION":
                then = self._work(instance, "then")
                instance.record_provisioned(
                    operation_id=done, next_operation_id=then.id, deadline=then.deadline, at=now
                )
                told.provisioned(done, then, at=now)
            case "UPDATE":
                instance.record_updated(operation_id=done, at=now)
                told.updated(done)
            case "ROTATE":
                instance.record_rotated(operation_id=done, secret_version=told.version + 1, at=now)
                told.rotated(done)
            case _:
                instance.record_gone(operation_id=done, at=now)
                told.gone()

    def _work(self, instance: ServiceInstance, kind: str) -> Work:
        work = Work(kind, uuid4(), self.place.now + TIMEOUT)
        self.issued[instance.id].append(work.id)
        return work

    def _operation_id(
        self, instance: ServiceInstance, told: Model, which: int, *, is_current: bool
    ) -> UUID:
        if is_current and told.work:
            return told.work.id
        issued = self.issued[instance.id]
        return issued[which % len(issued)]

    def _is_accepted(
        self, told: Model, command: str, ask: Callable[[], object], *, plan: str = "small"
    ) -> bool:
        """Ask, and find the answer that the model expects."""
        expected = told.refusal(command, at=self.place.now, plan=plan)
        if expected is None:
            ask()
            return True
        assert histories.refusal_of(ask).code == expected
        return False


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    derandomize=True,  # the same histories on every machine
    database=None,
    deadline=None,
    max_examples=300,
    stateful_step_count=50,
    suppress_health_check=[HealthCheck.too_slow],
)
