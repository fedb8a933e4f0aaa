"""The catalogue where queries find it: a copy, which remembers what brokers offered before."""

from collections.abc import Mapping
from typing import Any

import msgspec
import psycopg_pool
from psycopg import rows

from app import brokers as broker_parts
from app import catalogue as catalogues
from app.application import choices
from projections import offerings


async def with_brokers(
    pool: psycopg_pool.AsyncConnectionPool[Any],
    catalogue: catalogues.Catalogue,
    brokers: broker_parts.Brokers,
) -> catalogues.Catalogue:
    """Return the catalogue with what brokers offer, or offered when they were last asked."""
    names = brokers.provider_names
    if not names:
        return catalogue
    await brokers.ask()
    async with pool.connection() as connection:
        cursor = connection.cursor(row_factory=rows.dict_row)
        known = await (await cursor.execute(offerings.KNOWN, [names])).fetchall()
    before: dict[str, list[catalogues.Offering]] = {name: [] for name in names}
    for row in known:
        before[row["provider"]].append(catalogues.remembered(row))
    return brokers.joined(catalogue, known=before)


async def publish(
    pool: psycopg_pool.AsyncConnectionPool[Any],
    catalogue: catalogues.Catalogue,
    providers: Mapping[str, object],
) -> None:
    """Copy the catalogue to where queries find it."""
    published = [
        {
            "name": offering.name,
            "title": offering.title,
            "description": offering.description,
            "kind": offering.kind,
            "provider": offering.provider,
            "is_configured": choices.is_provided(catalogue, providers, offering.name),
            "is_retired": offering.is_retired,
            "position_in_list": place,
            "plans": [
                {
                    "name": plan.name,
                    "title": plan.title,
                    "description": plan.description,
                    "is_default": plan.is_default,
                    "parameters_schema": plan.parameters,
                    "settings": plan.settings,
                }
                for plan in offering.plans
            ],
        }
        for place, offering in enumerate(catalogue.offerings)
    ]
    async with pool.connection() as connection, connection.transaction():
        await connection.execute(offerings.UPSERT, [msgspec.json.encode(published).decode()])
        await connection.execute(offerings.RETIRE, [offerings.names(published)])
