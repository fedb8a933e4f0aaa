"""What an API over one hand-written statement costs: no GraphQL, nobody asked who they are."""

import json
import uuid

from starlette.requests import Request
from starlette.responses import Response

from tests.benchmarks.peers import serving

_ENVIRONMENT = """
SELECT json_build_object('environment', (
    SELECT json_build_object('id', 'env_' || replace(e.id::text, '-', ''), 'name', e.name,
        'serviceInstances', json_build_object('nodes', (
            SELECT coalesce(json_agg(json_build_object(
                'id', 'svc_' || replace(s.id::text, '-', ''), 'kind', s.kind, 'prefix', s.prefix,
                'state', s.state, 'version', s.version, 'history', json_build_object('nodes', (
                    SELECT coalesce(json_agg(json_build_object(
                        'position', h.position::text, 'event', h.event, 'sentence', h.sentence,
                        'actor', h.actor, 'recordedAt', to_char(h.recorded_at AT TIME ZONE 'UTC',
                            'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) ORDER BY h.version), '[]'::json)
                    FROM (SELECT * FROM read.lifecycle_history AS l
                        WHERE l.service_instance_id = s.id ORDER BY l.version DESC LIMIT 5) AS h))
                ) ORDER BY s.created_at, s.id), '[]'::json)
            FROM (SELECT * FROM read.service_instances AS i WHERE i.environment_id = e.id
                ORDER BY i.created_at, i.id LIMIT 10) AS s)))
    FROM read.environments AS e WHERE e.id = $1::uuid))::text
"""
_POINT = """
SELECT json_build_object('serviceInstance', (
    SELECT json_build_object('id', 'svc_' || replace(s.id::text, '-', ''), 'kind', s.kind,
        'prefix', s.prefix, 'state', s.state, 'version', s.version)
    FROM read.service_instances AS s WHERE s.id = $1::uuid))::text
"""
_PAGE = """
SELECT json_build_object('serviceInstances', json_build_object(
    'nodes', coalesce(json_agg(json_build_object(
        'id', 'svc_' || replace(s.id::text, '-', ''), 'kind', s.kind, 'prefix', s.prefix,
        'state', s.state, 'version', s.version, 'createdAt', s.at) ORDER BY s.created_at, s.id)
        FILTER (WHERE s.place <= 50), '[]'::json),
    'pageInfo', json_build_object('hasNextPage', count(*) > 50, 'endCursor',
        max(s.at || ' ' || s.id::text) FILTER (WHERE s.place <= 50))))::text
FROM (SELECT i.*, row_number() OVER (ORDER BY i.created_at, i.id) AS place,
        to_char(i.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at
    FROM read.service_instances AS i WHERE (i.created_at, i.id) > ($1::timestamptz, $2::uuid)
    ORDER BY i.created_at, i.id LIMIT 51) AS s
"""
_START = "-infinity 00000000-0000-0000-0000-000000000000"
_POOL = serving.pool()


async def answer(request: Request) -> Response:
    asked = json.loads(await request.body())
    id_ = asked["variables"]["id"]
    if "serviceInstances(first: 50" in asked["query"]:
        statement, values = _PAGE, (id_ or _START).split(" ")
    else:
        statement = _ENVIRONMENT if "environment" in asked["query"] else _POINT
        values = [str(uuid.UUID(id_[4:]))]
    async with _POOL.connection() as connection, connection.cursor() as cursor:
        await cursor.execute(statement, values, prepare=True)
        [(text,)] = await cursor.fetchall()
    return Response(b'{"data":%b}' % text.encode(), media_type="application/json")


if __name__ == "__main__":
    serving.serve(answer, _POOL)
