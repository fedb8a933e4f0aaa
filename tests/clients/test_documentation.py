"""What client authors are told is what the tests run, and leaves nothing out."""

import re
from pathlib import Path

import graphql
import pytest

from app import asgi
from domain import errors

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TEXT = (ROOT / "app" / "graphql" / "CLIENTS.md").read_text("utf-8")
SCHEMA = graphql.build_schema(asgi.sdl())


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("language", "name"), [("python", "example.py"), ("typescript", "example.ts")]
)
def test_examples_are_the_programs_that_run(language: str, name: str) -> None:
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)

    assert lines("".join(blocks)) == lines((HERE / name).read_text("utf-8"))


def test_every_refusal_is_explained() -> None:
    table = TEXT[TEXT.index("## Refusals") : TEXT.index("## Versions")]
    refusals = SCHEMA.get_possible_types(SCHEMA.type_map["Refusal"])

    missing = [code for code in errors.RefusalCode if f"`{code}`" not in table]
    for type_ in refusals:
        own = [name for name in type_.fields if name not in ("code", "message")]
        missing += [type_.name] if f"| `{type_.name}`" not in table else []
        missing += [f"{type_.name}.{name}" for name in own if not re.search(rf"\b{name}\b", table)]

    assert missing == []


def test_every_code_of_errors_is_explained() -> None:
    table = TEXT[TEXT.index("## Errors") : TEXT.index("## Changes")]
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "app" / "graphql").rglob("*.py"))

    raised = set(re.findall(r'"?code"?[:=] ?"([A-Z_]+)"', sources))

    assert "UNAVAILABLE" in raised
    assert {code for code in raised if f"| `{code}` |" not in table} == set()


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", TEXT)

    assert targets
    assert [target for target in targets if not (ROOT / "app" / "graphql" / target).exists()] == []
