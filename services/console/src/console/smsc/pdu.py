"""SMPP 3.4 on the wire, as far as a simulated SMSC needs it: what it reads, what it answers.

Section numbers are those of "Short Message Peer to Peer Protocol Specification v3.4", issue 1.2.
Nothing here is shared with the engine under test: a fault in one codec must not hide in the other.
"""

from struct import Struct, unpack_from
from typing import NamedTuple

HEADER = Struct(">IIII")  # command_length, command_id, command_status, sequence_number (section 3.2)
HEADER_OCTETS = HEADER.size
MAX_PDU_OCTETS = 70_000  # message_payload alone may hold 64 K octets; anything longer is a broken length
MAX_SEQUENCE = 0x7FFFFFFF

RESPONSE = 0x80000000
GENERIC_NACK = 0x80000000
BIND_RECEIVER = 0x00000001
BIND_TRANSMITTER = 0x00000002
SUBMIT_SM = 0x00000004
SUBMIT_SM_RESP = SUBMIT_SM | RESPONSE
DELIVER_SM = 0x00000005
DELIVER_SM_RESP = DELIVER_SM | RESPONSE
UNBIND = 0x00000006
UNBIND_RESP = UNBIND | RESPONSE
BIND_TRANSCEIVER = 0x00000009
ENQUIRE_LINK = 0x00000015
ENQUIRE_LINK_RESP = ENQUIRE_LINK | RESPONSE
BINDS = frozenset((BIND_RECEIVER, BIND_TRANSMITTER, BIND_TRANSCEIVER))

# command_status (section 5.1.3)
ESME_ROK = 0x00
ESME_RINVMSGLEN = 0x01
ESME_RINVCMDLEN = 0x02
ESME_RINVCMDID = 0x03
ESME_RINVBNDSTS = 0x04
ESME_RALYBND = 0x05
ESME_RSYSERR = 0x08
ESME_RINVSRCADR = 0x0A
ESME_RINVDSTADR = 0x0B
ESME_RBINDFAIL = 0x0D
ESME_RINVPASWD = 0x0E
ESME_RINVSYSID = 0x0F
ESME_RMSGQFUL = 0x14
ESME_RTHROTTLED = 0x58
ESME_RX_T_APPN = 0x64
ESME_RINVOPTPARSTREAM = 0xC0

# Optional parameters (section 5.3.2)
SC_INTERFACE_VERSION = 0x0210
RECEIPTED_MESSAGE_ID = 0x001E
MESSAGE_STATE = 0x0427
NETWORK_ERROR_CODE = 0x0423
MESSAGE_PAYLOAD = 0x0424
SAR_MSG_REF_NUM = 0x020C
SAR_TOTAL_SEGMENTS = 0x020E
SAR_SEGMENT_SEQNUM = 0x020F

ESM_RECEIPT = 0x04  # message type "SMSC delivery receipt" (section 5.2.12)
ESM_UDHI = 0x40

_LONGEST_ADDRESS = 20
_LONGEST_SHORT_MESSAGE = 254


class MalformedPduError(Exception):
    """A PDU that cannot be read. `status` is what the answer to it must carry."""

    def __init__(self, status: int) -> None:
        super().__init__(f"malformed PDU, command_status 0x{status:02X}")
        self.status = status


class Bind(NamedTuple):
    """The credentials of a bind request (section 4.1)."""

    system_id: bytes
    password: bytes


class Submit(NamedTuple):
    """What the simulator reads of a submit_sm (section 4.4).

    `source` and `destination` are whole address fields, TON, NPI, digits and the closing NUL, so that
    they go back into a receipt unchanged. `octets` is short_message, or message_payload if that is used.
    """

    source: bytes
    destination: bytes
    esm_class: int
    registered_delivery: int
    data_coding: int
    octets: bytes
    sar: tuple[int, int, int] | None
    """Reference, number of parts and this part's number, from the SAR parameters."""


def parse_bind(data: bytes, start: int, end: int) -> Bind:
    """Read the bind in data[start:end], header included. Raises `MalformedPduError`."""
    body = start + HEADER_OCTETS
    try:
        system_id_end = data.index(0, body, end)
        password_end = data.index(0, system_id_end + 1, end)
        data.index(0, password_end + 1, end)
    except ValueError:
        raise MalformedPduError(ESME_RINVCMDLEN) from None
    return Bind(data[body:system_id_end], data[system_id_end + 1 : password_end])


def parse_submit(data: bytes, start: int, end: int) -> Submit:
    """Read the submit_sm in data[start:end], header included. Raises `MalformedPduError`."""
    try:
        source = data.index(0, start + HEADER_OCTETS, end) + 1  # after service_type
        source_end = data.index(0, source + 2, end) + 1
        destination_end = data.index(0, source_end + 2, end) + 1
        schedule_end = data.index(0, destination_end + 3, end)
        at = data.index(0, schedule_end + 1, end) + 1  # after validity_period
    except ValueError:
        raise MalformedPduError(ESME_RINVCMDLEN) from None
    octets_at = at + 5
    if octets_at > end:
        raise MalformedPduError(ESME_RINVCMDLEN)
    octets_end = octets_at + data[at + 4]
    if octets_end > end or octets_end - octets_at > _LONGEST_SHORT_MESSAGE:
        raise MalformedPduError(ESME_RINVMSGLEN)
    if source_end - source > _LONGEST_ADDRESS + 3:
        raise MalformedPduError(ESME_RINVSRCADR)
    if not 3 < destination_end - source_end <= _LONGEST_ADDRESS + 3:
        raise MalformedPduError(ESME_RINVDSTADR)
    octets = data[octets_at:octets_end]
    sar = None
    if octets_end != end:
        parameters = parse_parameters(data, octets_end, end)
        octets = parameters.get(MESSAGE_PAYLOAD, octets)
        sar = _sar(parameters)
    return Submit(
        data[source:source_end],
        data[source_end:destination_end],
        data[destination_end],
        data[at],
        data[at + 2],
        octets,
        sar,
    )


def parse_parameters(data: bytes, start: int, end: int) -> dict[int, bytes]:
    """Read optional parameters, tag to value. Raises `MalformedPduError` when one of them runs past `end`."""
    found: dict[int, bytes] = {}
    while start < end:
        if start + 4 > end:
            raise MalformedPduError(ESME_RINVOPTPARSTREAM)
        tag, length = unpack_from(">HH", data, start)
        value_end = start + 4 + length
        if value_end > end:
            raise MalformedPduError(ESME_RINVOPTPARSTREAM)
        found[tag] = data[start + 4 : value_end]
        start = value_end
    return found


def _sar(parameters: dict[int, bytes]) -> tuple[int, int, int] | None:
    if SAR_MSG_REF_NUM not in parameters:
        return None
    reference, total, part = (
        int.from_bytes(parameters.get(tag, b""), "big")
        for tag in (SAR_MSG_REF_NUM, SAR_TOTAL_SEGMENTS, SAR_SEGMENT_SEQNUM)
    )
    return reference, total, part


def empty_pdu(command: int, status: int, sequence: int) -> bytes:
    """A PDU of only a header: unbind, enquire_link, their responses, generic_nack, and refusals."""
    return HEADER.pack(HEADER_OCTETS, command, status, sequence)


def bind_resp(command: int, sequence: int, smsc_id: bytes) -> bytes:
    """The accepting answer to the bind `command`, telling that this SMSC speaks version 3.4."""
    body = smsc_id + b"\0" + parameter(SC_INTERFACE_VERSION, b"\x34")
    return HEADER.pack(HEADER_OCTETS + len(body), command | RESPONSE, ESME_ROK, sequence) + body


def submit_sm_resp(sequence: int, message_id: bytes) -> bytes:
    """The accepting answer to a submit_sm."""
    return HEADER.pack(HEADER_OCTETS + 1 + len(message_id), SUBMIT_SM_RESP, ESME_ROK, sequence) + message_id + b"\0"


def deliver_sm_body(
    source: bytes, destination: bytes, esm_class: int, data_coding: int, octets: bytes, parameters: bytes = b""
) -> bytes:
    """A deliver_sm without its header (section 4.6); addresses are whole fields, as in `Submit`.

    The header is left out because its sequence_number is known only when a bind takes the message.
    """
    return b"".join(
        (
            b"\0",  # service_type
            source,
            destination,
            bytes((esm_class, 0, 0, 0, 0, 0, 0, data_coding, 0, len(octets))),
            octets,
            parameters,
        )
    )


def parameter(tag: int, value: bytes) -> bytes:
    """One optional parameter on the wire."""
    return tag.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


def address_field(address: str) -> bytes:
    """The address field of an inbound message: TON and NPI follow from how the address looks (section 5.2.5)."""
    if not address.lstrip("+").isdigit():
        return b"\x05\x00" + address.encode("ascii") + b"\0"
    digits = address.lstrip("+").encode("ascii")
    return (b"\x03\x00" if len(digits) <= 6 else b"\x01\x01") + digits + b"\0"
