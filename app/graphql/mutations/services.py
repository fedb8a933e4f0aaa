"""Mutations of service instances."""

from app import application
from app.application.request import Request
from app.graphql.mutations import inputs, payloads
from app.graphql.mutations.carrying_out import Done, given_or, json_object, mutation, uuid_of


@mutation(
    given=inputs.AddServiceInput,
    success=payloads.AddServiceSuccess,
    description=(
        "Add a service to an environment. Nothing is provisioned by this, and nothing restarts."
    ),
)
async def add_service(
    use_cases: application.Application, request: Request, given: inputs.AddServiceInput
) -> Done:
    """Call the use case."""
    service_instance_id, position = await use_cases.services.add(
        request=request,
        environment_id=uuid_of(given.environment, type_name="Environment"),
        offering=given.offering,
        plan=given_or(given.plan, None),
        prefix=given_or(given.prefix, None),
        parameters=json_object(given.parameters, path="parameters") or {},
    )
    return Done(position, {"service_instance": service_instance_id})


@mutation(
    given=inputs.ConfigureServiceInput,
    success=payloads.ConfigureServiceSuccess,
    description="Change the plan or the parameters: at once if the service is ready.",
)
async def configure_service(
    use_cases: application.Application, request: Request, given: inputs.ConfigureServiceInput
) -> Done:
    """Call the use case."""
    service_instance_id = uuid_of(given.id, type_name="ServiceInstance")
    position = await use_cases.services.configure(
        request=request,
        service_instance_id=service_instance_id,
        plan=given_or(given.plan, None),
        parameters=json_object(given.parameters, path="parameters"),
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"service_instance": service_instance_id})


@mutation(
    given=inputs.ProvisionServiceInput,
    success=payloads.ProvisionServiceSuccess,
    description="Have the service made now, without a deployment: to load data in advance.",
)
async def provision_service(
    use_cases: application.Application, request: Request, given: inputs.ProvisionServiceInput
) -> Done:
    """Call the use case."""
    service_instance_id = uuid_of(given.id, type_name="ServiceInstance")
    position = await use_cases.services.provision(
        request=request,
        service_instance_id=service_instance_id,
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"service_instance": service_instance_id})


@mutation(
    given=inputs.AttachServiceInput,
    success=payloads.AttachServiceSuccess,
    description="Want the service in the next deployment.",
)
async def attach_service(
    use_cases: application.Application, request: Request, given: inputs.AttachServiceInput
) -> Done:
    """Call the use case."""
    service_instance_id = uuid_of(given.id, type_name="ServiceInstance")
    position = await use_cases.services.attach(
        request=request,
        service_instance_id=service_instance_id,
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"service_instance": service_instance_id})


@mutation(
    given=inputs.DetachServiceInput,
    success=payloads.DetachServiceSuccess,
    description=(
        "Want the service out of the next deployment. Nothing is destroyed, and the "
        "running application goes on using it until then."
    ),
)
async def detach_service(
    use_cases: application.Application, request: Request, given: inputs.DetachServiceInput
) -> Done:
    """Call the use case."""
    service_instance_id = uuid_of(given.id, type_name="ServiceInstance")
    position = await use_cases.services.detach(
        request=request,
        service_instance_id=service_instance_id,
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"service_instance": service_instance_id})


@mutation(
    given=inputs.RenamePrefixInput,
    success=payloads.RenamePrefixSuccess,
    description="Use another prefix for the variables, from the next deployment on.",
)
async def rename_prefix(
    use_cases: application.Application, request: Request, given: inputs.RenamePrefixInput
) -> Done:
    """Call the use case."""
    service_instance_id = uuid_of(given.id, type_name="ServiceInstance")
    position = await use_cases.services.rename_prefix(
        request=request,
        service_instance_id=service_instance_id,
        prefix=given.prefix,
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"service_instance": service_instance_id})


@mutation(
    given=inputs.RemoveServiceInput,
    success=payloads.RemoveServiceSuccess,
    description="Remove for good, with its data, a service that no running application uses.",
)
async def remove_service(
    use_cases: application.Application, request: Request, given: inputs.RemoveServiceInput
) -> Done:
    """Call the use case."""
    service_instance_id = uuid_of(given.id, type_name="ServiceInstance")
    position = await use_cases.services.remove(
        request=request,
        service_instance_id=service_instance_id,
        confirmation=given_or(given.confirm, None),
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"service_instance": service_instance_id})


@mutation(
    given=inputs.CancelRemovalInput,
    success=payloads.CancelRemovalSuccess,
    description="Call a removal off, before its grace period ends: all is as it was.",
)
async def cancel_removal(
    use_cases: application.Application, request: Request, given: inputs.CancelRemovalInput
) -> Done:
    """Call the use case."""
    service_instance_id = uuid_of(given.id, type_name="ServiceInstance")
    position = await use_cases.services.cancel_removal(
        request=request,
        service_instance_id=service_instance_id,
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"service_instance": service_instance_id})


@mutation(
    given=inputs.AbandonRemovalInput,
    success=payloads.AbandonRemovalSuccess,
    description="Give up a removal that failed; the resource is listed under `orphans`.",
)
async def abandon_removal(
    use_cases: application.Application, request: Request, given: inputs.AbandonRemovalInput
) -> Done:
    """Call the use case."""
    service_instance_id = uuid_of(given.id, type_name="ServiceInstance")
    position = await use_cases.services.abandon_removal(
        request=request,
        service_instance_id=service_instance_id,
        reason=given.reason,
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"service_instance": service_instance_id})


@mutation(
    given=inputs.SetDeletionProtectionInput,
    success=payloads.SetDeletionProtectionSuccess,
    description="Guard a service against removal, or no longer.",
)
async def set_deletion_protection(
    use_cases: application.Application, request: Request, given: inputs.SetDeletionProtectionInput
) -> Done:
    """Call the use case."""
    service_instance_id = uuid_of(given.id, type_name="ServiceInstance")
    position = await use_cases.services.change_protection(
        request=request,
        service_instance_id=service_instance_id,
        protected=given.protected,
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"service_instance": service_instance_id})


@mutation(
    given=inputs.RotateCredentialsInput,
    success=payloads.RotateCredentialsSuccess,
    description=(
        "Make new credentials beside the old ones; the application gets them with the "
        "next deployment."
    ),
)
async def rotate_credentials(
    use_cases: application.Application, request: Request, given: inputs.RotateCredentialsInput
) -> Done:
    """Call the use case."""
    service_instance_id = uuid_of(given.id, type_name="ServiceInstance")
    position = await use_cases.services.rotate_credentials(
        request=request,
        service_instance_id=service_instance_id,
        expected_version=given_or(given.expected_version, None),
    )
    return Done(position, {"service_instance": service_instance_id})


@mutation(
    given=inputs.RevealCredentialsInput,
    success=payloads.RevealCredentialsSuccess,
    description="Show the credentials of a service. Who saw them, when and why is recorded first.",
)
async def reveal_credentials(
    use_cases: application.Application, request: Request, given: inputs.RevealCredentialsInput
) -> Done:
    """Call the use case."""
    service_instance_id = uuid_of(given.id, type_name="ServiceInstance")
    variables, position = await use_cases.services.reveal_credentials(
        request=request,
        service_instance_id=service_instance_id,
        reason=given.reason,
        expected_version=given_or(given.expected_version, None),
    )
    revealed = [
        payloads.RevealedVariable(name=name, value=value) for name, value in variables.items()
    ]
    return Done(position, {"service_instance": service_instance_id}, {"variables": revealed})


FIELDS = [
    add_service,
    configure_service,
    provision_service,
    attach_service,
    detach_service,
    rename_prefix,
    remove_service,
    cancel_removal,
    abandon_removal,
    set_deletion_protection,
    rotate_credentials,
    reveal_credentials,
]
