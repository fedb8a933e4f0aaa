"""The schema, and how it is printed."""

from typing import Any

import graphql
import strawberry
from strawberry import extensions as strawberry_extensions
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext, ExecutionResult

from app.graphql import extensions, limits, rows
from app.graphql.types import deployments, environments, projects, scalars, service_instances
from app.graphql.types.query import Query
from app.graphql.types.subscription import Subscription

_CACHED = 512


class _Schema(strawberry.Schema):
    async def execute(self, *arguments: Any, **named: Any) -> ExecutionResult:  # noqa: ANN401  handed on as they are
        """Execute an operation; errors are those that clients may see."""
        result = await super().execute(*arguments, **named)
        result.errors = [extensions.shown(error) for error in result.errors or ()] or None
        return result

    def process_errors(
        self,
        errors: list[graphql.GraphQLError],
        execution_context: ExecutionContext | None = None,
    ) -> None:
        """Log nothing: `extensions.shown` logs what nobody anticipated."""


def build(*, mutation: type | None) -> strawberry.Schema:
    """Return the schema with these mutations."""
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
        config=StrawberryConfig(scalar_map=scalars.SCALARS),
        extensions=[
            extensions.StreamErrors,
            lambda: strawberry_extensions.MaxTokensLimiter(max_token_count=limits.TOKENS),
            lambda: extensions.Parsing(maxsize=_CACHED),
            lambda: strawberry_extensions.AddValidationRules([limits.DepthRule]),
            lambda: strawberry_extensions.ValidationCache(maxsize=_CACHED),
            extensions.OneRead,
        ],
    )
    rows.let_rows_through(schema._schema)  # noqa: SLF001  strawberry offers no other way
    return schema


def sdl(*, mutation: type | None) -> str:
    """Return the schema as text."""
    return build(mutation=mutation).as_str() + "\n"
