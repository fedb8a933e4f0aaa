"""What is asked of all, and what their answers have in common."""

import dataclasses
import re
import uuid
from datetime import UTC, datetime
from typing import Any, TypeAlias

import httpx

Json: TypeAlias = Any

_SERVICE = "kind prefix state version"
_ENTRY = "position event sentence actor recordedAt"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)")
_PAGES = 100


@dataclasses.dataclass(frozen=True)
class Question:
    """One query, in our schema and in that which PostGraphile makes of the tables."""

    name: str
    text: str
    in_tables: str
    type_name: str | None
    """Whose id the variable is; a cursor if None."""


POINT = Question(
    name="point",
    text=f"query ($id: ID!) {{ serviceInstance(id: $id) {{ id {_SERVICE} }} }}",
    in_tables=f"""query ($id: UUID!) {{
      serviceInstance(rowId: $id) {{ id: rowId {_SERVICE} }} }}""",
    type_name="ServiceInstance",
)
ENVIRONMENT = Question(
    name="environment",
    text=f"""query ($id: ID!) {{ environment(by: {{id: $id}}) {{ id name
      serviceInstances(first: 10) {{ nodes {{ id {_SERVICE}
        history(last: 5) {{ nodes {{ {_ENTRY} }} }} }} }} }} }}""",
    in_tables=f"""query ($id: UUID!) {{ environment(rowId: $id) {{ id: rowId name
      serviceInstances(first: 10, orderBy: [CREATED_AT_ASC, ROW_ID_ASC]) {{ nodes {{
        id: rowId {_SERVICE} history: lifecycleHistories(last: 5, orderBy: [VERSION_ASC]) {{
          nodes {{ {_ENTRY} }} }} }} }} }} }}""",
    type_name="Environment",
)
PAGE = Question(
    name="page of 50",
    text=f"""query ($id: String) {{ serviceInstances(first: 50, after: $id) {{
      nodes {{ id {_SERVICE} createdAt }} pageInfo {{ hasNextPage endCursor }} }} }}""",
    in_tables=f"""query ($id: Cursor) {{
      serviceInstances(first: 50, after: $id, orderBy: [CREATED_AT_ASC, ROW_ID_ASC]) {{
        nodes {{ id: rowId {_SERVICE} createdAt }} pageInfo {{ hasNextPage endCursor }} }} }}""",
    type_name=None,
)
ALL = (POINT, ENVIRONMENT, PAGE)


@dataclasses.dataclass(frozen=True)
class Peer:
    """Somebody who is asked."""

    name: str
    address: str
    pid: int
    token: str = ""

    def text(self, question: Question) -> str:
        """Return the query as this one understands it."""
        return question.in_tables if self._has_tables else question.text

    def variable(self, id_: str) -> str:
        """Return an id as this one has it."""
        return str(uuid.UUID(id_[4:])) if self._has_tables else id_

    def ask(self, question: Question, id_: str | None) -> Json:
        """Return the data; there must be no errors."""
        return self.answer(self.text(question), {"id": id_})

    def answer(self, text: str, variables: Json) -> Json:
        """Return the data; there must be no errors."""
        answered = httpx.post(
            f"{self.address}/graphql",
            json={"query": text, "variables": variables},
            headers=self.headers,
            timeout=30,
        ).json()
        assert "errors" not in answered, (self.name, answered)
        return answered["data"]

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def _has_tables(self) -> bool:
        return self.name == "postgraphile"


def variables(question: Question, peers: list[Peer], ids: list[str]) -> list[list[str]]:
    """Return what each is asked with, after all gave the same answers to some of it."""
    if question.type_name is None:
        return _cursors(question, peers)
    for id_ in ids[:20]:
        _require_same([peer.ask(question, peer.variable(id_)) for peer in peers])
    return [[peer.variable(id_) for id_ in ids] for peer in peers]


def _cursors(question: Question, peers: list[Peer]) -> list[list[str]]:
    """Return the cursors of the first pages: each has its own."""
    found: list[list[str]] = [[] for _ in peers]
    for _ in range(_PAGES):
        answers = [
            peer.ask(question, known[-1] if known else None)
            for peer, known in zip(peers, found, strict=True)
        ]
        pages = [answer["serviceInstances"]["pageInfo"] for answer in answers]
        for known, page in zip(found, pages, strict=True):
            known.append(page.pop("endCursor"))
        _require_same(answers)
        if not pages[0]["hasNextPage"]:
            break
    return [known[:-1] for known in found]


def _require_same(answers: list[Json]) -> None:
    plain = [_plain(answer) for answer in answers]
    assert all(each == plain[0] for each in plain), plain


def _plain(value: Json) -> Json:
    """Return a value without what each writes in its own way: ids and moments."""
    match value:
        case dict():
            return {
                name: uuid.UUID(item[-32:] if item[3] == "_" else item)
                if name == "id"
                else _plain(item)
                for name, item in value.items()
            }
        case list():
            return [_plain(item) for item in value]
        case str() if _MOMENT.fullmatch(value):
            return datetime.fromisoformat(value).astimezone(UTC)
        case _:
            return value
