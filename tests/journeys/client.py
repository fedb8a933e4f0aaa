"""A client of the API, in the words of the stories."""

import dataclasses
import itertools
import uuid
from typing import Any, TypeAlias

import httpx

from tests.journeys import product as products
from tests.journeys.product import until

Json: TypeAlias = Any  # what the API takes and answers; each story says what it expects

SERVICE = """
  id state functional usableByApplication wanted parked protected abandoned plan nextPlan prefix
  parameters removalRequested removalScheduledFor variableNames secretVersion confirmation version
  offering { name } kind environment { id name }
  operation { kind status attempt error { code message } startedAt deadline nextAttemptAt }
  inDeployment { role deployment { id } }
"""
DEPLOYMENT = """
  id number status step revision error { step code message } startedAt endedAt deadline
  requestedBy environment { id } steps { step startedAt endedAt } attempt nextAttemptAt
  delayMessage output
"""
PLAN = """
  digest actions { kind instance { id } } variablesAdded variablesRemoved variablesChanged
  blockers { code message instance { id } } warnings { code message instance { id } }
"""
REVISION = "number deployment { id } variables { name secretVersion instance { id } }"
ENVIRONMENT = f"""
  id name protected deleted version deployer {{ kind settings secretsSet }}
  runningRevision {{ {REVISION} }} runningDeployment {{ id }}
"""
PROJECT = """
  id name version environments { id name } members { subject role }
  subscription { offering { name } units used overQuota }
"""
_REFUSAL = f"""
  ... on Refusal {{ code message }}
  ... on StateRefusal {{ currentState }}
  ... on ConflictRefusal {{ currentVersion }}
  ... on NotFoundRefusal {{ id }}
  ... on InputRefusal {{ problems {{ path message }} }}
  ... on TakenRefusal {{ holder {{ __typename id }} }}
  ... on QuotaRefusal {{ offering limit used }}
  ... on ConfirmationRefusal {{ expected }}
  ... on DeploymentRefusal {{ standing: deployment {{ {DEPLOYMENT} }} }}
  ... on PlanRefusal {{ added removed currentPlan {{ {PLAN} }} }}
"""
_SELECTIONS = {
    "project": PROJECT,
    "environment": ENVIRONMENT,
    "serviceInstance": SERVICE,
    "deployment": DEPLOYMENT,
}
_OF_PROJECTS = {"createProject", "setSubscription", "addMember", "removeMember"}
_OF_PEOPLE = {"erasePerson": "subject"}
_OF_CALLERS = {"joinBeta": "viewer { subject beta roles }", "leaveBeta": "viewer { beta }"}
_OF_TOKENS = {
    "createToken": "secret token { id subject roles projects { id } expiresAt }",
    "revokeToken": "token { id revokedAt }",
}
_OF_ENVIRONMENTS = {"createEnvironment", "deleteEnvironment", "configureDeployer"}
_OF_DEPLOYMENTS = {"deploy", "cancelDeployment", "reportDeployment"}

_names = itertools.count(1)


@dataclasses.dataclass(frozen=True)
class Project:
    """The ids of a project and its first environments."""

    id: str
    test: str
    live: str


class Api:
    """Asks the product; the helpers say what they expect and fail otherwise."""

    def __init__(self, product: products.Product, *, token: str | None = None) -> None:
        self.product = product
        self._token = token
        self.headers: dict[str, str] = {}
        self.answers: list[str] = []
        self._http = httpx.Client(timeout=products.PATIENCE)

    def as_caller(self, token: str) -> "Api":
        """Ask as somebody else."""
        return Api(self.product, token=token)

    def close(self) -> None:
        self._http.close()

    def post(self, document: str, **variables: Json) -> httpx.Response:
        answer = self._http.post(
            f"{self.product.url}/graphql",
            json={"query": document, "variables": variables},
            headers={
                "Authorization": f"Bearer {self._token or self.product.token}",
                **self.headers,
            },
        )
        if "revealCredentials" not in document and "createToken" not in document:
            self.answers.append(answer.text)
        return answer

    def ask(self, document: str, **variables: Json) -> Json:
        """Return the data; errors fail the story."""
        answer = self.post(document, **variables)
        body = answer.json()
        assert answer.status_code == 200, body
        assert "errors" not in body, body["errors"]
        return body["data"]

    def outcome(self, mutation: str, **given: Json) -> Json:
        """Carry out a mutation; return success or the refusal, with its type."""
        name = mutation[0].upper() + mutation[1:]
        document = (
            f"mutation Story($input: {name}Input!) {{ {mutation}(input: $input) {{ __typename "
            f"... on {name}Success {{ position {_success(mutation)} }} {_REFUSAL} }} }}"
        )
        return self.ask(document, input=given)[mutation]

    def do(self, mutation: str, **given: Json) -> Json:
        """Carry out a mutation that succeeds; return what it answers."""
        outcome = self.outcome(mutation, **given)
        assert outcome["__typename"].endswith("Success"), outcome
        return outcome

    def refused(self, mutation: str, **given: Json) -> Json:
        """Carry out a mutation that is refused; return the refusal."""
        outcome = self.outcome(mutation, **given)
        assert outcome["__typename"].endswith("Refusal"), outcome
        return outcome

    def project(self) -> Project:
        """Create a project of a name that is its own."""
        made = self.do("createProject", name=f"story-{next(_names)}")["project"]
        places = {each["name"]: each["id"] for each in made["environments"]}
        return Project(id=made["id"], **places)

    def deployable_project(self) -> Project:
        """Create a project whose storage is left out, which nobody provides here."""
        made = self.project()
        for environment in (made.test, made.live):
            self.do("detachService", id=self.default(environment, "STORAGE"))
        return made

    def add(self, environment: str, offering: str = "postgres", **given: Json) -> str:
        """Add a service, with the units that it takes, and return its id."""
        owner = self.ask(
            "query Owner($id: ID!) { environment(by: {id: $id}) { project { id"
            " subscription { offering { name } units used } } } }",
            id=environment,
        )["environment"]["project"]
        lines = {line["offering"]["name"]: line for line in owner["subscription"]}
        used = lines[offering]["used"] if offering in lines else 0
        units = {"offering": offering, "units": used + 1}
        self.do("setSubscription", project=owner["id"], units=[units])
        added = self.do("addService", environment=environment, offering=offering, **given)
        return str(added["serviceInstance"]["id"])

    def default(self, environment: str, kind: str) -> str:
        """Return the id of the service of a kind with prefix DEFAULT."""
        found = [
            each["id"]
            for each in self.services(environment)
            if (each["kind"], each["prefix"]) == (kind, "DEFAULT") and each["state"] != "REMOVED"
        ]
        assert len(found) == 1, found
        return str(found[0])

    def services(self, environment: str) -> list[Json]:
        answer = self.ask(
            "query Services($id: ID!) { environment(by: {id: $id}) {"
            f" serviceInstances(first: 100) {{ nodes {{ {SERVICE} }} }} }} }}",
            id=environment,
        )
        return list(answer["environment"]["serviceInstances"]["nodes"])

    def service(self, service: str, **at: str) -> Json:
        """Return a service as it is, or as it was at a position or time."""
        return self.ask(
            f"query Service($id: ID!, $at: Moment) {{ serviceInstance(id: $id, at: $at) {{"
            f" {SERVICE} }} }}",
            id=service,
            at=at or None,
        )["serviceInstance"]

    def state(self, service: str) -> str:
        return str(self.service(service)["state"])

    def history(self, service: str) -> list[Json]:
        return list(
            self.ask(
                "query History($id: ID!) { serviceInstance(id: $id) { history(first: 100) { nodes {"
                " position event state sentence actor reason recordedAt details correlationId"
                " deployment { id } } } } }",
                id=service,
            )["serviceInstance"]["history"]["nodes"]
        )

    def environment(self, environment: str) -> Json:
        return self.ask(
            f"query Place($id: ID!) {{ environment(by: {{id: $id}}) {{ {ENVIRONMENT} }} }}",
            id=environment,
        )["environment"]

    def revision(self, environment: str) -> Json:
        return self.environment(environment)["runningRevision"]

    def variables(self, environment: str) -> dict[str, tuple[str, int]]:
        """Return the instance and secret version of each variable of the running revision."""
        return {
            each["name"]: (each["instance"]["id"], each["secretVersion"])
            for each in self.revision(environment)["variables"]
        }

    def plan(self, environment: str) -> Json:
        return self.ask(
            f"query Plan($id: ID!) {{ environment(by: {{id: $id}}) {{ deploymentPlan {{ {PLAN} }}"
            " } }",
            id=environment,
        )["environment"]["deploymentPlan"]

    def deployment(self, deployment: str) -> Json:
        return self.ask(
            f"query Deployment($id: ID!) {{ deployment(id: $id) {{ {DEPLOYMENT} }} }}",
            id=deployment,
        )["deployment"]

    def provision(self, service: str) -> None:
        """Have a service made and wait for it."""
        self.do("provisionService", id=service)
        self.wait(service, state="PENDING_ATTACHMENT")

    def deploy(self, environment: str, *, status: str = "SUCCEEDED", **given: Json) -> Json:
        """Deploy and wait for the end, which must be the expected one."""
        started = self.do("deploy", environment=environment, **given)["deployment"]
        return self.end(started["id"], status=status)

    def end(self, deployment: str, *, status: str = "SUCCEEDED") -> Json:
        def ended() -> Json:
            found = self.deployment(deployment)
            return found if found["status"] != "RUNNING" else None

        found = until(ended, f"{deployment} ends")
        assert found["status"] == status, found
        return found

    def wait(self, service: str, **expected: Json) -> Json:
        """Wait until the service is as expected and return it."""

        def fits() -> Json:
            found = self.service(service)
            seen = {name: found[name] for name in expected}
            return found if seen == expected else None

        try:
            return until(fits, f"{service} is {expected}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.service(service)}") from None

    def wait_for_failure(self, service: str) -> Json:
        """Wait until the operation under way has failed and return it."""

        def failed() -> Json:
            operation = self.service(service)["operation"]
            return operation if operation and operation["status"] == "FAILED" else None

        return until(failed, f"the operation of {service} fails")

    def dsn(self, service: str) -> str:
        """Reveal the connection string of a service."""
        shown = self.do("revealCredentials", id=service, reason="the story looks inside")
        (value,) = {each["value"] for each in shown["variables"]}
        return str(value)

    def remove(self, service: str) -> None:
        """Remove a service, with the text that confirms it."""
        text = self.service(service)["confirmation"]
        self.do("removeService", id=service, confirm=text)
        self.wait(service, state="REMOVED")


class PatientApi(Api):
    """Sends what nobody answered again, under the same key."""

    def post(self, document: str, **variables: Json) -> httpx.Response:
        def answer() -> httpx.Response | None:
            try:
                found = super(PatientApi, self).post(document, **variables)
            except httpx.TransportError:
                return None
            return None if '"UNAVAILABLE"' in found.text else found

        return until(answer, "somebody answers")

    def outcome(self, mutation: str, **given: Json) -> Json:
        return super().outcome(mutation, **{"idempotencyKey": uuid.uuid4().hex} | given)


def _success(mutation: str) -> str:
    shown = {**_OF_PEOPLE, **_OF_CALLERS, **_OF_TOKENS}.get(mutation)
    if shown is not None:
        return shown
    field = "serviceInstance"
    if mutation in _OF_PROJECTS:
        field = "project"
    elif mutation in _OF_ENVIRONMENTS:
        field = "environment"
    elif mutation in _OF_DEPLOYMENTS:
        field = "deployment"
    more = " variables { name value }" if mutation == "revealCredentials" else ""
    return f"{field} {{ {_SELECTIONS[field]} }}{more}"
