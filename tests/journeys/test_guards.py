"""What the stories must not forget."""

import re
from pathlib import Path

import graphql

from app import asgi


def test_every_mutation_is_carried_out_by_some_story() -> None:
    schema = graphql.build_schema(asgi.sdl())
    assert schema.mutation_type is not None
    stories = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))

    carried_out = set(re.findall(r'\.do\(\s*"(\w+)"', stories))

    assert set(schema.mutation_type.fields) - carried_out == set()
