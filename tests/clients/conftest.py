import pytest

from tests.clients import workshops
from tests.journeys import client
from tests.journeys.conftest import api, shared_api

__all__ = ["api", "shared_api"]  # the product as the stories have it


@pytest.fixture(scope="session")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> workshops.Workshop:
    return workshops.javascript(tmp_path_factory.mktemp("javascript"))


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> workshops.Workshop:
    return workshops.python(tmp_path_factory.mktemp("python"))


@pytest.fixture
def access(api: client.Api) -> dict[str, str]:
    """What the examples are told: where the product is, and a token."""
    return {
        "SERVICEBOOK_URL": f"{api.product.url}/graphql",
        "SERVICEBOOK_TOKEN": api.product.token,
    }
