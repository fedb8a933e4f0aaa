"""Mutations of projects and environments."""

from app import application
from app.application.request import Request
from app.graphql.mutations import inputs, payloads
from app.graphql.mutations.carrying_out import Done, given_or, json_object, mutation, uuid_of
from domain import errors


@mutation(
    given=inputs.CreateProjectInput,
    success=payloads.CreateProjectSuccess,
    description=(
        "Create a project, with the environments `test` and `live` and their default services."
        " Its name need not be unique; its id is."
    ),
)
async def create_project(
    use_cases: application.Application, request: Request, given: inputs.CreateProjectInput
) -> Done:
    """Call the use case."""
    project_id, position = await use_cases.projects.create_project(request=request, name=given.name)
    return Done(position, {"project": project_id})


@mutation(
    given=inputs.SetSubscriptionInput,
    success=payloads.SetSubscriptionSuccess,
    description=(
        "Set how many units of some offerings the project may use. Fewer than are in use "
        "is accepted: only adding is refused then."
    ),
)
async def set_subscription(
    use_cases: application.Application, request: Request, given: inputs.SetSubscriptionInput
) -> Done:
    """Call the use case."""
    project_id = uuid_of(given.project, type_name="Project")
    position = await use_cases.projects.set_subscription(
        request=request,
        project_id=project_id,
        units=_units(given.units),
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"project": project_id})


@mutation(
    given=inputs.AddMemberInput,
    success=payloads.AddMemberSuccess,
    description="Give a person a role in the project, or another role.",
)
async def add_member(
    use_cases: application.Application, request: Request, given: inputs.AddMemberInput
) -> Done:
    """Call the use case."""
    project_id = uuid_of(given.project, type_name="Project")
    position = await use_cases.projects.add_member(
        request=request,
        project_id=project_id,
        subject=given.subject,
        role=given.role,
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"project": project_id})


@mutation(
    given=inputs.RemoveMemberInput,
    success=payloads.RemoveMemberSuccess,
    description="Take a person out of the project, unless nobody else is a manager.",
)
async def remove_member(
    use_cases: application.Application, request: Request, given: inputs.RemoveMemberInput
) -> Done:
    """Call the use case."""
    project_id = uuid_of(given.project, type_name="Project")
    position = await use_cases.projects.remove_member(
        request=request,
        project_id=project_id,
        subject=given.subject,
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"project": project_id})


@mutation(
    given=inputs.CreateEnvironmentInput,
    success=payloads.CreateEnvironmentSuccess,
    description="Create an environment, with its default services.",
)
async def create_environment(
    use_cases: application.Application, request: Request, given: inputs.CreateEnvironmentInput
) -> Done:
    """Call the use case."""
    environment_id, position = await use_cases.projects.create_environment(
        request=request,
        project_id=uuid_of(given.project, type_name="Project"),
        name=given.name,
        protected=given.protected,
    )
    return Done(position, {"environment": environment_id})


@mutation(
    given=inputs.DeleteEnvironmentInput,
    success=payloads.DeleteEnvironmentSuccess,
    description="Delete an environment without services. Its history stays readable.",
)
async def delete_environment(
    use_cases: application.Application, request: Request, given: inputs.DeleteEnvironmentInput
) -> Done:
    """Call the use case."""
    environment_id = uuid_of(given.id, type_name="Environment")
    position = await use_cases.projects.delete_environment(
        request=request,
        environment_id=environment_id,
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"environment": environment_id})


@mutation(
    given=inputs.ConfigureDeployerInput,
    success=payloads.ConfigureDeployerSuccess,
    description=(
        "Choose who carries out the deployments of an environment. COMMAND, WEBHOOK, and ENV_FILE"
        " with settings act in the server's place: for operators only."
    ),
)
async def configure_deployer(
    use_cases: application.Application, request: Request, given: inputs.ConfigureDeployerInput
) -> Done:
    """Call the use case."""
    environment_id = uuid_of(given.environment, type_name="Environment")
    position = await use_cases.projects.configure_deployer(
        request=request,
        environment_id=environment_id,
        deployer=given.kind.value,
        settings=json_object(given.settings, path="settings") or {},
        new_secrets=_secrets(given_or(given.secrets, None)),
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"environment": environment_id})


def _units(entries: list[inputs.UnitsInput]) -> dict[str, int]:
    units = {entry.offering: entry.units for entry in entries}
    if len(units) != len(entries):
        raise errors.InputRefusedError(
            code=errors.RefusalCode.INVALID_INPUT,
            message="An offering is listed twice. List each once.",
            path="units",
        )
    return units


def _secrets(given: list[inputs.SecretInput] | None) -> dict[str, str]:
    entries = given or []
    secrets = {entry.name: entry.value for entry in entries}
    if len(secrets) != len(entries):
        raise errors.InputRefusedError(
            code=errors.RefusalCode.INVALID_INPUT,
            message="A secret is given twice. Give each once.",
            path="secrets",
        )
    return secrets


FIELDS = [
    create_project,
    set_subscription,
    add_member,
    remove_member,
    create_environment,
    delete_environment,
    configure_deployer,
]
