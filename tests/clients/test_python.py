"""The tools of Python's client authors take the schema, and their clients the API."""

from pathlib import Path

from tests.clients.workshops import Workshop

EXPECTED = Path(__file__).with_name("example.out").read_text("utf-8")


def test_ariadne_codegen_makes_a_client(python: Workshop) -> None:
    python.succeed("ariadne-codegen", "--config", "ariadne.toml")
    said = python.succeed(
        "python", "-c", "import generated; print(generated.Client.add_service.__name__)"
    )

    assert said == "add_service\n"


def test_example_in_python(python: Workshop, access: dict[str, str]) -> None:
    said = python.succeed("python", "-W", "error", "example.py", environment=access)

    assert said.replace("True", "true") == EXPECTED
