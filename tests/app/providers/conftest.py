import pytest

pytest.register_assert_rewrite("tests.app.providers.provider_contract")
