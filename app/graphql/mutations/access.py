"""Mutations of access: the Beta, API tokens, and people who are forgotten."""

from app import application
from app.access import tokens
from app.application.request import Request
from app.application.tokens import Wanted
from app.graphql.mutations import inputs, payloads
from app.graphql.mutations.carrying_out import Done, given_or, mutation, uuid_of
from app.graphql.types import viewer
from domain import errors


@mutation(
    given=inputs.JoinBetaInput,
    success=payloads.JoinBetaSuccess,
    description="Sign up for Beta features. Service management is one.",
    is_input_optional=True,
)
async def join_beta(
    use_cases: application.Application, request: Request, given: inputs.JoinBetaInput
) -> Done:
    """Call the use case."""
    del given
    position = await use_cases.people.join_beta(request=request, subject=request.actor)
    return Done(position, {}, await _viewer(use_cases, request))


@mutation(
    given=inputs.LeaveBetaInput,
    success=payloads.LeaveBetaSuccess,
    description="Do without Beta features. What was begun with them goes on.",
    is_input_optional=True,
)
async def leave_beta(
    use_cases: application.Application, request: Request, given: inputs.LeaveBetaInput
) -> Done:
    """Call the use case."""
    del given
    position = await use_cases.people.leave_beta(request=request, subject=request.actor)
    return Done(position, {}, await _viewer(use_cases, request))


@mutation(
    given=inputs.CreateTokenInput,
    success=payloads.CreateTokenSuccess,
    needs_beta=False,
    description=(
        "Make an API token. With a project role it has that role in its projects; without, it"
        " allows what the memberships of its subject allow. It is shown only now."
    ),
)
async def create_token(
    use_cases: application.Application, request: Request, given: inputs.CreateTokenInput
) -> Done:
    """Call the use case."""
    wanted = Wanted(
        subject=given.subject,
        name=given.name,
        roles=frozenset(given_or(given.roles, None) or ()),
        projects=frozenset(
            uuid_of(each, type_name="Project") for each in given_or(given.projects, None) or ()
        ),
        expires_at=given_or(given.expires_at, None),
    )
    token_id, secret, position = await use_cases.tokens.create(request=request, wanted=wanted)
    return Done(position, {"token": token_id}, {"secret": secret})


@mutation(
    given=inputs.RevokeTokenInput,
    success=payloads.RevokeTokenSuccess,
    needs_beta=False,
    description="End an API token at once.",
)
async def revoke_token(
    use_cases: application.Application, request: Request, given: inputs.RevokeTokenInput
) -> Done:
    """Call the use case."""
    token_id = tokens.parsed_id(given.id)
    if token_id is None:
        raise errors.NotFoundRefusedError(
            code=errors.RefusalCode.TOKEN_NOT_FOUND,
            message="There is no such token.",
            given_id=given.id,
        )
    position = await use_cases.tokens.revoke(request=request, token_id=token_id)
    return Done(position, {"token": token_id})


@mutation(
    given=inputs.ErasePersonInput,
    success=payloads.ErasePersonSuccess,
    needs_beta=False,
    description=(
        "Forget what a person wrote so far, for good: reasons and messages are shown as `erased`."
        " What it did stays on record, under its subject. For operators."
    ),
)
async def erase_person(
    use_cases: application.Application, request: Request, given: inputs.ErasePersonInput
) -> Done:
    """Call the use case."""
    position = await use_cases.people.erase(
        request=request, subject=given.subject, confirmation=given.confirm
    )
    return Done(position, {}, {"subject": given.subject})


async def _viewer(use_cases: application.Application, request: Request) -> dict[str, object]:
    if request.caller is None:
        raise ValueError("a mutation has a caller")
    return {"viewer": await viewer.viewer_of(request.caller, use_cases=use_cases)}


FIELDS = [
    join_beta,
    leave_beta,
    create_token,
    revoke_token,
    erase_person,
]
