"""What can be read: one file per read model, each a table and a pure fold of events.

    projection           what a read model is
    projects             projects by name
    members              who may do what in a project
    people               who signed up for what, and who was erased
    api_tokens           API tokens and how far they reach
    subscriptions        the units of each offering that a project has and uses
    environments         environments, their deployer, what runs in them now
    revisions            the variables of every configuration that ever ran
    deployments          deployments: plan, step, outcome
    service_instances    service instances as they are, by the domain's own fold
    lifecycle_history    what happened to each service instance, a row per event
    sentences            ... and that in words
    offerings            the catalogue beside them: copied from its file, not folded

Rows are written in the transaction of their events, and can be thrown away: the folds make
them anew from the log. A fold reads an event and a row, nothing else, so that a query for a
moment of the past is the same fold, stopped there.
"""

from projections.api_tokens import ApiTokens
from projections.deployments import Deployments
from projections.environments import Environments
from projections.lifecycle_history import LifecycleHistory
from projections.members import Members
from projections.people import People
from projections.projection import Journal, Projection
from projections.projects import Projects
from projections.revisions import Revisions
from projections.service_instances import ServiceInstances
from projections.subscriptions import Subscriptions

_SERVICE_INSTANCES = ServiceInstances()

PROJECTIONS: tuple[Projection, ...] = (
    Projects(),
    Members(),
    People(),
    ApiTokens(),
    Subscriptions(),
    Environments(),
    Revisions(),
    Deployments(),
    _SERVICE_INSTANCES,
)
"""The read models of current state."""

JOURNALS: tuple[Journal, ...] = (LifecycleHistory(follows=_SERVICE_INSTANCES),)
"""The read models of what happened."""
