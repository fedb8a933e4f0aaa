"""Use cases of projects and environments."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app import catalogue, deployers, secrets
from app.application import choices, people, placement
from app.application.admission import Admission, Place
from app.application.permissions import Action
from app.application.request import Request
from app.application.unit_of_work import UnitOfWork, commit, require_version
from app.eventlog import log
from domain import environment, errors, project, values
from domain.errors import RefusalCode

DEFAULT_OFFERINGS = ("postgres", "s3")
"""What a new environment gets, and the base subscription covers (R5)."""

FIRST_ENVIRONMENTS = {"test": False, "live": True}
"""The environments of a new project, and whether they are protected."""

_SUBJECT_LIMIT = 255


class Projects:
    """Projects, their members and subscriptions, and their environments."""

    def __init__(
        self,
        *,
        event_log: log.EventLog,
        admission: Admission,
        catalogue: catalogue.Catalogue,
        vault: secrets.Vault,
    ) -> None:
        self._log = event_log
        self._admission = admission
        self._catalogue = catalogue
        self._vault = vault

    async def create_project(self, *, request: Request, name: str) -> tuple[UUID, int]:
        """Create a project with its first environments; return its id and the position."""
        await self._admission.admit(request=request, action=Action.CREATE_PROJECT)
        project_id = request.new_id("project")

        async def decide(work: UnitOfWork) -> None:
            await work.begin()
            created = project.Project.create(
                project_id=project_id, name=values.name(name), at=work.now
            )
            work.add(created)
            created.add_member(subject=request.actor, role=values.MemberRole.MANAGER, at=work.now)
            for environment_name, protected in FIRST_ENVIRONMENTS.items():
                self._open(
                    work,
                    request,
                    created,
                    environment_id=request.new_id(f"environment {environment_name}"),
                    name=environment_name,
                    protected=protected,
                )

        return project_id, await commit(event_log=self._log, request=request, decide=decide)

    async def set_subscription(
        self,
        *,
        request: Request,
        project_id: UUID,
        units: Mapping[str, int],
        expected_version: int | None = None,
    ) -> int:
        """Set how many units of these offerings the project may use in all (R2, R4)."""
        await self._admission.admit_to(
            Place.PROJECT, project_id, request=request, action=Action.SET_SUBSCRIPTION
        )

        async def decide(work: UnitOfWork) -> None:
            found = await work.project(project_id)
            require_version(found, expected_version)
            for place, offering in enumerate(units):
                path = f"units.{place}.offering"
                choices.require_offering(self._catalogue, offering, path=path)
            found.subscribe(units=units, at=work.now)

        return await commit(event_log=self._log, request=request, decide=decide)

    async def add_member(
        self,
        *,
        request: Request,
        project_id: UUID,
        subject: str,
        role: values.MemberRole,
        expected_version: int | None = None,
    ) -> int:
        """Give a person a role in the project. Raises INVALID_INPUT if nobody can be it."""
        await self._admission.admit_to(
            Place.PROJECT, project_id, request=request, action=Action.ADD_MEMBER
        )

        async def decide(work: UnitOfWork) -> None:
            found = await work.project(project_id)
            require_version(found, expected_version)
            wanted = subject.strip()
            people.require_subject(wanted)
            found.add_member(subject=wanted, role=role, at=work.now)

        return await commit(event_log=self._log, request=request, decide=decide)

    async def remove_member(
        self,
        *,
        request: Request,
        project_id: UUID,
        subject: str,
        expected_version: int | None = None,
    ) -> int:
        """Take a person out of the project."""
        await self._admission.admit_to(
            Place.PROJECT, project_id, request=request, action=Action.REMOVE_MEMBER
        )

        async def decide(work: UnitOfWork) -> None:
            found = await work.project(project_id)
            require_version(found, expected_version)
            # Whoever is a member can be removed, also under a name that nobody can have.
            found.remove_member(
                subject=values.text(subject, path="subject", limit=_SUBJECT_LIMIT), at=work.now
            )

        return await commit(event_log=self._log, request=request, decide=decide)

    async def create_environment(
        self, *, request: Request, project_id: UUID, name: str, protected: bool
    ) -> tuple[UUID, int]:
        """Create an environment with its default services (R5)."""
        await self._admission.admit_to(
            Place.PROJECT, project_id, request=request, action=Action.CREATE_ENVIRONMENT
        )
        environment_id = request.new_id("environment")

        async def decide(work: UnitOfWork) -> None:
            self._open(
                work,
                request,
                await work.project(project_id),
                environment_id=environment_id,
                name=values.name(name),
                protected=protected,
            )

        return environment_id, await commit(event_log=self._log, request=request, decide=decide)

    async def delete_environment(
        self, *, request: Request, environment_id: UUID, expected_version: int | None = None
    ) -> int:
        """Delete an empty environment."""
        await self._admission.admit_to(
            Place.ENVIRONMENT, environment_id, request=request, action=Action.DELETE_ENVIRONMENT
        )

        async def decide(work: UnitOfWork) -> None:
            found = await work.environment(environment_id)
            require_version(found, expected_version)
            found.delete(at=work.now)
            (await work.project(found.project_id)).unlist_environment(
                environment_id=environment_id, withdrawn=self._granted(), at=work.now
            )

        return await commit(event_log=self._log, request=request, decide=decide)

    async def configure_deployer(
        self,
        *,
        request: Request,
        environment_id: UUID,
        deployer: str,
        settings: dict[str, Any],
        new_secrets: Mapping[str, str],
        expected_version: int | None = None,
    ) -> int:
        """Have the environment's deployments carried out by a deployer; settings are checked.

        Without new secrets the same deployer keeps those that it has.
        """
        action = Action.CONFIGURE_DEPLOYER
        if deployers.reaches_out(kind=deployer, settings=settings):
            action = Action.LET_DEPLOYER_OUT
        await self._admission.admit_to(
            Place.ENVIRONMENT, environment_id, request=request, action=action
        )
        secret_id = request.new_id("deployer secrets")

        async def decide(work: UnitOfWork) -> None:
            found = await work.environment(environment_id)
            require_version(found, expected_version)
            used_id = secret_id if new_secrets else found.deployer_secret_id
            if not new_secrets and found.deployer != deployer:
                used_id = None
            used = new_secrets or await self._secrets(used_id)
            _require_settings(deployer, settings, used)
            if new_secrets:  # sealed before they are referred to, so that no reference is void
                await self._vault.replace(
                    service_instance_id=secret_id, version=1, credentials=new_secrets
                )
            found.configure_deployer(
                deployer=deployer,
                settings=settings,
                secret_id=used_id,
                secret_names=tuple(sorted(used)),
                at=work.now,
            )

        return await commit(event_log=self._log, request=request, decide=decide)

    async def _secrets(self, secret_id: UUID | None) -> Mapping[str, str]:
        if secret_id is None:
            return {}
        return await self._vault.get(service_instance_id=secret_id, version=1) or {}

    def _granted(self) -> tuple[str, ...]:
        return tuple(name for name in DEFAULT_OFFERINGS if self._catalogue.offering(name))

    def _open(
        self,
        work: UnitOfWork,
        request: Request,
        owner: project.Project,
        *,
        environment_id: UUID,
        name: str,
        protected: bool,
    ) -> None:
        """Make an environment and the services that it starts with."""
        owner.list_environment(
            environment_id=environment_id, name=name, granted=self._granted(), at=work.now
        )
        opened = environment.Environment.create(
            environment_id=environment_id,
            project_id=owner.id,
            name=name,
            protected=protected,
            at=work.now,
        )
        work.add(opened)
        for offering in self._granted():
            placement.add_to(
                work,
                owner,
                opened,
                service_instance_id=request.new_id(f"{environment_id} {offering}"),
                choice=choices.choose(self._catalogue, offering=offering, plan=None, parameters={}),
                prefix=values.DEFAULT_PREFIX,
            )


def _require_settings(deployer: str, settings: dict[str, Any], used: Mapping[str, str]) -> None:
    try:
        deployers.check(kind=deployer, settings=settings, secrets=used)
    except deployers.DeployerSettingsError as error:
        raise errors.InputRefusedError(
            code=RefusalCode.INVALID_INPUT,
            message=f"The settings do not fit the deployer {deployer}: {error}.",
            problems=[
                errors.Problem(path=_input_path(deployer, problem.path), message=problem.message)
                for problem in error.problems
            ],
        ) from error


def _input_path(deployer: str, path: str) -> str:
    is_secret = path in deployers.SECRETS.get(deployer, ())
    return f"{'secrets' if is_secret else 'settings'}.{path}"
