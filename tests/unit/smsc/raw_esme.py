"""An ESME made of bytes only, so that a test decides every octet on the wire."""

import asyncio
import struct
from typing import Any, NamedTuple, Self

BIND_TRANSCEIVER, SUBMIT_SM, DELIVER_SM, UNBIND, ENQUIRE_LINK = 9, 4, 5, 6, 0x15
RESPONSE = 0x80000000


class Pdu(NamedTuple):
    command: int
    status: int
    sequence: int
    body: bytes


def pdu(command: int, sequence: int, body: bytes = b"", status: int = 0) -> bytes:
    return struct.pack(">IIII", 16 + len(body), command, status, sequence) + body


def submit_body(
    to: str = "33600000001",
    text: bytes = b"hello",
    sender: str = "Relais",
    registered: int = 1,
    esm_class: int = 0,
    data_coding: int = 0,
    parameters: bytes = b"",
) -> bytes:
    return (
        b"\0\x05\0%b\0\x01\x01%b\0" % (sender.encode(), to.encode())
        + bytes((esm_class, 0, 0, 0, 0, registered, 0, data_coding, 0, len(text)))
        + text
        + parameters
    )


class RawEsme:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int, **tls: Any) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port, **tls))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    def send(self, octets: bytes) -> None:
        self._writer.write(octets)

    async def read(self, timeout: float = 3.0) -> Pdu:
        """The next PDU. Raises IncompleteReadError when the link ended, TimeoutError when nothing comes."""
        async with asyncio.timeout(timeout):
            length, command, status, sequence = struct.unpack(">IIII", await self._reader.readexactly(16))
            return Pdu(command, status, sequence, await self._reader.readexactly(length - 16))

    async def ask(self, command: int, sequence: int, body: bytes = b"") -> Pdu:
        self.send(pdu(command, sequence, body))
        return await self.read()

    async def bind(self, command: int = BIND_TRANSCEIVER, system_id: str = "relais", password: str = "secret") -> Pdu:
        return await self.ask(command, 1, b"%b\0%b\0\0\x34\0\0\0" % (system_id.encode(), password.encode()))

    def acknowledge(self, deliver: Pdu, status: int = 0) -> None:
        self.send(pdu(DELIVER_SM | RESPONSE, deliver.sequence, b"\0", status))


def message_id(response: Pdu) -> str:
    return response.body.rstrip(b"\0").decode()


def short_message(deliver: Pdu) -> bytes:
    """The octets of a deliver_sm's short_message."""
    at = deliver.body.index(0) + 3
    for _ in range(2):
        at = deliver.body.index(0, at) + 3
    at -= 2  # two addresses read, the second step over TON and NPI was one too many
    octets_at = at + 10
    return deliver.body[octets_at : octets_at + deliver.body[octets_at - 1]]


def receipt_field(deliver: Pdu, label: str) -> str:
    text = short_message(deliver).decode()
    return text.split(f"{label}:", 1)[1].split(" ", 1)[0]
