"""Which S3 the provider makes buckets on: one that is set, the embedded one, or none."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from app import embedded
from app import settings as configuration
from app.providers import s3


class ObjectStorageError(Exception):
    """The settings of S3 do not go together; the text says what is missing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectStorage:
    """Where the provider s3 makes buckets, and the URL that applications use."""

    server: s3.Server
    address: str


@contextlib.contextmanager
def available(
    *, settings: configuration.Settings, progress: Callable[[str], None]
) -> Iterator[ObjectStorage | None]:
    """Hold what is wanted; the embedded store is ready some seconds later.

    Raises ObjectStorageError or EmbeddedError.
    """
    if settings.s3_provider_endpoint is not None:
        yield _of_the_user(settings, settings.s3_provider_endpoint)
    elif settings.database_url is None and settings.embedded_s3:
        with embedded.storing(data=settings.storage_directory, progress=progress) as address:
            server = s3.Server(
                endpoint=address.endpoint,
                region=address.region,
                access_key_id=address.access_key_id,
                secret_access_key=address.secret_access_key,
            )
            yield _offered(settings, server)
    else:
        yield None


def _of_the_user(settings: configuration.Settings, endpoint: str) -> ObjectStorage:
    key, secret = settings.s3_provider_access_key, settings.s3_provider_secret_key
    if key is None or secret is None:
        raise ObjectStorageError(
            "SERVICEBOOK_S3_PROVIDER_ENDPOINT is set: set SERVICEBOOK_S3_PROVIDER_ACCESS_KEY and"
            " SERVICEBOOK_S3_PROVIDER_SECRET_KEY too."
        )
    server = s3.Server(
        endpoint=endpoint,
        iam_endpoint=settings.s3_provider_iam_endpoint,
        region=settings.s3_provider_region,
        access_key_id=key,
        secret_access_key=secret,
    )
    return _offered(settings, server)


def _offered(settings: configuration.Settings, server: s3.Server) -> ObjectStorage:
    return ObjectStorage(server=server, address=settings.s3_provider_address or server.endpoint)
