"""Schema ids, from any registry with Confluent's API. Ids are remembered, so known ones work while it is away."""

import asyncio
from typing import Any

import aiohttp
import msgspec

from shared.contracts.avro import codec_of, parse_writer
from shared.contracts.topics import topic_of
from shared.errors import RetryLaterError

TIMEOUT = aiohttp.ClientTimeout(total=10)


class SchemaIds:
    """Looks up what a producer must write and what a consumer meets. Registers nothing: the topics job does."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._of_topic: dict[str, int] = {}
        self._writers: dict[int, Any] = {}

    async def load_topics(self, names: list[str]) -> None:
        """After this `id_for` works for these topics. Waits, with backoff, for the registry and the topics job."""
        pause = 0.2
        while True:
            try:
                await asyncio.gather(*(self._load_topic(name) for name in names if name not in self._of_topic))
                return
            except RetryLaterError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5)

    async def _load_topic(self, name: str) -> None:
        schema = codec_of(topic_of(name).event).schema_json
        answer = await self._call("POST", f"/subjects/{name}-value", {"schema": schema})
        self._of_topic[name] = answer["id"]
        self._writers[answer["id"]] = parse_writer(schema)

    def id_for(self, topic: str) -> int:
        """The id under which this build's schema of the topic is registered."""
        return self._of_topic[topic]

    def writer_of(self, schema_id: int) -> Any:
        """The parsed writer schema; KeyError when `load_writers` has not been awaited for it."""
        return self._writers[schema_id]

    def unknown(self, schema_ids: set[int]) -> set[int]:
        return schema_ids - self._writers.keys()

    async def load_writers(self, schema_ids: set[int]) -> None:
        """RetryLaterError while the registry is away; an id that it does not know is left unknown."""
        for schema_id in self.unknown(schema_ids):
            answer = await self._call("GET", f"/schemas/ids/{schema_id}", None, missing_is_none=True)
            if answer is not None:
                self._writers[schema_id] = parse_writer(answer["schema"])

    async def _call(self, method: str, path: str, body: Any, *, missing_is_none: bool = False) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        try:
            data = msgspec.json.encode(body) if body is not None else None
            headers = {"Content-Type": "application/json"}
            async with self._session.request(method, self._url + path, data=data, headers=headers) as response:
                if response.status == 404 and missing_is_none:
                    return None
                if response.status != 200:
                    raise RetryLaterError(f"the schema registry answered {response.status} to {method} {path}")
                return msgspec.json.decode(await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise RetryLaterError("the schema registry is away") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
