"""Mutations of deployments."""

from app import application
from app.application.request import Request
from app.graphql.mutations import inputs, payloads
from app.graphql.mutations.carrying_out import Done, given_or, mutation, uuid_of
from app.graphql.types import enums


@mutation(
    given=inputs.DeployInput,
    success=payloads.DeploySuccess,
    description="Put what is wanted in an environment into effect.",
)
async def deploy(
    use_cases: application.Application, request: Request, given: inputs.DeployInput
) -> Done:
    """Call the use case."""
    deployment_id, position = await use_cases.deployments.deploy(
        request=request,
        environment_id=uuid_of(given.environment, type_name="Environment"),
        expected_plan=given_or(given.expected_plan, None),
    )
    return Done(position, {"deployment": deployment_id})


@mutation(
    given=inputs.CancelDeploymentInput,
    success=payloads.CancelDeploymentSuccess,
    description=(
        "Cancel a deployment, until it switches over. The previous configuration goes on running."
    ),
)
async def cancel_deployment(
    use_cases: application.Application, request: Request, given: inputs.CancelDeploymentInput
) -> Done:
    """Call the use case."""
    deployment_id = uuid_of(given.id, type_name="Deployment")
    position = await use_cases.deployments.cancel(request=request, deployment_id=deployment_id)
    return Done(position, {"deployment": deployment_id})


@mutation(
    given=inputs.ReportDeploymentInput,
    success=payloads.ReportDeploymentSuccess,
    description="Report how a deployment ended that the deployer `external` waits for.",
)
async def report_deployment(
    use_cases: application.Application, request: Request, given: inputs.ReportDeploymentInput
) -> Done:
    """Call the use case."""
    deployment_id = uuid_of(given.id, type_name="Deployment")
    position = await use_cases.deployments.report(
        request=request,
        deployment_id=deployment_id,
        succeeded=given.outcome is enums.DeploymentOutcome.SUCCEEDED,
        message=given_or(given.message, None) or "",
    )
    return Done(position, {"deployment": deployment_id})


FIELDS = [
    deploy,
    cancel_deployment,
    report_deployment,
]
