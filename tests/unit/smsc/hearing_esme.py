"""A raw ESME that keeps all it hears, whole PDUs and torn ones, and waits for what a test names."""

import asyncio
import contextlib
import struct
import time
from collections.abc import Callable
from typing import Self

from unit.smsc.raw_esme import (
    BIND_TRANSCEIVER,
    DELIVER_SM,
    ENQUIRE_LINK,
    RESPONSE,
    SUBMIT_SM,
    Pdu,
    pdu,
    receipt_field,
    submit_body,
)

PATIENCE_S = 20.0  # for a machine under load; what is waited for comes in far less


class HearingEsme:
    """`pdus` are the whole ones since the connection, `rest` the octets after them, `ended` tells of EOF or reset."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.pdus: list[Pdu] = []
        self.times: list[float] = []
        self.rest = b""
        self.ended = False
        self.acknowledges = True
        self._sequence = 1

    @classmethod
    async def connect(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @classmethod
    async def bound(cls, port: int, command: int = BIND_TRANSCEIVER) -> Self:
        esme = await cls.connect(port)
        assert await esme.bind(command) == 0
        return esme

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    def send(self, octets: bytes) -> None:
        self._writer.write(octets)

    def ask(self, command: int, body: bytes = b"") -> int:
        """Send it and return its sequence number."""
        self._sequence += 1
        self.send(pdu(command, self._sequence, body))
        return self._sequence

    async def bind(self, command: int = BIND_TRANSCEIVER) -> int:
        """The status of the answer."""
        sequence = self.ask(command, b"relais\0secret\0\0\x34\0\0\0")
        await self.hear(lambda: self.answer(sequence))
        answer = self.answer(sequence)
        assert answer is not None
        return answer.status

    def submit(self, count: int = 1, registered: int = 1) -> list[int]:
        """Send so many at once, each to a number and with a text of its own; their sequence numbers."""
        first = self._sequence + 1
        self._sequence += count
        sequences = list(range(first, first + count))
        self.send(
            b"".join(
                pdu(SUBMIT_SM, one, submit_body(to=number(one), text=b"message %d" % one, registered=registered))
                for one in sequences
            )
        )
        return sequences

    async def hear(self, enough: Callable[[], object], patience: float = PATIENCE_S) -> None:
        """Read until `enough` is true or the link has ended. Raises TimeoutError."""
        async with asyncio.timeout(patience):
            while not enough() and not self.ended:
                await self._read()

    async def hear_for(self, seconds: float) -> int:
        """Read that long; how many octets came."""
        before = self._heard()
        with contextlib.suppress(TimeoutError):
            await self.hear(lambda: False, seconds)
        return self._heard() - before

    async def hear_answers(self, sequences: list[int]) -> list[Pdu]:
        await self.hear(lambda: all(self.answer(one) for one in sequences))
        return [answer for answer in map(self.answer, sequences) if answer]

    async def enquire(self) -> None:
        sequence = self.ask(ENQUIRE_LINK)
        await self.hear(lambda: self.answer(sequence))
        assert self.answer(sequence) == Pdu(ENQUIRE_LINK | RESPONSE, 0, sequence, b"")

    def answer(self, sequence: int) -> Pdu | None:
        """The first response to what was sent with this sequence number."""
        return next((one for one in self.pdus if one.command & RESPONSE and one.sequence == sequence), None)

    @property
    def responses(self) -> list[Pdu]:
        return [one for one in self.pdus if one.command == SUBMIT_SM | RESPONSE]

    @property
    def delivered(self) -> list[Pdu]:
        return [one for one in self.pdus if one.command == DELIVER_SM]

    @property
    def receipt_ids(self) -> list[str]:
        return [receipt_field(one, "id") for one in self.delivered]

    def _heard(self) -> int:
        return sum(16 + len(one.body) for one in self.pdus) + len(self.rest)

    async def _read(self) -> None:
        try:
            octets = await self._reader.read(1 << 18)
        except ConnectionError:
            octets = b""
        if not octets:
            self.ended = True
        self.rest += octets
        while len(self.rest) >= 16:
            length, command, status, sequence = struct.unpack_from(">IIII", self.rest)
            if not 16 <= length <= len(self.rest):
                break
            self.pdus.append(Pdu(command, status, sequence, self.rest[16:length]))
            self.times.append(time.monotonic())
            self.rest = self.rest[length:]
            if command == DELIVER_SM and self.acknowledges:
                self.send(pdu(DELIVER_SM | RESPONSE, sequence, b"\0"))


def number(sequence: int) -> str:
    return f"336{sequence:08d}"


def source(deliver: Pdu) -> str:
    """The source address of a deliver_sm."""
    at = deliver.body.index(0) + 3
    return deliver.body[at : deliver.body.index(0, at)].decode()
