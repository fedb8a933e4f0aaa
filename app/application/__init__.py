"""The use cases: load the aggregates, ask one command, commit.

`request`        who asks, and how a repeat is told from a new command
`permissions`    what a caller may do and what it sees: the rules of access
`admission`      asks how a caller stands to a place, and refuses what it may not do
`unit_of_work`   loads aggregates, collects what they recorded, commits, retries on conflict
`snapshots`      what long streams add up to, so that they are not read from their start
`projects`       projects, members, subscriptions, environments
`people`         what people sign up for, and that they are forgotten
`tokens`         API tokens
`services`       what people ask of service instances
`results`        what providers and the clock report of service instances
`deployments`    what people ask of deployments
`rollout`        how the worker carries a deployment from step to step
`receivers`      what receivers of webhooks ask and tell
`choices`, `sealed_parameters`, `placement`, `endings`, `terms`, `missing`   what several need

Every way in (GraphQL, worker, command line) comes through here.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import psycopg_pool

from app import catalogue as catalogues
from app import exchange as exchanges
from app import personal_texts, secrets
from app.application.admission import Admission
from app.application.deployments import Deployments
from app.application.people import People
from app.application.projects import Projects
from app.application.receivers import Receivers
from app.application.request import Request
from app.application.results import Results
from app.application.rollout import Handover, Rollout
from app.application.services import Services
from app.application.terms import Terms
from app.application.tokens import Tokens
from app.eventlog import log

__all__ = [
    "Admission",
    "Application",
    "Handover",
    "Request",
    "Terms",
    "Tokens",
    "create",
]


@dataclasses.dataclass(frozen=True)
class Application:
    """All use cases, over one event log."""

    admission: Admission
    people: People
    tokens: Tokens
    projects: Projects
    services: Services
    results: Results
    deployments: Deployments
    rollout: Rollout
    receivers: Receivers


def create(
    *,
    pool: psycopg_pool.AsyncConnectionPool[Any],
    event_log: log.EventLog,
    catalogue: catalogues.Catalogue,
    providers: Mapping[str, object],
    vault: secrets.Vault,
    texts: personal_texts.PersonalTexts,
    exchange: exchanges.VaultExchange,
    terms: Terms,
) -> Application:
    """Return the use cases over these parts."""
    admission = Admission(pool=pool, is_beta_over=terms.is_beta_over)
    rollout = Rollout(event_log=event_log, catalogue=catalogue, vault=vault)
    return Application(
        admission=admission,
        people=People(event_log=event_log, admission=admission),
        tokens=Tokens(event_log=event_log, admission=admission, pool=pool),
        projects=Projects(
            event_log=event_log, admission=admission, catalogue=catalogue, vault=vault
        ),
        services=Services(
            event_log=event_log,
            admission=admission,
            catalogue=catalogue,
            providers=providers,
            vault=vault,
            texts=texts,
            terms=terms,
        ),
        results=Results(event_log=event_log, terms=terms),
        deployments=Deployments(
            event_log=event_log,
            admission=admission,
            catalogue=catalogue,
            providers=providers,
            texts=texts,
            terms=terms,
        ),
        rollout=rollout,
        receivers=Receivers(event_log=event_log, rollout=rollout, exchange=exchange),
    )
