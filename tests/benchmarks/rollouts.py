"""Deployments in a story, command by command as the worker carries them out."""

import dataclasses
from collections.abc import Iterable

from domain import deployment, deployment_plan, events, states, values
from tests.benchmarks import stories


def deploy(story: stories.Story, place: stories.Place, *, fails: bool = False) -> None:
    """Put the environment into effect, or fail to release it."""
    started = _start(story, place)
    for service in place.services.values():
        if service.facts.resource is states.Resource.CREATING:
            story.report_provisioning(service, fails=False)
    items = [_with_version(place, item) for item in started.started.items]
    variables = tuple(_variables(items))
    revision = (place.environment.revision or 0) + 1
    started.configure(revision=revision, variables=variables, at=story.now)
    story.commit("configure", started, actor=stories.WORKER)
    started.hand_over(at=story.now)
    story.commit("hand_over", started, actor=stories.WORKER)
    if fails:
        started.fail(code="RELEASE_FAILED", message="The health check failed.", at=story.now)
    else:
        started.succeed(at=story.now)
    _end(story, place, started, items)


def _start(story: stories.Story, place: stories.Place) -> deployment.Deployment:
    opened = place.environment
    deployment_id = story.new_id()
    facts = {key: service.facts for key, service in place.services.items()}
    plan = deployment_plan.draw_up(
        environment_id=opened.id,
        instances=facts,
        unavailable_offerings=frozenset(),
        position=story.length,
    )
    number = opened.start_deployment(deployment_id=deployment_id, at=story.now)
    started = deployment.Deployment.start(
        deployment_id=deployment_id,
        project_id=story.project.id,
        environment_id=opened.id,
        environment_name=opened.name,
        number=number,
        items=deployment_plan.snapshot(facts),
        plan=plan.as_json(),
        deployer=opened.deployer,
        deployer_settings=opened.deployer_settings,
        deadline=story.now + 2 * stories.WITHIN,
        requested_by=stories.person(0),
        at=story.now,
    )
    held = [place.services[i.service_instance_id] for i in started.started.items if i.role]
    for service, item in zip(held, (i for i in started.started.items if i.role), strict=True):
        assert item.role is not None
        service.join_deployment(deployment_id=deployment_id, role=item.role, at=story.now)
        if service.facts.resource is states.Resource.ABSENT:
            service.request_provisioning(
                operation_id=story.new_id(), deadline=story.now + stories.WITHIN, at=story.now
            )
    story.commit("deploy", opened, started, *held)
    return started


def _end(
    story: stories.Story,
    place: stories.Place,
    ended: deployment.Deployment,
    items: Iterable[events.SnapshotItem],
) -> None:
    succeeded = ended.status is values.DeploymentStatus.SUCCEEDED
    place.environment.end_deployment(
        deployment_id=ended.id,
        status=ended.status,
        revision=ended.revision if succeeded else None,
        variables=ended.variables if succeeded else None,
        at=story.now,
    )
    for item in items:
        service = place.services[item.service_instance_id]
        if succeeded:
            service.take_effect(
                deployment_id=ended.id,
                revision=ended.revision or 0,
                item=item,
                at=story.now,
            )
        else:
            service.leave_deployment(
                deployment_id=ended.id,
                status=ended.status,
                reason="The health check failed.",
                is_exposed=ended.is_exposed,
                at=story.now,
            )
    touched = (place.services[item.service_instance_id] for item in items)
    story.commit("switch", ended, place.environment, *touched, actor=stories.WORKER)


def _with_version(place: stories.Place, item: events.SnapshotItem) -> events.SnapshotItem:
    """Return the item as it is now that everything is provisioned."""
    version = item.secret_version or place.services[item.service_instance_id].facts.secret_version
    return dataclasses.replace(item, secret_version=version)


def _variables(items: Iterable[events.SnapshotItem]) -> Iterable[values.Variable]:
    for item in items:
        if item.role is not values.DeploymentRole.DETACH:
            for name in item.variable_names:
                yield values.Variable(name, item.service_instance_id, item.secret_version or 0)
