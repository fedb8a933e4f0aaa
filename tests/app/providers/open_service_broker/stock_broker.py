"""A broker made with openbrokerapi, and the search engine that it sells, over HTTP in a thread."""

import contextlib
import dataclasses
import logging
import secrets
import threading
import uuid
from collections.abc import Iterator

import flask
import openbrokerapi.errors
from openbrokerapi import api, catalog, service_broker
from werkzeug import serving

SERVICE = "search-engine"
USERNAME = "servicebook"
PASSWORD = "b: r/o@k%e r"
SMALL, LARGE = "11111111-small", "22222222-large"

_SCHEMA = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "properties": {"shards": {"type": "integer", "minimum": 1, "maximum": 9}},
    "additionalProperties": False,
}


@dataclasses.dataclass
class Instance:
    plan_id: str
    parameters: dict[str, object]
    polls: int
    bindings: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    text: str = ""


class SearchBroker(service_broker.ServiceBroker):
    """Takes `polls` looks to make or change an instance; 0 does it at once."""

    def __init__(self, *, polls: int) -> None:
        self.port = 0
        self.polls = polls
        self.instances: dict[str, Instance] = {}
        self.lock = threading.RLock()

    def catalog(self) -> service_broker.Service:
        schemas = catalog.Schemas(service_instance={"create": {"parameters": _SCHEMA}})
        return service_broker.Service(
            id="search-engine-id",
            name=SERVICE,
            description="Finds things.",
            bindable=True,
            plan_updateable=True,
            bindings_retrievable=True,
            metadata=catalog.ServiceMetadata(displayName="Search Engine"),
            plans=[
                catalog.ServicePlan(SMALL, "Small (free)", "One node.", schemas=schemas),
                catalog.ServicePlan(LARGE, "Large", "Three nodes.", schemas=schemas),
            ],
        )

    def provision(
        self,
        instance_id: str,
        details: service_broker.ProvisionDetails,
        async_allowed: bool,  # noqa: FBT001  as the library has it
        **_: object,
    ) -> service_broker.ProvisionedServiceSpec:
        assert async_allowed
        state = service_broker.ProvisionState
        wanted = details.parameters or {}
        if not isinstance(wanted.get("shards", 1), int) or wanted.keys() - {"shards"}:
            raise openbrokerapi.errors.ErrInvalidParameters("shards must be a number")
        with self.lock:
            found = self.instances.get(instance_id)
            is_new = found is None
            if found is None:
                found = Instance(details.plan_id, wanted, self.polls)
                self.instances[instance_id] = found
            elif (found.plan_id, found.parameters) != (details.plan_id, wanted):
                raise openbrokerapi.errors.ErrInstanceAlreadyExists
            if found.polls:
                return service_broker.ProvisionedServiceSpec(state.IS_ASYNC, operation="making it")
            made = state.SUCCESSFUL_CREATED if is_new else state.IDENTICAL_ALREADY_EXISTS
            return service_broker.ProvisionedServiceSpec(made)

    def update(
        self,
        instance_id: str,
        details: service_broker.UpdateDetails,
        async_allowed: bool,  # noqa: FBT001  as the library has it
        **_: object,
    ) -> service_broker.UpdateServiceSpec:
        assert async_allowed
        with self.lock:
            found = self.instances[instance_id]
            found.plan_id = details.plan_id or found.plan_id
            found.parameters = {**found.parameters, **(details.parameters or {})}
            found.polls = self.polls
            return service_broker.UpdateServiceSpec(is_async=bool(self.polls), operation="changing")

    def deprovision(
        self,
        instance_id: str,
        details: service_broker.DeprovisionDetails,  # noqa: ARG002  as the library has it
        async_allowed: bool,  # noqa: FBT001  likewise
        **_: object,
    ) -> service_broker.DeprovisionServiceSpec:
        assert async_allowed
        with self.lock:
            if self.instances.pop(instance_id, None) is None:
                raise openbrokerapi.errors.ErrInstanceDoesNotExist
        return service_broker.DeprovisionServiceSpec(is_async=bool(self.polls), operation="going")

    def bind(
        self,
        instance_id: str,
        binding_id: str,
        details: service_broker.BindDetails,  # noqa: ARG002  as the library has it
        async_allowed: bool,  # noqa: ARG002, FBT001  likewise
        **_: object,
    ) -> service_broker.Binding:
        with self.lock:
            bindings = self._found(instance_id).bindings
            is_new = binding_id not in bindings
            bindings.setdefault(binding_id, self._credentials(instance_id))
            state = service_broker.BindState
            return service_broker.Binding(
                state.SUCCESSFUL_BOUND if is_new else state.IDENTICAL_ALREADY_EXISTS,
                credentials=bindings[binding_id],
            )

    def unbind(
        self,
        instance_id: str,
        binding_id: str,
        details: service_broker.UnbindDetails,  # noqa: ARG002  as the library has it
        async_allowed: bool,  # noqa: ARG002, FBT001  likewise
        **_: object,
    ) -> service_broker.UnbindSpec:
        with self.lock:
            found = self.instances.get(instance_id)
            if found is None or found.bindings.pop(binding_id, None) is None:
                raise openbrokerapi.errors.ErrBindingDoesNotExist
        return service_broker.UnbindSpec(is_async=False)

    def last_operation(
        self,
        instance_id: str,
        operation_data: str | None,
        service_id: str | None,
        plan_id: str | None,
        **_: object,
    ) -> service_broker.LastOperation:
        assert operation_data in {"making it", "changing", "going", None}
        assert service_id
        assert plan_id
        state = service_broker.OperationState
        with self.lock:
            found = self.instances.get(instance_id)
            if found is None:
                raise openbrokerapi.errors.ErrInstanceDoesNotExist
            found.polls = max(found.polls - 1, 0)
            is_done = found.polls == 0
        return service_broker.LastOperation(state.SUCCEEDED if is_done else state.IN_PROGRESS)

    def _found(self, instance_id: str) -> Instance:
        found = self.instances.get(instance_id)
        if found is None or found.polls:
            flask.abort(404)
        return found

    def _credentials(self, instance_id: str) -> dict[str, str]:
        password = secrets.token_urlsafe(12)
        user = f"u{uuid.uuid4().hex[:8]}"
        return {
            "uri": f"http://{user}:{password}@127.0.0.1:{self.port}/search/{instance_id}",
            "username": user,
            "password": password,
        }


def _engine(broker: SearchBroker) -> flask.Blueprint:
    """Return what applications talk to: one text for each instance."""
    engine = flask.Blueprint("engine", __name__)

    @engine.route("/search/<instance_id>", methods=["GET", "PUT"])
    def text(instance_id: str) -> flask.Response:
        given = flask.request.authorization
        with broker.lock:
            found = broker.instances.get(instance_id)
            bindings = found.bindings.values() if found else ()
            pairs = [(each["username"], each["password"]) for each in bindings]
            if given is None or found is None or (given.username, given.password) not in pairs:
                return flask.Response("who are you?", status=401)
            if flask.request.method == "PUT":
                found.text = flask.request.get_data(as_text=True)
            return flask.Response(found.text)

    return engine


@contextlib.contextmanager
def running(*, polls: int) -> Iterator[SearchBroker]:
    broker = SearchBroker(polls=polls)
    quiet = logging.getLogger("tests.stock_broker")
    quiet.setLevel(logging.CRITICAL)
    quiet.propagate = False
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = flask.Flask("stock_broker")
    credentials = api.BrokerCredentials(USERNAME, PASSWORD)
    app.register_blueprint(api.get_blueprint(broker, credentials, quiet))
    app.register_blueprint(_engine(broker))
    server = serving.make_server("127.0.0.1", 0, app, threaded=True)
    broker.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield broker
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
