import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import brokers


@pytest.mark.parametrize(
    ("require", "package"),
    [(brokers.require_redis, "redis-server"), (brokers.require_rabbitmq, "rabbitmq-server")],
)
@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)]
)
def test_a_missing_server_is_named_and_no_excuse_where_all_is_installed(
    monkeypatch: pytest.MonkeyPatch,
    require: Callable[[], object],
    package: str,
    ci: str,
    outcome: type,
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))

    with pytest.raises(outcome, match=f"apt-get install {package}"):
        require()
