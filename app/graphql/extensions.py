"""What happens around the executor: the one read before it, the errors after it."""

import contextlib
import json
import logging
import re
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence

import graphql
from strawberry import extensions as strawberry_extensions
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult, StreamExecutionResult
from strawberry.types.execution import PreExecutionError

from app.access import issuer_keys
from app.eventlog import command, epochs
from app.graphql import asked, context, costs, limits, operations

_logger = logging.getLogger(__name__)
_TOO_MANY_TOKENS = re.compile(r"Document contains more than \d+ tokens")  # graphql-core's words
_UNAVAILABLE = "The database cannot be reached. Try again later."
_SUGGESTION = re.compile(r"\s*Did you mean .*", re.DOTALL)  # it tells names that nobody asked for

# How graphql-core repeats an input that does not fit; a part of it may be a secret.
_REPEATED = re.compile(
    r", found: .*|(?<=String cannot represent a non string value): .*", re.DOTALL
)


class Parsing(strawberry_extensions.ParserCache):
    """Parses a text once; an error is left to the parsing that follows, which reports it."""

    def on_parse(self) -> Iterator[None]:
        """Take the document from the cache, if it is one."""
        execution = self.execution_context
        with contextlib.suppress(graphql.GraphQLError):
            execution.graphql_document = self.cached_parse_document(
                execution.query, **execution.parse_options
            )
        yield


class Limiting(strawberry_extensions.ValidationCache):
    """Refuses what is too large before the rules of GraphQL are applied: some are not linear."""

    def __init__(self, *, allowed: limits.Limits, maxsize: int) -> None:
        super().__init__(maxsize=maxsize)
        self._allowed = allowed

    def on_validate(self) -> Iterator[None]:
        """Validate, unless the document is too large."""
        execution = self.execution_context
        if execution.graphql_document is None:
            raise LookupError("no document to validate")
        problems = limits.problems(execution.graphql_document, limits=self._allowed)
        is_nameless = execution._provided_operation_name is None  # noqa: SLF001  else it names the first
        if is_nameless and len(operations.all_of(execution.graphql_document)) > 1:
            problems = [located(CannotGetOperationTypeError(None))]
        if problems:
            execution.pre_execution_errors = problems
            yield
        else:
            yield from super().on_validate()


class OneRead(strawberry_extensions.SchemaExtension):
    """Reads the answer of a query before the executor walks it; asks for a token first."""

    async def on_execute(self) -> AsyncIterator[None]:
        """Read, unless the executor is going to refuse the variables."""
        execution = self.execution_context
        try:
            await self._read()
        except Exception as error:
            if execution.operation_type.value not in ("query", "mutation"):
                raise
            # An exception would pass by the extension that hides what nobody anticipated.
            found = shown(located(error))
            execution.result = PreExecutionError(data=None, errors=[found])
        yield

    async def _read(self) -> None:
        execution = self.execution_context
        schema: graphql.GraphQLSchema = execution.schema._schema  # noqa: SLF001  strawberry offers no other way
        document, name = execution.graphql_document, execution.operation_name
        if document is None:
            raise LookupError("no document to execute")
        root = execution.root_value
        if not isinstance(root, operations.Operation):
            root = execution.root_value = operations.Operation()
        root.key = (execution.query or "", name)
        operation = graphql.get_operation_ast(document, name)
        if operation is None:
            return
        who: context.Context = execution.context
        await who.look_again()
        bound = operations.bound_variables(
            schema=schema,
            operation=operation,
            variables=execution.variables,
            caller=who.caller,
        )
        if bound is None:
            return
        root.variables = bound.variables
        root.given = json.dumps(execution.variables, sort_keys=True, default=str)
        fragments = operations.fragments_of(document)
        target = operations.root_target(
            schema=schema, fragments=fragments, operation=operation, key=root.key
        )
        if who.caller is None and not operations.is_open_to_all(
            schema=schema, target=target, bound=bound
        ):
            _logger.info("refused an operation: nobody has signed in")
            raise unauthenticated()
        if not who.is_introspection_open and operations.is_introspection(
            schema=schema, target=target, bound=bound
        ):
            _logger.info("refused introspection: the setting closes it")
            raise graphql.GraphQLError(
                "The schema cannot be asked for here.", extensions={"code": "FORBIDDEN"}
            )
        weight = costs.weight(schema=schema, operation=operation, fragments=fragments)
        cost = costs.checked(weight.of(bound), allowed=limits.of(schema))
        if root.cursor is None:  # whoever goes on has paid
            who.pay(cost)
        if operation.operation is not graphql.OperationType.MUTATION:
            who.reader.require_readable(target=target, bound=bound)
        if operation.operation is graphql.OperationType.QUERY:
            root.update(await who.reader.read(target=target, bound=bound))


def located(error: Exception) -> graphql.GraphQLError:
    """Return an error that happened before the executor began."""
    if isinstance(error, graphql.GraphQLError):
        return error
    return graphql.GraphQLError(str(error), original_error=error)


def unauthenticated() -> graphql.GraphQLError:
    """Return the error for whoever has no token, or a wrong one."""
    return graphql.GraphQLError(
        "Who are you? Send a token: `Authorization: Bearer …`.",
        extensions={"code": "UNAUTHENTICATED"},
    )


def unavailable(cause: Exception) -> graphql.GraphQLError:
    """Return the error of a time without a database, or without the OpenID provider."""
    message = cause.message if isinstance(cause, issuer_keys.IssuerAwayError) else _UNAVAILABLE
    return graphql.GraphQLError(message, extensions={"code": "UNAVAILABLE"})


def is_subscription(operation: asked.Asked, *, allowed: limits.Limits) -> bool:
    """Is it one? What cannot be parsed is none."""
    try:
        document = graphql.parse(operation.query, max_tokens=allowed.tokens)
    except (graphql.GraphQLError, RecursionError):
        return False
    found = graphql.get_operation_ast(document, operation.operation_name)
    return found is not None and found.operation is graphql.OperationType.SUBSCRIPTION


class StreamErrors(strawberry_extensions.SchemaExtension):
    """Shows the errors of whatever is streamed; `schema.execute` does it elsewhere."""

    def __init__(self, *, allowed: limits.Limits) -> None:
        super().__init__()
        self._allowed = allowed

    def on_stream_result(self, result: StreamExecutionResult) -> Iterator[None]:
        """Treat the errors of an event."""
        if isinstance(result, ExecutionResult) and result.errors:
            result.errors = all_shown(result.errors, allowed=self._allowed)
        yield


def all_shown(
    errors: Sequence[graphql.GraphQLError], *, allowed: limits.Limits
) -> list[graphql.GraphQLError]:
    """Return the first errors as clients see them; the others would say no more."""
    return [shown(error) for error in errors[: allowed.errors]]


def shown(error: graphql.GraphQLError) -> graphql.GraphQLError:
    """Return the error as clients see it: with a code, and without what nobody anticipated."""
    if error.extensions and "code" in error.extensions:
        return error
    cause = error.original_error
    while isinstance(cause, graphql.GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    match cause:
        case _ if _TOO_MANY_TOKENS.search(error.message):
            return _with(error, error.message, {"code": "LIMIT_EXCEEDED"})
        case CannotGetOperationTypeError() | MissingQueryError():
            message = "Say by `operationName` which operation of the document is meant."
            return _with(error, message, {"code": "BAD_USER_INPUT"})
        case InvalidOperationTypeError():
            message = "An operation of this type needs another method."
            return _with(error, message, {"code": "BAD_USER_INPUT"})
        case RecursionError():
            return _with(error, "This is nested too deeply.", {"code": "LIMIT_EXCEEDED"})
        case None | graphql.GraphQLError():
            message = _SUGGESTION.sub("", _REPEATED.sub(".", error.message))
            return _with(error, message, {"code": "BAD_USER_INPUT"})
        case TimeoutError():
            return _with(error, "This took too long: ask for less.", {"code": "TIMEOUT"})
        case epochs.LogDivergedError():
            known = {} if cause.last_common is None else {"lastCommonPosition": cause.last_common}
            return _with(error, str(cause), {"code": cause.code, **known})
        case command.LogUnavailableError():
            return _with(error, unavailable(cause).message, {"code": "UNAVAILABLE"})
        case _:
            correlation_id = str(uuid.uuid4())
            _logger.error("unanticipated error %s", correlation_id, exc_info=cause)
            extensions = {"code": "INTERNAL", "correlationId": correlation_id}
            return _with(error, "internal error", extensions)


def _with(
    error: graphql.GraphQLError, message: str, extensions: dict[str, str]
) -> graphql.GraphQLError:
    return graphql.GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={**(error.extensions or {}), **extensions},
    )
