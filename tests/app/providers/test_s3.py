import contextlib
import dataclasses
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.session
import pytest
from botocore import config, exceptions

from app import embedded
from app.providers import contract, s3
from tests.app.providers import provider_contract
from tests.app.providers.provider_contract import (
    HOSTILE,
    NOTHING,
    Credentials,
    Values,
    credentials_of,
    request_for,
    tenant,
)

pytestmark = pytest.mark.anyio

PLAN: Values = {"versioning": False}
VERSIONED: Values = {"versioning": True}
DEADLINE = 15.0
_session = botocore.session.Session()


def client(kind: str, *, endpoint: str, key: str, secret: str) -> Any:  # noqa: ANN401  made at run time
    return _session.create_client(
        kind,
        endpoint_url=endpoint,
        region_name=embedded.storage.REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=config.Config(s3={"addressing_style": "path"}, proxies={}),
    )


def opened(credentials: Credentials, kind: str = "s3") -> Any:  # noqa: ANN401  likewise
    """Connect with what the address alone says."""
    parts = urlsplit(credentials["uri"])
    assert parts.scheme == "s3"
    options = parse_qs(parts.query)
    assert options["region"] == [credentials["region"]]
    return client(
        kind,
        endpoint=options["endpoint"][0],
        key=unquote(parts.username or ""),
        secret=unquote(parts.password or ""),
    )


def bucket_in(credentials: Credentials) -> str:
    return urlsplit(credentials["uri"]).path.strip("/")


def refusing(call: Callable[[], Any]) -> Any:  # noqa: ANN401  what the call returns
    try:
        return call()
    except exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            raise provider_contract.RefusedError from error
        raise


class S3Adapter(provider_contract.Adapter):
    plan = PLAN
    other_plan = VERSIONED
    senseless = (
        ({"versioning": HOSTILE}, NOTHING),
        ({"versioning": 1}, NOTHING),
        ({}, {HOSTILE: HOSTILE}),
    )
    takes_effect_within = 5.0

    def __init__(self, storage: embedded.StorageAddress) -> None:
        self._storage = storage
        self.server = s3.Server(
            endpoint=storage.endpoint,
            region=storage.region,
            access_key_id=storage.access_key_id,
            secret_access_key=storage.secret_access_key,
        )
        keys = {"key": storage.access_key_id, "secret": storage.secret_access_key}
        self.root = client("s3", endpoint=storage.endpoint, **keys)
        self.iam = client("iam", endpoint=storage.endpoint, **keys)

    def provider(self) -> s3.S3Provider:
        return s3.S3Provider(server=self.server)

    def provider_at(self, port: int, *, secret: str, deadline: float) -> s3.S3Provider:
        server = dataclasses.replace(
            self.server, endpoint=f"http://127.0.0.1:{port}", secret_access_key=secret
        )
        return s3.S3Provider(server=server, deadline=deadline)

    def port(self) -> int:
        return self._storage.port

    async def traces(self, service_instance_id: uuid.UUID) -> Mapping[str, int]:
        name = service_instance_id.hex
        buckets = [b["Name"] for b in self.root.list_buckets()["Buckets"] if name in b["Name"]]
        users = [u for u in self.iam.list_users()["Users"] if name in u["UserName"]]
        return {"buckets": len(buckets), "users": len(users)}

    async def write(self, credentials: Credentials, text: str) -> None:
        store, bucket = opened(credentials), bucket_in(credentials)
        refusing(lambda: store.put_object(Bucket=bucket, Key="notes/note", Body=text.encode()))

    async def read(self, credentials: Credentials) -> str:
        store, bucket = opened(credentials), bucket_in(credentials)
        answer = refusing(lambda: store.get_object(Bucket=bucket, Key="notes/note"))
        return str(answer["Body"].read().decode())

    async def trespass(self, mine: Credentials, theirs: Credentials) -> None:
        store, bucket = opened(mine), theirs["bucket"]
        refusing(lambda: store.get_object(Bucket=bucket, Key="notes/note"))

    async def allowance(self, credentials: Credentials) -> object:
        return self.root.get_bucket_versioning(Bucket=credentials["bucket"]).get("Status")


@pytest.fixture(scope="module")
def adapter(storage: embedded.StorageAddress) -> Iterator[S3Adapter]:
    made = S3Adapter(storage)
    yield made
    made.root.close()
    made.iam.close()


@pytest.fixture
async def provider(adapter: S3Adapter) -> AsyncIterator[s3.S3Provider]:
    provider = adapter.provider()
    yield provider
    await provider.aclose()


class TestContract(provider_contract.ProviderContract):
    @pytest.fixture
    def adapter(self, adapter: S3Adapter) -> S3Adapter:
        return adapter


async def test_the_credentials_say_where_and_who(
    adapter: S3Adapter, provider: s3.S3Provider
) -> None:
    service_instance_id, credentials = await tenant(provider, plan=PLAN)

    assert set(credentials) == {
        "uri",
        "endpoint",
        "region",
        "bucket",
        "username",
        "access_key_id",
        "secret_access_key",
    }
    assert credentials["bucket"] == f"svc-{service_instance_id.hex}" == bucket_in(credentials)
    assert urlsplit(credentials["uri"]).netloc.endswith(f"@127.0.0.1:{adapter.port()}")


async def test_applications_are_told_the_address_that_is_theirs(adapter: S3Adapter) -> None:
    provider = s3.S3Provider(server=adapter.server, address="https://files.example:9000")
    _, credentials = await tenant(provider, plan=PLAN)
    await provider.aclose()

    assert credentials["endpoint"] == "https://files.example:9000"
    assert "@files.example:9000/svc-" in credentials["uri"]


@pytest.mark.parametrize("operation", ["list_objects_v2", "list_object_versions", "head_bucket"])
async def test_a_tenant_cannot_look_into_another_bucket(
    provider: s3.S3Provider, operation: str
) -> None:
    _, mine = await tenant(provider, plan=PLAN)
    _, theirs = await tenant(provider, plan=PLAN)
    store = opened(mine)

    with pytest.raises(provider_contract.RefusedError):
        refusing(lambda: getattr(store, operation)(Bucket=theirs["bucket"]))

    getattr(store, operation)(Bucket=mine["bucket"])
    names = [bucket["Name"] for bucket in store.list_buckets()["Buckets"]]
    assert theirs["bucket"] not in names


async def test_a_tenant_cannot_change_its_bucket_or_copy_from_another(
    adapter: S3Adapter, provider: s3.S3Provider
) -> None:
    _, mine = await tenant(provider, plan=PLAN)
    _, theirs = await tenant(provider, plan=PLAN)
    await adapter.write(theirs, "theirs")
    store, bucket = opened(mine), mine["bucket"]
    source = {"Bucket": theirs["bucket"], "Key": "notes/note"}

    for call in (
        lambda: store.create_bucket(Bucket=f"more-{uuid.uuid4().hex}"),
        lambda: store.delete_bucket(Bucket=bucket),
        lambda: store.put_bucket_policy(Bucket=bucket, Policy="{}"),
        lambda: store.put_bucket_acl(Bucket=bucket, ACL="public-read"),
        lambda: store.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
        ),
        lambda: store.copy_object(Bucket=bucket, Key="stolen", CopySource=source),
    ):
        with pytest.raises(provider_contract.RefusedError):
            refusing(call)


@pytest.mark.parametrize("operation", ["create_user", "put_user_policy", "list_users"])
async def test_a_tenant_cannot_administer_users(provider: s3.S3Provider, operation: str) -> None:
    _, credentials = await tenant(provider, plan=PLAN)
    iam = opened(credentials, "iam")
    policy = {"UserName": credentials["username"], "PolicyName": "more", "PolicyDocument": "{}"}
    parameters = {"create_user": {"UserName": "more"}, "put_user_policy": policy}

    with pytest.raises(provider_contract.RefusedError):
        refusing(lambda: getattr(iam, operation)(**parameters.get(operation, {})))


async def test_keys_open_nothing_before_they_are_stored(
    adapter: S3Adapter, provider: s3.S3Provider
) -> None:
    service_instance_id, credentials = await tenant(provider, plan=PLAN)
    await adapter.write(credentials, "kept")
    secret = await provider.new_secret(service_instance_id=service_instance_id, version=2)
    store = client(
        "s3",
        endpoint=adapter.server.endpoint,
        key=secret["access_key_id"],
        secret=secret["secret_access_key"],
    )

    for call in (
        lambda: store.get_object(Bucket=credentials["bucket"], Key="notes/note"),
        lambda: store.list_objects_v2(Bucket=credentials["bucket"]),
    ):
        with pytest.raises(provider_contract.RefusedError):
            refusing(call)


async def test_a_late_second_secret_does_not_replace_the_keys_in_use(
    adapter: S3Adapter, provider: s3.S3Provider
) -> None:
    service_instance_id, stored = await tenant(provider, plan=PLAN)
    await adapter.write(stored, "kept")

    # Somebody woke up late, found nothing stored when it looked, and now learns what is.
    await provider.new_secret(service_instance_id=service_instance_id, version=1)
    again = await provider.ensure_credentials(
        service_instance_id=service_instance_id, version=1, secret=stored
    )

    assert again == stored
    assert await adapter.read(stored) == "kept"
    assert await adapter.traces(service_instance_id) == {"buckets": 1, "users": 1}


async def test_keys_that_a_tenant_makes_end_with_its_version(
    adapter: S3Adapter, provider: s3.S3Provider
) -> None:
    service_instance_id, credentials = await tenant(provider, plan=PLAN)
    own = opened(credentials, "iam").create_access_key(UserName=credentials["username"])
    store = client(
        "s3",
        endpoint=adapter.server.endpoint,
        key=own["AccessKey"]["AccessKeyId"],
        secret=own["AccessKey"]["SecretAccessKey"],
    )
    await provider.ensure_revoked(service_instance_id=service_instance_id, version=1)

    with pytest.raises(provider_contract.RefusedError):
        refusing(lambda: store.list_objects_v2(Bucket=credentials["bucket"]))


async def test_removal_takes_versions_uploads_and_odd_names(
    adapter: S3Adapter, provider: s3.S3Provider
) -> None:
    service_instance_id, credentials = await tenant(provider, plan=VERSIONED)
    store, bucket = opened(credentials), credentials["bucket"]
    for text in (b"old", b"new"):
        store.put_object(Bucket=bucket, Key="twice", Body=text)
    store.delete_object(Bucket=bucket, Key="twice")
    for key in ("a b+c&d=e", "ünï/cødé", "a<b>'\"", "..hidden", "deep/er/and/deeper"):
        store.put_object(Bucket=bucket, Key=key, Body=b"x")
    upload = store.create_multipart_upload(Bucket=bucket, Key="half")
    store.upload_part(
        Bucket=bucket, Key="half", UploadId=upload["UploadId"], PartNumber=1, Body=b"x" * 1000
    )

    await provider.ensure_absent(service_instance_id)

    assert provider_contract.is_empty(await adapter.traces(service_instance_id))


async def test_removal_takes_more_than_one_page(
    adapter: S3Adapter, provider: s3.S3Provider
) -> None:
    service_instance_id, credentials = await tenant(provider, plan=PLAN)
    store, bucket = opened(credentials), credentials["bucket"]
    for number in range(1010):
        store.put_object(Bucket=bucket, Key=f"{number:04}", Body=b"")

    await provider.ensure_absent(service_instance_id)

    assert provider_contract.is_empty(await adapter.traces(service_instance_id))


async def test_removal_goes_on_where_the_deadline_ended_it(
    adapter: S3Adapter, provider: s3.S3Provider
) -> None:
    service_instance_id, credentials = await tenant(provider, plan=PLAN)
    store, bucket = opened(credentials), credentials["bucket"]
    for number in range(100):
        store.put_object(Bucket=bucket, Key=str(number), Body=b"")
    hurried = s3.S3Provider(server=adapter.server, deadline=0.05)

    with pytest.raises(contract.ProviderError) as caught:
        await hurried.ensure_absent(service_instance_id)
    deadline = time.monotonic() + DEADLINE
    while not provider_contract.is_empty(await adapter.traces(service_instance_id)):
        assert time.monotonic() < deadline
        with contextlib.suppress(contract.ProviderError):
            await hurried.ensure_absent(service_instance_id)
    await hurried.aclose()

    assert caught.value.code == contract.ProviderErrorCode.TIMEOUT
    assert provider_contract.is_empty(await adapter.traces(service_instance_id))


async def test_another_owner_of_the_key_is_a_lack_of_permission(adapter: S3Adapter) -> None:
    provider = adapter.provider_at(adapter.port(), secret="wrong", deadline=DEADLINE)

    with pytest.raises(contract.ProviderError) as caught:
        await provider.ensure_present(request_for(uuid.uuid4(), plan=PLAN))

    assert caught.value.code == contract.ProviderErrorCode.PERMISSION_DENIED
    await provider.aclose()


async def test_keys_that_are_gone_are_told(adapter: S3Adapter, provider: s3.S3Provider) -> None:
    service_instance_id, credentials = await tenant(provider, plan=PLAN)
    await provider.ensure_revoked(service_instance_id=service_instance_id, version=1)

    with pytest.raises(contract.ProviderError, match="rotate the credentials") as caught:
        await provider.ensure_credentials(
            service_instance_id=service_instance_id, version=1, secret=credentials
        )

    assert not caught.value.is_transient
    renewed = await credentials_of(provider, service_instance_id, version=2)
    await adapter.write(renewed, "kept")
