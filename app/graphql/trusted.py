"""Trusted documents: operations that clients name instead of sending.

A manifest is what Relay and GraphQL Code Generator write: a JSON object of documents by id, the
SHA-256 of the text in hexadecimal, with or without `sha256:` before it. A client sends
`documentId` in place of `query`, wherever a query can be sent. Where only trusted documents are
allowed, the text of one is as good as its id: whoever wants the explorer there lists its
introspection query.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import graphql
from starlette import status

_PREFIX = "sha256:"  # how GraphQL over HTTP writes such an id


class ManifestError(Exception):
    """A manifest cannot be used; the text lists every problem."""


class DocumentRefusedError(graphql.GraphQLError):
    """A request names no document that can be had, or sends one that is not trusted."""

    def __init__(self, message: str, *, code: str, http_status: int) -> None:
        super().__init__(message, extensions={"code": code})
        self.http_status = http_status


@dataclasses.dataclass(frozen=True)
class Documents:
    """The documents of a manifest by id; is anything else refused?"""

    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_exclusive: bool = False

    def text(self, sent: Mapping[str, object]) -> str | None:
        """Return the text of what was sent or named; None if neither was.

        Raises DocumentRefusedError.
        """
        document_id, query = sent.get("documentId"), sent.get("query")
        if document_id is None:
            return self._sent(query)
        if query not in (None, ""):
            raise _wrong("Send `query` or `documentId`, not both.")
        if not isinstance(document_id, str):
            raise _wrong("The `documentId` must be a string.")
        text = self.texts.get(document_id.removeprefix(_PREFIX))
        if text is None:
            raise _wrong(
                "There is no trusted document with this `documentId`: the server knows those of"
                " its manifest."
            )
        return text

    def _sent(self, query: object) -> str | None:
        if not isinstance(query, str):
            return None  # the protocol has its own words for it
        if self.is_exclusive and _digest(query) not in self.texts:
            raise DocumentRefusedError(
                "Only trusted documents are allowed here: send the `documentId` of one.",
                code="FORBIDDEN",
                http_status=status.HTTP_403_FORBIDDEN,
            )
        return query


def load(path: Path | None, *, is_exclusive: bool, schema: graphql.GraphQLSchema) -> Documents:
    """Read a manifest and check it against the schema. Raises ManifestError."""
    if path is None:
        return Documents(is_exclusive=is_exclusive)
    try:
        texts = json.loads(path.read_bytes())
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ManifestError(f"The trusted documents cannot be read: {path}: {error}") from error
    if not isinstance(texts, dict):
        raise ManifestError(f"{path} must be a JSON object of documents by id.")
    problems = [
        f"{name}: {problem}"
        for name, text in texts.items()
        for problem in _problems(name, text, schema)
    ]
    if problems:
        raise ManifestError(f"The trusted documents in {path} are wrong: {'; '.join(problems)}")
    bare = {name.removeprefix(_PREFIX): text for name, text in texts.items()}
    return Documents(texts=bare, is_exclusive=is_exclusive)


def _problems(name: str, text: object, schema: graphql.GraphQLSchema) -> Iterator[str]:
    if not isinstance(text, str):
        yield "the document must be a string"
        return
    if name.removeprefix(_PREFIX) != _digest(text):
        yield f"the id must be the SHA-256 of the document, {_digest(text)}"
    try:
        document = graphql.parse(text)
    except (graphql.GraphQLError, RecursionError) as error:
        yield str(error)
        return
    yield from (error.message for error in graphql.validate(schema, document))


def _digest(text: str) -> str:
    # A lone surrogate is in no manifest, and in no valid document either.
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _wrong(message: str) -> DocumentRefusedError:
    return DocumentRefusedError(
        message, code="BAD_USER_INPUT", http_status=status.HTTP_400_BAD_REQUEST
    )
