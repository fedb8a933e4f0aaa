"""From an input to a command, and from its outcome to the answer."""

import dataclasses
import enum
import functools
import operator
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypeVar
from uuid import UUID

import strawberry
from strawberry.utils import str_converters

from app import application
from app.application.request import Request
from app.graphql import context, extensions, identifiers, payloads, rows
from app.graphql.mutations import refusing
from app.graphql.types import refusals
from domain import errors
from domain.errors import RefusalCode

_LONGEST_KEY = 255
_WRITTEN = ("reason", "message")

_T = TypeVar("_T")

_SOUGHT = MappingProxyType(
    {
        "Project": (RefusalCode.PROJECT_NOT_FOUND, "project"),
        "Environment": (RefusalCode.ENVIRONMENT_NOT_FOUND, "environment"),
        "ServiceInstance": (RefusalCode.SERVICE_NOT_FOUND, "service"),
        "Deployment": (RefusalCode.NO_DEPLOYMENT_IN_PROGRESS, "deployment"),
    }
)


@dataclasses.dataclass(frozen=True)
class Done:
    """What a command did: its place in the log, what it changed, and what else is answered."""

    position: int
    changed: Mapping[str, UUID]
    values: Mapping[str, object] = dataclasses.field(default_factory=dict)


Command = Callable[[application.Application, Request, Any], Awaitable[Done]]
"""Calls one use case: what the program can do, the command as it came in, and its input."""


@dataclasses.dataclass(frozen=True)
class Mutation:
    """A command as a field of the schema: one input in, success or a refusal out."""

    command: Command
    given: type
    success: type
    needs_beta: bool

    async def carry_out(self, place: payloads.Place, given: Any) -> rows.Row:  # noqa: ANN401  an input, or none
        """Return the success or the refusal, with what is selected of it."""
        if not self.needs_beta:
            payloads.require_readable(place, self.success)
        given = given or self.given()
        try:
            request = _request(place, given)
            done = await self.command(place.context.application, request, given)
        except errors.RefusedError as error:
            return await refusing.refusal(place, error, given_id=_sought_id(given, error))
        return await payloads.success(
            place, self.success, position=done.position, changed=done.changed, values=done.values
        )


def mutation(
    *,
    given: type,
    success: type,
    description: str,
    is_input_optional: bool = False,
    needs_beta: bool = True,
) -> Callable[[Command], Any]:
    """Make a mutation of a command.

    One that does not need the Beta must not show what does (R1): that is refused before.
    """
    name = success.__name__.removesuffix("Success")
    result: Any = Annotated[
        functools.reduce(operator.or_, refusals.ALL, success),
        strawberry.union(f"{name}Result", description="Success, or why not."),
    ]

    def made(command: Command) -> Any:  # noqa: ANN401  a strawberry field
        carried = Mutation(command=command, given=given, success=success, needs_beta=needs_beta)

        async def resolve(info: context.Info, input: Any) -> Any:  # noqa: ANN401  as annotated below
            return await carried.carry_out(payloads.place_of(info), input)

        async def resolve_optional(info: context.Info, input: Any = strawberry.UNSET) -> Any:  # noqa: ANN401  as annotated below
            return await carried.carry_out(payloads.place_of(info), input)

        resolve = resolve_optional if is_input_optional else resolve
        resolve.__name__ = command.__name__
        resolve.__annotations__ |= {
            "input": Annotated[
                given | None if is_input_optional else given,
                strawberry.argument(description="What to do."),
            ],
            "return": result | None,  # null if it broke, so that its siblings are still told
        }
        return strawberry.mutation(
            resolver=resolve, description=description, metadata={"mutation": carried}
        )

    return made


def uuid_of(id_: str, *, type_name: str) -> UUID:
    """Return the uuid of an id; raises the refusal of its type if it cannot be one."""
    found = identifiers.uuid_of(id_, type_name=type_name)
    if found is None:
        code, what = _SOUGHT[type_name]
        raise errors.NotFoundRefusedError(
            code=code, message=f"There is no such {what}.", given_id=id_
        )
    return found


def given_or(value: _T, otherwise: _T) -> _T:
    """Return an optional value, or the other one if it was left out."""
    return otherwise if value is strawberry.UNSET else value


def json_object(value: object, *, path: str) -> dict[str, Any] | None:
    """Return a JSON object; None if there is none. Raises PARAMETERS_INVALID or INVALID_INPUT."""
    if value is strawberry.UNSET or value is None:
        return None
    if not isinstance(value, dict):
        is_parameters = path == "parameters"
        raise errors.InputRefusedError(
            code=RefusalCode.PARAMETERS_INVALID if is_parameters else RefusalCode.INVALID_INPUT,
            message=f"{path} must be an object.",
            path=path,
        )
    return value


def _request(place: payloads.Place, given: object) -> Request:
    """Return the command as it came in.

    Its content is all of the input but the key and what people write, of which not even a digest
    is kept: it could be guessed after the person was erased.
    """
    caller = place.context.caller
    if caller is None:
        raise extensions.unauthenticated()
    content = _plain(given)
    key = content.pop("idempotency_key", None)
    _hide_secrets(content)
    for name, value in content.items():  # fields by their names here, told as in the schema
        for path, text in _texts(str_converters.to_camel_case(name), value):
            _require_storable(path, text)
    for name in _WRITTEN:
        content.pop(name, None)
    if key is not None:
        _require_storable("idempotencyKey", key)
        if not 0 < len(key) <= _LONGEST_KEY:
            raise errors.InputRefusedError(
                code=RefusalCode.INVALID_INPUT,
                message=f"An idempotency key has 1 to {_LONGEST_KEY} characters.",
                path="idempotencyKey",
            )
    return Request(
        actor=caller.subject,
        name=place.field.name,
        content=content,
        idempotency_key=key,
        caller=caller,
        traceparent=place.context.traceparent,
    )


def _hide_secrets(content: dict[str, Any]) -> None:
    """Leave the names of secrets alone: not even a digest of a value is kept."""
    if content.get("secrets"):
        content["secrets"] = sorted(each["name"] for each in content["secrets"])


def _plain(value: Any) -> Any:  # noqa: ANN401  any input, or a part of it
    """Return an input as plain data, without what was left out."""
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: _plain(item) for name, item in fields.items() if item is not strawberry.UNSET}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _texts(path: str, value: object) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield path, value
        case dict():
            for name, item in value.items():
                yield f"{path}.{name}", str(name)
                yield from _texts(f"{path}.{name}", item)
        case list():
            for place, item in enumerate(value):
                yield from _texts(f"{path}.{place}", item)
        case _:
            return


def _require_storable(path: str, text: str) -> None:
    """Refuse text that PostgreSQL cannot hold."""
    try:
        text.encode()
        is_storable = "\x00" not in text
    except UnicodeEncodeError:
        is_storable = False
    if not is_storable:
        raise errors.InputRefusedError(
            code=RefusalCode.INVALID_INPUT,
            message=f"{path} holds a character that cannot be stored.",
            path=path,
        )


def _sought_id(given: object, error: errors.RefusedError) -> str:
    """Return the id that was not found, as it was sent; else the one that the input is about."""
    sent = _ids(given)
    if isinstance(error, errors.NotFoundRefusedError):
        for id_ in sent:
            found = identifiers.parsed(id_)
            if error.given_id == (id_ if found is None else found[1].hex):
                return id_
    return sent[0] if sent else ""


def _ids(given: object) -> list[str]:
    """Return the ids of an input, the one that it is about first."""
    named = [getattr(given, name, None) for name in ("id", "environment", "project")]
    listed: list[str] | None = given_or(getattr(given, "projects", None), None)
    return [id_ for id_ in named if isinstance(id_, str)] + list(listed or ())
