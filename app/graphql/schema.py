"""The schema, and how it is printed."""

import asyncio
from typing import Any

import graphql
import strawberry
from strawberry import extensions as strawberry_extensions
from strawberry.exceptions import MissingQueryError
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry.types.execution import PreExecutionError

from app.graphql import extensions, limits, rows, sharing
from app.graphql.types import deployments, environments, projects, scalars, service_instances
from app.graphql.types.query import Query
from app.graphql.types.subscription import Subscription

_CACHED = 512


class _Schema(strawberry.Schema):
    allowed = limits.Limits()

    async def execute(self, *arguments: Any, **named: Any) -> ExecutionResult:  # noqa: ANN401  handed on as they are
        """Execute an operation; errors are those that clients may see."""
        try:
            result = await super().execute(*arguments, **named)
        except (CannotGetOperationTypeError, MissingQueryError) as error:
            result = PreExecutionError(data=None, errors=[extensions.located(error)])
        errors = extensions.all_shown(result.errors or (), allowed=self.allowed)
        result.errors = errors or None
        return result

    async def _execute_operation(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401  handed on as they are
        """Execute within the time of an operation, whatever it came over."""
        async with asyncio.timeout(self.allowed.seconds):
            return await super()._execute_operation(*arguments, **named)

    def process_errors(
        self,
        errors: list[graphql.GraphQLError],
        execution_context: ExecutionContext | None = None,
    ) -> None:
        """Log nothing: `extensions.shown` logs what nobody anticipated."""


def build(*, mutation: type | None, allowed: limits.Limits = _Schema.allowed) -> strawberry.Schema:
    """Return the schema with these mutations, within these limits."""
    schema = _Schema(
        query=Query,
        mutation=mutation,
        subscription=Subscription,
        types=[
            projects.Project,
            environments.Environment,
            deployments.Deployment,
            service_instances.ServiceInstance,
        ],
        execution_context_class=sharing.Executor,
        config=StrawberryConfig(scalar_map=scalars.SCALARS),
        extensions=[
            lambda: extensions.StreamErrors(allowed=allowed),
            lambda: strawberry_extensions.MaxTokensLimiter(max_token_count=allowed.tokens),
            lambda: extensions.Parsing(maxsize=_CACHED),
            lambda: extensions.Limiting(allowed=allowed, maxsize=_CACHED),
            extensions.OneRead,
        ],
    )
    schema.allowed = allowed
    limits.impose(allowed, schema=schema._schema)  # noqa: SLF001  strawberry offers no other way
    rows.let_rows_through(schema._schema)  # noqa: SLF001  strawberry offers no other way
    return schema


def sdl(*, mutation: type | None) -> str:
    """Return the schema as text."""
    return build(mutation=mutation).as_str() + "\n"
