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
                'state', s.state, 'history', json_build_object('nodes', (
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
_POOL = serving.pool()


async def answer(request: Request) -> Response:
    asked = json.loads(await request.body())
    statement = _ENVIRONMENT if "environment" in asked["query"] else _POINT
    id_ = uuid.UUID(asked["variables"]["id"][4:])
    async with _POOL.connection() as connection, connection.cursor() as cursor:
        await cursor.execute(statement, [id_], prepare=True)
        [(text,)] = await cursor.fetchall()
    return Response(b'{"data":%b}' % text.encode(), media_type="application/json")


if __name__ == "__main__":
    serving.serve(answer, _POOL)
