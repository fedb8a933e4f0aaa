"""Provides buckets on any server that speaks S3 and IAM, such as AWS or SeaweedFS.

For each instance it makes

- a bucket `svc-<id>`;
- for each version of the credentials a user `svc_<id>_v<version>_<random>` with one key, whose
  only policy opens that bucket.

The server chooses the keys, and tells the secret one only once. A new user may therefore do
nothing: its keys are stored first, and then get the policy. Users whose keys were never stored,
after a crash or a race, are removed at that moment; until then they open nothing.

The provider's own user needs, on AWS, s3:* on `svc-*` and the iam actions on users below the
path /servicebook/. Where a user can make itself more keys, as on SeaweedFS, they end with the
user. Removal empties the bucket first, with all versions and unfinished uploads, and may go on
over several calls.

Plan settings: `versioning` (keep what is overwritten or deleted). S3 knows no quota.
"""

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

from app.providers import contract, s3_objects
from app.providers.s3_admin import S3Admin, Server

if TYPE_CHECKING:
    from app.providers.s3_client import Api

__all__ = ["S3Provider", "Server"]


class S3Provider:
    """Makes one bucket per service instance; see the module for how."""

    def __init__(
        self, *, server: Server, address: str | None = None, deadline: float = 60.0
    ) -> None:
        """Serve from `server`; applications reach it at the URL `address`, if that is another."""
        self._admin = S3Admin(server=server, deadline=deadline)
        self._region = server.region
        self._address = address or server.endpoint

    async def ensure_present(self, request: contract.ResourceRequest) -> None:
        """Make the bucket, if it is not there, and bring it to the request."""
        is_versioned = _is_versioned(request)
        bucket = _bucket(request.service_instance_id)

        def work(api: "Api") -> None:
            s3_objects.ensure_bucket(api, bucket, region=self._region)
            s3_objects.ensure_versioning(api, bucket, is_wanted=is_versioned)

        await self._admin.run(service_instance_id=request.service_instance_id, work=work)

    async def ensure_configured(self, request: contract.ResourceRequest) -> None:
        """Bring an existing bucket to a changed plan."""
        is_versioned = _is_versioned(request)
        bucket = _bucket(request.service_instance_id)

        def work(api: "Api") -> None:
            s3_objects.require_bucket(api, bucket)
            s3_objects.ensure_versioning(api, bucket, is_wanted=is_versioned)

        await self._admin.run(service_instance_id=request.service_instance_id, work=work)

    async def new_secret(self, *, service_instance_id: UUID, version: int) -> Mapping[str, str]:
        """Make a user that may do nothing, and return its keys."""
        bucket, name = _bucket(service_instance_id), _name(service_instance_id)
        user = f"{name}_v{version}_{secrets.token_hex(4)}"

        def work(api: "Api") -> Mapping[str, str]:
            s3_objects.require_bucket(api, bucket)
            keys = s3_objects.make_user(api, name, user)
            if not s3_objects.has_bucket(api, bucket):  # a removal came between
                s3_objects.ensure_no_user(api, user)
            s3_objects.require_bucket(api, bucket)
            return {"username": user, **keys}

        return await self._admin.run(service_instance_id=service_instance_id, work=work)

    async def ensure_credentials(
        self, *, service_instance_id: UUID, version: int, secret: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Let the user of this version into the bucket, and nobody else of this version."""
        bucket, name = _bucket(service_instance_id), _name(service_instance_id)
        user = secret["username"]

        def work(api: "Api") -> None:
            is_there = s3_objects.has_bucket(api, bucket)
            if is_there:
                s3_objects.let_in(api, bucket=bucket, user=user, secret=secret)
                # Once more: a removal that came between has listed the users before this one.
                is_there = s3_objects.has_bucket(api, bucket)
            for other in s3_objects.users(api, name, version):
                if other != user or not is_there:
                    s3_objects.ensure_no_user(api, other)
            s3_objects.require_bucket(api, bucket)

        await self._admin.run(
            service_instance_id=service_instance_id,
            work=work,
            secrets=(secret["secret_access_key"],),
        )
        return self._credentials(bucket, secret)

    async def ensure_revoked(self, *, service_instance_id: UUID, version: int) -> None:
        """Remove the user of this version."""
        name = _name(service_instance_id)

        def work(api: "Api") -> None:
            for user in s3_objects.users(api, name, version):
                s3_objects.ensure_no_user(api, user)

        await self._admin.run(service_instance_id=service_instance_id, work=work)

    async def ensure_absent(self, service_instance_id: UUID) -> None:
        """Remove the users, what is in the bucket, and the bucket."""
        bucket, name = _bucket(service_instance_id), _name(service_instance_id)

        def work(api: "Api") -> None:
            # Before the bucket, so that nobody fills it meanwhile; and after, see above.
            for _ in range(2):
                for user in s3_objects.users(api, name):
                    s3_objects.ensure_no_user(api, user)
                s3_objects.ensure_no_bucket(api, bucket)

        await self._admin.run(service_instance_id=service_instance_id, work=work)

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._admin.aclose()

    def _credentials(self, bucket: str, secret: Mapping[str, str]) -> Mapping[str, str]:
        key, hidden = secret["access_key_id"], secret["secret_access_key"]
        options = urlencode({"region": self._region, "endpoint": self._address})
        who = f"{quote(key, safe='')}:{quote(hidden, safe='')}"
        return {
            "uri": f"s3://{who}@{urlsplit(self._address).netloc}/{bucket}?{options}",
            "endpoint": self._address,
            "region": self._region,
            "bucket": bucket,
            "username": secret["username"],
            "access_key_id": key,
            "secret_access_key": hidden,
        }


def _is_versioned(request: contract.ResourceRequest) -> bool:
    """Read plan and parameters, which the catalogue has checked when they were asked for."""
    is_versioned = request.plan.get("versioning", False)
    if not isinstance(is_versioned, bool):
        raise _invalid("versioning must be true or false")
    if request.parameters:
        raise _invalid(f"a bucket has no parameters: {', '.join(sorted(request.parameters))}")
    return is_versioned


def _invalid(message: str) -> contract.ProviderError:
    return contract.ProviderError(
        code=contract.ProviderErrorCode.PARAMETERS_INVALID, message=message, is_transient=False
    )


def _bucket(service_instance_id: UUID) -> str:
    return f"svc-{service_instance_id.hex}"


def _name(service_instance_id: UUID) -> str:
    return f"svc_{service_instance_id.hex}"
