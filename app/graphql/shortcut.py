"""The short way: from an operation to the text of its answer, without an executor.

A query is one statement, whose JSON is the answer; a mutation calls its use cases in order, and
writes what was selected of their outcomes. What cannot go this way is left to the executor:
subscriptions, introspection, whoever has not signed in, and all that is wrong with an operation,
so that there is one place that says what. Both ways use the same compiler, and give the same
answers.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import graphql
import msgspec
import strawberry
from starlette import types
from strawberry.types.execution import PreExecutionError

from app import timers
from app.access import caller
from app.graphql import (
    asked,
    context,
    conversion,
    costs,
    extensions,
    limits,
    operations,
    patience,
    payloads,
    prepared,
    reading,
    rows,
)
from app.graphql.compiler import access, binding, plans, selection

_Reads = tuple[plans.Plan, plans.Row]
Answer = bytes | PreExecutionError


class Shortcut:
    """Answers operations of a schema."""

    def __init__(
        self, *, schema: strawberry.Schema, reader: reading.Reader, watches: timers.Timers
    ) -> None:
        self._schema = schema._schema  # noqa: SLF001  strawberry offers no other way
        self._allowed = limits.of(self._schema)
        self._reader = reader
        self._watches = watches
        self._conversion = conversion.Conversion()
        self._operations = prepared.Operations(schema=self._schema)

    async def answer(
        self,
        sent: asked.Asked,
        *,
        who: context.Context,
        may_change: bool,
        receive: types.Receive,
    ) -> Answer | None:
        """Return the JSON text, or why nothing was executed; None to leave it to the executor.

        Raises ClientLeftError when `receive` tells that nobody waits for what is read, and
        UnprovenError where a remembered caller has to sign in.
        """
        found = self._operations.find(sent.query, sent.operation_name)
        if found is None or who.caller is None or (found.is_mutation and not may_change):
            return None
        bound = found.bound(sent.variables, who.caller)
        if bound is None:
            return None
        try:
            reads = None if found.is_mutation else self._readable(found.target, bound)
            cost = costs.checked(found.weight.of(bound), allowed=self._allowed)
            who.pay(cost)
        except graphql.GraphQLError:
            return None
        try:
            if reads is None:
                with patience.Patience(self._allowed.seconds, watches=self._watches):
                    return await self._change(found, bound, who)
            with patience.Patience(self._reader.seconds, watches=self._watches, receive=receive):
                return await self._read(reads, found.target, bound, who)
        except caller.UnprovenError:
            who.reimburse(cost)  # it is paid for when the caller has signed in
            raise
        except patience.ClientLeftError:
            raise
        except Exception as error:  # noqa: BLE001  `shown` logs what nobody anticipated
            shown = extensions.shown(extensions.located(error))
            return PreExecutionError(data=None, errors=[shown])

    def _readable(self, target: plans.Target, bound: binding.Binding) -> _Reads:
        """Return what is read. Raises GraphQLError for values or callers that it is not for."""
        plan = self._reader.plan(target=target, bound=bound)
        row = plan.row(bound)
        if reading.lacks_beta(bound.caller) and not plan.types.isdisjoint(access.IN_BETA):
            raise graphql.GraphQLError("needs the Beta")
        if not plan.is_whole and bound.caller is not None:
            bound.caller.require_proven()  # some of it no statement reads
        return plan, row

    async def _read(
        self,
        reads: _Reads,
        target: plans.Target,
        bound: binding.Binding,
        who: context.Context,
    ) -> bytes:
        plan, row = reads
        text = await self._reader.text(plan=plan, row=row, bound=bound)
        if plan.is_whole:
            return b'{"data":%b}' % text.encode()
        read = rows.parsed(text)

        async def value(field: selection.Field) -> object:
            if field.source is not None:
                return read[field.key]
            return await self._value(field, target, bound, who)

        return await self._each(plan.fields, value)

    async def _value(
        self,
        field: selection.Field,
        target: plans.Target,
        bound: binding.Binding,
        who: context.Context,
    ) -> Any:  # noqa: ANN401  JSON
        """Return a field that is in no table."""
        values: dict[str, Any] = {}
        if field.name != "__typename":
            definition = field.definition.extensions["strawberry-definition"]
            values[definition.python_name] = await definition.metadata["value"](
                who, **self._conversion.arguments(field, field.arguments(bound))
            )
        return operations.shaped(
            values, field=field, target=target, schema=self._schema, bound=bound
        )

    async def _change(
        self, found: prepared.Prepared, bound: binding.Binding, who: context.Context
    ) -> bytes:
        """Carry out one mutation after the other.

        Raises UnprovenError for a remembered caller whom none of them has proven: nothing was done
        then, and who is nobody is not told why not.
        """

        async def carried_out(field: selection.Field) -> object:
            return await self._carried_out(field, found, bound, who)

        fields = self._reader.plan(target=found.target, bound=bound).fields
        answer = await self._each(fields, carried_out)
        if bound.caller is not None:
            bound.caller.require_proven()
        return answer

    async def _each(
        self,
        fields: Sequence[selection.Field],
        value: Callable[[selection.Field], Awaitable[object]],
    ) -> bytes:
        """Return the answer of one field after the other; one that breaks is null."""
        data: dict[str, Any] = {}
        broken: list[graphql.GraphQLError] = []
        for field in fields:
            try:
                data[field.key] = await value(field)
            except caller.UnprovenError:
                raise
            except Exception as error:  # noqa: BLE001  `shown` logs what nobody anticipated
                data[field.key] = None
                broken.append(graphql.located_error(error, list(field.nodes), [field.key]))
        answer: dict[str, Any] = {"data": data}
        if broken:
            told = extensions.all_shown(broken, allowed=self._allowed)
            answer["errors"] = [error.formatted for error in told]
        return _written(answer)

    async def _carried_out(
        self,
        field: selection.Field,
        found: prepared.Prepared,
        bound: binding.Binding,
        who: context.Context,
    ) -> Any:  # noqa: ANN401  JSON
        if field.name == "__typename":
            return found.target.type.name
        definition = field.definition.extensions["strawberry-definition"]
        given = self._conversion.arguments(field, field.arguments(bound))
        place = payloads.Place(
            context=who,
            schema=self._schema,
            field=field,
            fragments=found.target.fragments,
            bound=bound,
            key=found.target.key,
            is_walked=False,
        )
        return await definition.metadata["mutation"].carry_out(
            place, given.get("input", strawberry.UNSET)
        )


def _written(answer: object) -> bytes:
    try:
        return msgspec.json.encode(answer)
    except (UnicodeEncodeError, OverflowError):
        # Half a character that a client sent, or a number of many digits that it had stored.
        return json.dumps(answer).encode()
