"""S4 to S7 with a cache and a queue: filled in advance, attached, detached, attached, removed."""

import pika
import pytest
import redis

from tests import brokers
from tests.journeys.client import Api
from tests.journeys.conftest import Launch

QUEUE = "letters"


@pytest.fixture
def api(launch: Launch, redis_server: brokers.Broker, rabbitmq_server: brokers.Broker) -> Api:
    return launch(
        redis_provider_url=redis_server.redis_url,
        rabbitmq_provider_url=rabbitmq_server.management_url,
        rabbitmq_provider_address=rabbitmq_server.address,
    )


def cache(dsn: str) -> tuple[redis.Redis, str]:
    """Connect to a cache with what its variable says; return the client and the prefix of keys."""
    client = redis.Redis.from_url(dsn, decode_responses=True)
    user = str(client.connection_pool.connection_kwargs["username"])
    return client, user.removeprefix("svc_").partition("_v")[0] + ":"


def kept_in_cache(dsn: str) -> str | None:
    client, prefix = cache(dsn)
    with client:
        return client.get(f"{prefix}note")


def send(dsn: str, text: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(dsn)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(QUEUE, durable=True)
        properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        channel.basic_publish("", QUEUE, text.encode(), properties)


def receive(dsn: str) -> str:
    with pika.BlockingConnection(pika.URLParameters(dsn)) as connection:
        channel = connection.channel()
        method, _, body = next(channel.consume(QUEUE, inactivity_timeout=10))
        channel.basic_ack(method.delivery_tag)
        return str(body.decode())


def test_a_cache_and_a_queue_through_their_whole_life(
    api: Api, redis_server: brokers.Broker, rabbitmq_server: brokers.Broker
) -> None:
    project = api.deployable_project()
    api.deploy(project.test)
    before = api.revision(project.test)
    services = {name: api.add(project.test, name) for name in ("redis", "rabbitmq")}

    # S4: filled before any deployment.
    for service in services.values():
        api.provision(service)
    client, prefix = cache(api.dsn(services["redis"]))
    with client:
        client.set(f"{prefix}note", "kept")
    send(api.dsn(services["rabbitmq"]), "dear reader")
    assert api.revision(project.test) == before

    # S5: one deployment gives both to the application.
    api.deploy(project.test)
    assert {api.state(service) for service in services.values()} == {"ATTACHED"}
    held = api.variables(project.test)
    assert held["DEFAULT_CACHE_URL"] == (services["redis"], 1)
    assert held["DEFAULT_AMQP_BROKER_URL"] == held["BROKER_URL"] == (services["rabbitmq"], 1)

    # S6: detached, the data stays; the application's credentials end.
    first = {name: api.dsn(service) for name, service in services.items()}
    for service in services.values():
        api.do("detachService", id=service)
    api.deploy(project.test)
    for service in services.values():
        api.wait(service, state="DETACHED", operation=None, secretVersion=2)
    with pytest.raises(redis.AuthenticationError):
        kept_in_cache(first["redis"])
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        receive(first["rabbitmq"])
    for service in services.values():
        api.do("attachService", id=service)
    api.deploy(project.test)
    assert kept_in_cache(api.dsn(services["redis"])) == "kept"
    assert receive(api.dsn(services["rabbitmq"])) == "dear reader"

    # S7: removed, nothing is left to connect to.
    refusals = [api.refused("removeService", id=service) for service in services.values()]
    assert {refusal["code"] for refusal in refusals} == {"MUST_DETACH_FIRST"}
    for service in services.values():
        api.do("detachService", id=service)
    api.deploy(project.test)
    for service in services.values():
        api.wait(service, state="DETACHED", operation=None, secretVersion=3)
    last = {name: api.dsn(service) for name, service in services.items()}
    for service in services.values():
        api.remove(service)
    with pytest.raises(redis.AuthenticationError):
        kept_in_cache(last["redis"])
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        receive(last["rabbitmq"])

    # Whoever administers the two servers stays unknown.
    told = api.product.run("settings").stdout + api.product.output + "".join(api.answers)
    assert "SERVICEBOOK_REDIS_PROVIDER_URL = (hidden)" in told
    assert "SERVICEBOOK_RABBITMQ_PROVIDER_URL = (hidden)" in told
    assert redis_server.password not in told
    assert rabbitmq_server.password not in told


def test_a_provider_that_is_not_set_up_refuses(shared_api: Api) -> None:
    project = shared_api.project()
    service = shared_api.add(project.test, "redis")

    assert shared_api.refused("provisionService", id=service)["code"] == "NOT_READY"
