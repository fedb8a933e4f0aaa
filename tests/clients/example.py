import asyncio
import os
import time
import uuid
from typing import Any

import httpx
from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport

URL = os.environ["SERVICEBOOK_URL"]  # such as http://127.0.0.1:8000/graphql
AUTHORIZATION = f"Bearer {os.environ['SERVICEBOOK_TOKEN']}"
HTTP = httpx.Client(headers={"Authorization": AUTHORIZATION}, timeout=15)
PASSING = {"UNAVAILABLE", "TIMEOUT", "RATE_LIMITED"}
PAUSES = (0.2, 0.5, 1, 2, 4)  # seconds


class ApiError(Exception):
    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code = error["extensions"]["code"]
        self.correlation_id = error["extensions"].get("correlationId")


def send(query: str, variables: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = HTTP.post(URL, json={"query": query, "variables": variables}).json()
    except (httpx.TransportError, ValueError) as error:
        # The way there, or a proxy's own page.
        unavailable = {"message": str(error), "extensions": {"code": "UNAVAILABLE"}}
        raise ApiError(unavailable) from error
    for error in answer.get("errors", ()):
        raise ApiError(error)
    return answer["data"]


def ask(query: str, **variables: Any) -> dict[str, Any]:
    for pause in PAUSES:
        try:
            return send(query, variables)
        except ApiError as error:
            if error.code not in PASSING:
                raise
            time.sleep(pause)
    return send(query, variables)


class RefusedError(Exception):
    def __init__(self, refusal: dict[str, Any]) -> None:
        super().__init__(refusal["message"])
        self.code = refusal["code"]
        self.refusal = refusal


def change(mutation: str, **given: Any) -> dict[str, Any]:
    key = given.pop("idempotencyKey", str(uuid.uuid4()))
    (outcome,) = ask(mutation, input={**given, "idempotencyKey": key}).values()
    if outcome["__typename"].endswith("Refusal"):
        raise RefusedError(outcome)
    return outcome


CREATE_PROJECT = """
  mutation CreateProject($input: CreateProjectInput!) {
    createProject(input: $input) {
      __typename
      ... on CreateProjectSuccess { position project { id environments { id name } } }
      ... on Refusal { code message }
    }
  }
"""
created = change(CREATE_PROJECT, name="shop", idempotencyKey=(key := str(uuid.uuid4())))
repeated = change(CREATE_PROJECT, name="shop", idempotencyKey=key)
project = created["project"]
test = next(each["id"] for each in project["environments"] if each["name"] == "test")
print("one project:", repeated["position"] == created["position"])


ADD_SERVICE = """
  mutation AddService($input: AddServiceInput!) {
    addService(input: $input) {
      __typename
      ... on AddServiceSuccess { position serviceInstance { id prefix version } }
      ... on Refusal { code message }
      ... on QuotaRefusal { offering limit used }
    }
  }
"""
SET_SUBSCRIPTION = """
  mutation SetSubscription($input: SetSubscriptionInput!) {
    setSubscription(input: $input) {
      __typename
      ... on SetSubscriptionSuccess { position }
      ... on Refusal { code message }
    }
  }
"""
wanted = {"environment": test, "offering": "redis", "prefix": "CARTS"}
try:
    added = change(ADD_SERVICE, **wanted)
except RefusedError as refused:
    print("refused:", refused.code)
    units = [{"offering": "redis", "units": 1}]
    change(SET_SUBSCRIPTION, project=project["id"], units=units)
    added = change(ADD_SERVICE, **wanted)
service = added["serviceInstance"]
print("added:", service["prefix"])


RENAME = """
  mutation Rename($input: RenamePrefixInput!) {
    renamePrefix(input: $input) {
      __typename
      ... on RenamePrefixSuccess { position serviceInstance { prefix version } }
      ... on Refusal { code message }
      ... on ConflictRefusal { currentVersion }
    }
  }
"""


def rename(prefix: str, seen: int) -> dict[str, Any]:
    return change(RENAME, id=service["id"], prefix=prefix, expectedVersion=seen)


renamed = rename("BASKETS", service["version"])
try:
    rename("TROLLEYS", service["version"])
except RefusedError as refused:
    is_new = refused.refusal["currentVersion"] == renamed["serviceInstance"]["version"]
    print("somebody was faster:", refused.code, is_new)


EVENTS = """
  query Events($filter: AuditEventFilter, $after: String) {
    auditEvents(filter: $filter, first: 2, after: $after) {
      nodes { position event }
      pageInfo { hasNextPage endCursor }
    }
  }
"""
about = {"project": project["id"], "events": ["ServiceAdded", "ServicePrefixRenamed"]}
events, after = [], None
while True:
    page = ask(EVENTS, filter=about, after=after)["auditEvents"]
    events += page["nodes"]
    after = page["pageInfo"]["endCursor"]
    if not page["pageInfo"]["hasNextPage"]:
        break
print("events:", ", ".join(each["event"] for each in events))


AS_IT_WAS = """
  query AsItWas($id: ID!, $at: Moment!) {
    serviceInstance(id: $id, at: $at) { prefix }
  }
"""
then = ask(AS_IT_WAS, id=service["id"], at={"position": added["position"]})
print("as it was:", then["serviceInstance"]["prefix"])


FOLLOW = gql("""
  subscription Follow($after: Position, $filter: AuditEventFilter) {
    auditEvents(after: $after, filter: $filter) { position event }
  }
""")


async def follow(last: str) -> str:
    socket = WebsocketsTransport(
        url=URL.replace("http", "ws", 1),
        init_payload={"authorization": AUTHORIZATION},
        subprotocols=["graphql-transport-ws"],
    )
    async with Client(transport=socket) as session:
        FOLLOW.variable_values = {"after": last, "filter": about}
        async for answer in session.subscribe(FOLLOW):
            told = answer["auditEvents"]
            last = told["position"]  # where to go on after a lost connection
            if told["event"] == "ServicePrefixRenamed":
                break
    return last


print("told:", asyncio.run(follow(added["position"])) == events[-1]["position"])
HTTP.close()
