"""What happens around the executor: the one read before it, the errors after it."""

import contextlib
import logging
import re
import uuid
from collections.abc import AsyncIterator, Iterator

import graphql
from strawberry import extensions as strawberry_extensions
from strawberry.types import ExecutionResult, StreamExecutionResult
from strawberry.types.execution import PreExecutionError

from app.eventlog import command
from app.graphql import context, limits, operations, reading

_logger = logging.getLogger(__name__)
_TOO_MANY_TOKENS = f"Document contains more than {limits.TOKENS} tokens"  # graphql-core's words

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
        root = operations.Operation(text=execution.query or "", name=name)
        execution.root_value = root
        operation = graphql.get_operation_ast(document, name)
        if operation is None:
            return
        bound = operations.bound_variables(
            schema=schema, operation=operation, variables=execution.variables
        )
        if bound is None:
            return
        root.variables = bound.variables
        target = operations.root_target(
            schema=schema,
            fragments=operations.fragments_of(document),
            operation=operation,
            key=root.key,
        )
        who: context.Context = execution.context
        if who.caller is None and not operations.is_open_to_all(
            schema=schema, target=target, bound=bound
        ):
            raise unauthenticated()
        if not who.is_introspection_open and operations.is_introspection(
            schema=schema, target=target, bound=bound
        ):
            raise graphql.GraphQLError(
                "The schema cannot be asked for here.", extensions={"code": "FORBIDDEN"}
            )
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


class StreamErrors(strawberry_extensions.SchemaExtension):
    """Shows the errors of whatever goes over a WebSocket; `schema.execute` does it elsewhere."""

    def on_stream_result(self, result: StreamExecutionResult) -> Iterator[None]:
        """Treat the errors of an event."""
        if isinstance(result, ExecutionResult) and result.errors:
            result.errors = [shown(error) for error in result.errors]
        yield


def shown(error: graphql.GraphQLError) -> graphql.GraphQLError:
    """Return the error as clients see it: with a code, and without what nobody anticipated."""
    if error.extensions and "code" in error.extensions:
        return error
    cause = error.original_error
    while isinstance(cause, graphql.GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    match cause:
        case _ if _TOO_MANY_TOKENS in error.message:
            return _with(error, error.message, {"code": "LIMIT_EXCEEDED"})
        case None | graphql.GraphQLError():
            message = _REPEATED.sub(".", error.message)
            return _with(error, message, {"code": "BAD_USER_INPUT"})
        case reading.ReadTimeoutError() | TimeoutError():
            return _with(error, "This took too long: ask for less.", {"code": "TIMEOUT"})
        case command.LogUnavailableError():
            message = "The database cannot be reached. Try again later."
            return _with(error, message, {"code": "UNAVAILABLE"})
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
