"""The life of a service of any kind, step by step: what each story expects of it."""

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from tests.journeys.client import Api
from tests.journeys.kinds import Kind
from tests.journeys.product import until
from tests.journeys.test_deployments import SUCCEEDING, planned, read, release_by
from tests.journeys.test_secrets_stay_secret import contents


class Life:
    """One kind in one environment, and what the application there has been given."""

    def __init__(self, api: Api, kind: Kind, directory: Path) -> None:
        self.api = api
        self.kind = kind
        self.file = directory / "app.env"
        self.gate = directory / "gate"
        self.seen = directory / "seen"
        self.environment = empty_environment(api)
        self.secrets: set[str] = set()

    def add(self, prefix: str = "DEFAULT") -> str:
        return self.api.add(self.environment, self.kind.offering, prefix=prefix)

    def provisioned(self, service: str) -> str:
        self.api.provision(service)
        return self.revealed(service)

    def revealed(self, service: str) -> str:
        dsn = self.api.dsn(service)
        self.secrets.add(urlsplit(dsn).password or "")
        return dsn

    def given(self, prefix: str = "DEFAULT") -> str:
        """Return what the running application has."""
        return read(self.file)[f"{prefix}_{self.kind.suffix}"]

    def release_by(self, script: str) -> None:
        release_by(self.api, self.environment, self.file, script)

    def renewed(self, service: str, version: int) -> str:
        self.api.wait(service, operation=None, secretVersion=version)
        return self.revealed(service)


def loaded_in_advance(life: Life, service: str) -> None:
    """S4: an instance is added, made and filled before any deployment."""
    api, kind = life.api, life.kind
    added = api.service(service)
    assert (added["state"], added["functional"]) == ("NEW", False)
    assert kind.traces(service) == []

    dsn = life.provisioned(service)
    until(lambda: kind.opens(dsn), "what was made opens")
    kind.keep(dsn, "of the old one")

    found = api.service(service)
    assert (found["state"], found["usableByApplication"]) == ("PENDING_ATTACHMENT", False)
    assert api.revision(life.environment) is None
    assert kind.traces(service) != []


def attached_by_one_deployment(life: Life, service: str) -> None:
    """S5 and S10: what was planned happens, and one deployment at a time."""
    api = life.api
    plan = api.plan(life.environment)
    assert planned(plan) == {("ATTACH", service)}
    life.release_by(f"while [ ! -e {life.gate} ]; do sleep 0.02; done")

    started = api.do("deploy", environment=life.environment, expectedPlan=plan["digest"])
    running = started["deployment"]["id"]
    second = api.refused("deploy", environment=life.environment)
    removal = api.refused("removeService", id=service)
    life.gate.touch()
    api.end(running)

    assert (second["code"], second["standing"]["id"]) == ("DEPLOYMENT_IN_PROGRESS", running)
    assert removal["code"] == "DEPLOYMENT_IN_PROGRESS"
    assert api.state(service) == "ATTACHED"
    assert sorted(api.variables(life.environment)) == sorted(plan["variablesAdded"])
    assert life.given() == life.revealed(service)
    holds(life.kind, life.given(), "of the old one")


def kept_by_a_failed_deployment(life: Life, service: str) -> str:
    """S6: what is detached goes on; what a failed release has seen is revoked.

    Returns another instance, which that deployment made.
    """
    api, kind = life.api, life.kind
    running, file = api.revision(life.environment), life.file.read_bytes()
    api.do("detachService", id=service)
    other = life.add("NEW")
    name = f"NEW_{kind.suffix}"
    life.release_by(f'printf %s "${name}" > {life.seen}; echo "${name}"; echo it broke; exit 1')

    failed = api.deploy(life.environment, status="FAILED")

    found = api.service(service)
    assert (found["state"], found["usableByApplication"]) == ("PENDING_DETACHMENT", True)
    assert failed["error"]["step"] == "RELEASE"
    assert failed["output"] == "[redacted]\nit broke\n"
    assert "it broke" in api.history(service)[-1]["sentence"]
    assert (api.revision(life.environment), life.file.read_bytes()) == (running, file)
    holds(kind, life.given(), "of the old one")
    assert api.do("attachService", id=service)["serviceInstance"]["state"] == "ATTACHED"
    dsn = life.renewed(other, 2)
    until(lambda: kind.opens(dsn), "the new credentials open")
    kind.keep(dsn, "of the new one")
    is_refused(kind, life.seen.read_text())
    life.secrets.add(urlsplit(life.seen.read_text()).password or "")
    assert api.state(other) == "PENDING_ATTACHMENT"
    return other


def replaced_with_new_credentials(life: Life, old: str, new: str) -> None:
    """S11, and a rotation: staged both, and in effect with one deployment."""
    api, kind = life.api, life.kind
    before = life.given()
    api.do("rotateCredentials", id=old)
    rotated = life.renewed(old, 2)
    api.do("renamePrefix", id=old, prefix="OLD")
    api.do("renamePrefix", id=new, prefix="DEFAULT")
    plan = api.plan(life.environment)
    assert {("RENAME", old), ("ROTATE", old), ("ATTACH", new)} <= planned(plan)
    for dsn in (before, rotated):
        holds(kind, dsn, "of the old one")
    assert life.given() == before

    life.release_by(SUCCEEDING)
    api.deploy(life.environment, expectedPlan=plan["digest"])

    assert life.given("OLD") == rotated
    assert life.given() == life.revealed(new)
    assert f"NEW_{kind.suffix}" not in read(life.file)
    holds(kind, life.given(), "of the new one")
    is_refused(kind, before)
    holds(kind, rotated, "of the old one")


def detached_and_attached_again(life: Life, service: str) -> None:
    """S6: a deployment takes what the application had; the data stay."""
    api, kind = life.api, life.kind
    had = life.given("OLD")
    api.do("detachService", id=service)
    api.deploy(life.environment)
    assert api.state(service) == "DETACHED"
    assert f"OLD_{kind.suffix}" not in read(life.file)
    is_refused(kind, had)
    holds(kind, life.renewed(service, 3), "of the old one")

    api.do("attachService", id=service)
    api.deploy(life.environment)

    assert api.state(service) == "ATTACHED"
    holds(kind, life.given("OLD"), "of the old one")


def removed_when_it_is_meant(life: Life, service: str) -> None:
    """S7: neither attached nor unconfirmed; then nothing is left but the history."""
    api, kind = life.api, life.kind
    attached = api.refused("removeService", id=service)
    api.do("detachService", id=service)
    api.deploy(life.environment)
    last = life.renewed(service, 4)
    unconfirmed = api.refused("removeService", id=service)
    api.remove(service)

    assert (attached["code"], unconfirmed["code"]) == ("MUST_DETACH_FIRST", "CONFIRMATION_REQUIRED")
    assert kind.traces(service) == []
    assert not kind.opens(last)
    told = [entry["event"] for entry in api.history(service)]
    assert told.count("ServiceProvisioned") == told.count("ServiceRemoved") == 1
    assert told.count("ServiceAttached") == told.count("ServiceDetached") == 2
    assert life.add("OLD") != service


def removed_while_it_is_made(life: Life) -> None:
    """S9: the provider is left with nothing."""
    service = life.add("BRIEF")
    text = life.api.service(service)["confirmation"]
    life.api.do("provisionService", id=service)
    life.api.do("removeService", id=service, confirm=text)

    life.api.wait(service, state="REMOVED")
    assert life.kind.traces(service) == []


def found_nowhere(life: Life) -> None:
    """S12: no password is anywhere but where it belongs."""
    assert len(life.secrets) >= 6
    assert "" not in life.secrets
    forms = {form for text in life.secrets for form in (text, unquote(text), quote(unquote(text)))}
    places = {
        "database": contents(life.api.product.dsn),
        "output": life.api.product.output,
        "answers": "\n".join(life.api.answers),
    }
    # So that what is there is found:
    assert "ServiceProvisioned" in places["database"]
    assert "the story looks inside" in places["answers"]
    assert [place for place, text in places.items() for form in forms if form in text] == []


def empty_environment(api: Api) -> str:
    """Create an environment without services."""
    environment = api.project().test
    for service in api.services(environment):
        api.do("removeService", id=service["id"])
    return environment


def holds(kind: Kind, dsn: str, text: str) -> None:
    """Wait until the text is found: some servers take a moment to hear of new credentials."""
    until(lambda: kind.opens(dsn), f"{kind.offering} opens")
    until(lambda: kind.kept(dsn) == text, f"{kind.offering} holds {text}")


def is_refused(kind: Kind, dsn: str) -> None:
    until(lambda: not kind.opens(dsn), f"{kind.offering} refuses what was revoked")
