"""What an API costs that only inserts a row: nothing is loaded, decided or read."""

import json
import uuid

from starlette.requests import Request
from starlette.responses import Response

from tests.benchmarks.peers import serving

_INSERT = """
INSERT INTO inserted (service_instance_id, protected) VALUES ($1, $2) RETURNING position::text"""
_POOL = serving.pool()


async def answer(request: Request) -> Response:
    asked = json.loads(await request.body())["variables"]
    async with _POOL.connection() as connection, connection.cursor() as cursor:
        values = [uuid.UUID(asked["id"][4:]), asked["protected"]]
        await cursor.execute(_INSERT, values, prepare=True)
        [(position,)] = await cursor.fetchall()
    return Response(json.dumps({"data": {"position": position}}), media_type="application/json")


if __name__ == "__main__":
    serving.serve(answer, _POOL)
