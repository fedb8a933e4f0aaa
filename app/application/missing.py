"""What is said when there is no such aggregate."""

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain import api_token, deployment, environment, errors, project, service_instance
from domain.errors import RefusalCode

_SAID: Mapping[type[Aggregate], tuple[RefusalCode, str]] = MappingProxyType(
    {
        project.Project: (RefusalCode.PROJECT_NOT_FOUND, "project"),
        environment.Environment: (RefusalCode.ENVIRONMENT_NOT_FOUND, "environment"),
        service_instance.ServiceInstance: (RefusalCode.SERVICE_NOT_FOUND, "service"),
        deployment.Deployment: (RefusalCode.NO_DEPLOYMENT_IN_PROGRESS, "deployment"),
        api_token.ApiToken: (RefusalCode.TOKEN_NOT_FOUND, "token"),
    }
)


def refusal(kind: type[Aggregate], aggregate_id: UUID) -> errors.NotFoundRefusedError:
    """Return the refusal for a kind of aggregate."""
    code, what = _SAID[kind]
    return errors.NotFoundRefusedError(
        code=code, message=f"There is no such {what}.", given_id=aggregate_id.hex
    )
