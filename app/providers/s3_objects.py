"""The buckets and users of an S3 server, each brought to what is wanted of it."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from app.providers import contract

if TYPE_CHECKING:
    from app.providers.s3_client import Answer, Api

_POLICY = "bucket"
_HOME_REGION = "us-east-1"  # the one that AWS does not want to hear named
_NO_BUCKET = ("404", "NoSuchBucket", "NotFound")
_NO_USER = ("NoSuchEntity", "404")
_COMES_INTO_FORCE = 15.0  # seconds that a server may take to know new keys
_TICK = 0.05

# Names that AWS and SeaweedFS both know; List* covers versions, uploads and their parts.
_BUCKET_ACTIONS = ("s3:List*", "s3:GetBucketLocation", "s3:GetBucketVersioning")
_OBJECT_ACTIONS = (
    "s3:List*",
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:GetObjectVersion",
    "s3:DeleteObjectVersion",
    "s3:GetObjectTagging",
    "s3:PutObjectTagging",
    "s3:DeleteObjectTagging",
    "s3:AbortMultipartUpload",
)


def has_bucket(api: "Api", bucket: str) -> bool:
    """Tell whether the server has the bucket."""
    return bool(api.s3("head_bucket", but=_NO_BUCKET, Bucket=bucket))


def require_bucket(api: "Api", bucket: str) -> None:
    """Raise RESOURCE_MISSING unless the server has the bucket."""
    if not has_bucket(api, bucket):
        raise _missing(f"the server has no bucket {bucket}")


def ensure_bucket(api: "Api", bucket: str, *, region: str) -> None:
    """Make the bucket."""
    if has_bucket(api, bucket):
        return
    place = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    api.s3(
        "create_bucket",
        but=("BucketAlreadyOwnedByYou",),
        Bucket=bucket,
        **({} if region == _HOME_REGION else place),
    )


def ensure_versioning(api: "Api", bucket: str, *, is_wanted: bool) -> None:
    """Let the server keep old versions of objects, or let it stop; those it has stay."""
    status = api.s3("get_bucket_versioning", Bucket=bucket).get("Status")
    if (status == "Enabled") != is_wanted:
        api.s3(
            "put_bucket_versioning",
            Bucket=bucket,
            VersioningConfiguration={"Status": "Enabled" if is_wanted else "Suspended"},
        )


def ensure_no_bucket(api: "Api", bucket: str) -> None:
    """Delete the bucket once it was seen to be empty: some servers would delete a full one too."""
    while has_bucket(api, bucket):
        _drain(lambda: _versions(api, bucket), lambda found: _delete(api, bucket, found))
        _drain(lambda: _objects(api, bucket), lambda found: _delete(api, bucket, found))
        _drain(lambda: _uploads(api, bucket), lambda found: _abort(api, bucket, found))
        api.s3("delete_bucket", but=(*_NO_BUCKET, "BucketNotEmpty"), Bucket=bucket)


def users(api: "Api", name: str, version: int | None = None) -> list[str]:
    """List the users of an instance, of one version or of all."""
    start = f"{name}_v" if version is None else f"{name}_v{version}_"
    # Some servers ignore the path and list everybody, so the names decide.
    return [user for user in _all_users(api, _path(name)) if user.startswith(start)]


def make_user(api: "Api", name: str, user: str) -> Mapping[str, str]:
    """Make a user that may do nothing yet, and return its keys."""
    api.iam("create_user", Path=_path(name), UserName=user)
    key = api.iam("create_access_key", UserName=user)["AccessKey"]
    return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}


def let_in(api: "Api", *, bucket: str, user: str, secret: Mapping[str, str]) -> None:
    """Allow the user its bucket, by this key alone, and wait until the server does."""
    known = _keys(api, user)
    if secret["access_key_id"] not in known:
        raise _missing(f"the server no longer knows the key of {user}: rotate the credentials")
    for other in known:
        if other != secret["access_key_id"]:
            api.iam("delete_access_key", but=_NO_USER, UserName=user, AccessKeyId=other)
    api.iam(
        "put_user_policy",
        UserName=user,
        PolicyName=_POLICY,
        PolicyDocument=json.dumps(_policy(bucket)),
    )
    _await_effect(api, bucket, secret)


def ensure_no_user(api: "Api", user: str) -> None:
    """Delete the user, its keys first."""
    for key in _keys(api, user):
        api.iam("delete_access_key", but=_NO_USER, UserName=user, AccessKeyId=key)
    policies = api.iam("list_user_policies", but=_NO_USER, UserName=user)
    for policy in policies.get("PolicyNames", ()):
        api.iam("delete_user_policy", but=_NO_USER, UserName=user, PolicyName=policy)
    api.iam("delete_user", but=_NO_USER, UserName=user)


def _path(name: str) -> str:
    return f"/servicebook/{name}/"


def _all_users(api: "Api", path: str) -> Iterator[str]:
    answer = api.iam("list_users", PathPrefix=path)
    while True:
        for user in answer.get("Users", ()):
            yield str(user["UserName"])
        if not answer.get("IsTruncated"):
            return
        answer = api.iam("list_users", PathPrefix=path, Marker=answer["Marker"])


def _keys(api: "Api", user: str) -> list[str]:
    answer = api.iam("list_access_keys", but=_NO_USER, UserName=user)
    return [str(key["AccessKeyId"]) for key in answer.get("AccessKeyMetadata", ())]


def _policy(bucket: str) -> Mapping[str, object]:
    resource = f"arn:aws:s3:::{bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": _BUCKET_ACTIONS, "Resource": [resource]},
            {"Effect": "Allow", "Action": _OBJECT_ACTIONS, "Resource": [f"{resource}/*"]},
        ],
    }


def _await_effect(api: "Api", bucket: str, secret: Mapping[str, str]) -> None:
    deadline = time.monotonic() + _COMES_INTO_FORCE
    while not api.is_let_in(
        bucket=bucket,
        access_key_id=secret["access_key_id"],
        secret_access_key=secret["secret_access_key"],
    ):
        if time.monotonic() > deadline:
            raise contract.ProviderError(
                code=contract.ProviderErrorCode.UNAVAILABLE,
                message="S3: the server does not let the new keys in yet",
                is_transient=True,
            )
        api.pause(_TICK)


def _drain(
    look: Callable[[], list[dict[str, str]]], remove: Callable[[list[dict[str, str]]], None]
) -> None:
    """Remove what is seen until nothing is."""
    before: list[dict[str, str]] = []
    while found := look():
        if found == before:
            raise contract.ProviderError(
                code=contract.ProviderErrorCode.FAILED,
                message=f"S3: what was deleted is still there: {found[0]['Key']}",
                is_transient=True,
            )
        remove(found)
        before = found


def _versions(api: "Api", bucket: str) -> list[dict[str, str]]:
    answer = api.s3("list_object_versions", but=_NO_BUCKET, Bucket=bucket)
    return _named(answer, "Versions", "VersionId") + _named(answer, "DeleteMarkers", "VersionId")


def _objects(api: "Api", bucket: str) -> list[dict[str, str]]:
    return _named(api.s3("list_objects_v2", but=_NO_BUCKET, Bucket=bucket), "Contents")


def _uploads(api: "Api", bucket: str) -> list[dict[str, str]]:
    answer = api.s3("list_multipart_uploads", but=_NO_BUCKET, Bucket=bucket)
    return _named(answer, "Uploads", "UploadId")


def _named(answer: "Answer", kind: str, *more: str) -> list[dict[str, str]]:
    return [{name: one[name] for name in ("Key", *more)} for one in answer.get(kind, ())]


def _delete(api: "Api", bucket: str, found: list[dict[str, str]]) -> None:
    answer = api.s3(
        "delete_objects",
        but=(*_NO_BUCKET, "MalformedXML"),
        Bucket=bucket,
        Delete={"Objects": found, "Quiet": True},
    )
    # XML cannot carry every key, and a refusal is told better by the call for one object.
    for one in found if not answer or answer.get("Errors") else ():
        api.s3("delete_object", but=(*_NO_BUCKET, "NoSuchKey"), Bucket=bucket, **one)


def _abort(api: "Api", bucket: str, found: list[dict[str, str]]) -> None:
    for one in found:
        api.s3("abort_multipart_upload", but=(*_NO_BUCKET, "NoSuchUpload"), Bucket=bucket, **one)


def _missing(message: str) -> contract.ProviderError:
    return contract.ProviderError(
        code=contract.ProviderErrorCode.RESOURCE_MISSING, message=message, is_transient=False
    )
