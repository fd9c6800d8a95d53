"""Our codec against smpplib's, an independent reading of the specification.

Where smpplib deviates, the tests below keep to what both can say:

- it shortens values that are too long, in silence; we refuse them (4.1.1, 4.4.1: the sizes are maxima);
- it always binds as interface_version 0x34, and so do these tests (5.2.4);
- it gives source_addr_subunit of submit_sm 2 octets where 5.3.2.2 says 1: left out here;
- it takes message_payload to be 260 octets at most where 5.3.2.32 says 64K; we allow 65,535;
- it cannot write alert_on_message_delivery (5.3.2.41: no value), and cannot parse it: left out here;
- it refuses unknown TLVs where 3.3 says to ignore them; we keep them;
- it writes TLVs in its own fixed order; 3.2.4 asks for none, so ours are given in its order;
- its C-octet strings come back as bytes, ours as str, and a short_message of no octets (4.4.1) as None.
"""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from shared.smpp import pdu as p
from shared.smpp.constants import COMMAND_NAMES
from smpplib import command, consts, smpp
from smpplib.ptypes import ostr
from unit_smpp_strategies import bind_resps, binds, c_octets, command_status, sequence_number, short_messages

MANDATORY = (
    "service_type",
    "source_addr_ton",
    "source_addr_npi",
    "source_addr",
    "dest_addr_ton",
    "dest_addr_npi",
    "destination_addr",
    "esm_class",
    "protocol_id",
    "priority_flag",
    "schedule_delivery_time",
    "validity_period",
    "registered_delivery",
    "replace_if_present_flag",
    "data_coding",
    "sm_default_msg_id",
    "short_message",
)
BIND = ("system_id", "password", "system_type", "interface_version", "addr_ton", "addr_npi", "address_range")
LEFT_OUT = {"source_addr_subunit", "alert_on_message_delivery"}


class Sequence:
    """smpplib asks a client for a number even when it parses."""

    sequence = 0

    def next_sequence(self) -> int:
        return 0


def theirs(pdu: p.Pdu) -> Any:
    """smpplib's reading of what we write."""
    return smpp.parse_pdu(p.encode(pdu), client=Sequence())


def built_by_them(kind: type[p.Pdu], number: int, status: int = 0, **fields: Any) -> bytes:
    pdu = smpp.make_pdu(COMMAND_NAMES[kind.command_id], client=Sequence(), **fields)
    pdu.sequence, pdu.status = number, status
    octets: bytes = pdu.generate()
    return octets


def same(ours: str | bytes | int, value: Any) -> bool:
    return (ours.encode("latin-1") if isinstance(ours, str) else ours) == (b"" if value is None else value)


def optional_fields(kind: type) -> st.SearchStrategy[dict[str, Any]]:
    """TLVs as smpplib's attributes, each of a type and size that both take."""
    values: dict[str, st.SearchStrategy[Any]] = {}
    for name in kind.params_order:
        if name not in consts.OPTIONAL_PARAMS or name in LEFT_OUT:
            continue
        param = kind.params[name]
        if param.type is int:
            values[name] = st.integers(0, 256**param.size - 1)
        elif param.type is ostr:
            values[name] = st.binary(min_size=1, max_size=getattr(param, "size", getattr(param, "max", 8)))
        else:
            values[name] = st.text("0123456789abcdef", min_size=1, max_size=22)
    return st.fixed_dictionaries({}, optional=values)


def as_tlvs(kind: type, fields: dict[str, Any]) -> dict[int, bytes]:
    octets: dict[int, bytes] = {}
    for name in kind.params_order:
        if name in fields:
            value = fields[name]
            if isinstance(value, int):
                value = value.to_bytes(kind.params[name].size, "big")
            elif isinstance(value, str):
                value = value.encode() + b"\0"
            octets[consts.OPTIONAL_PARAMS[name]] = value
    return octets


no_tlvs = st.just({})


@given(st.data(), st.sampled_from([(p.SubmitSm, command.SubmitSM), (p.DeliverSm, command.DeliverSM)]))
def test_short_messages_are_the_same_octets_and_read_alike_both_ways(data: st.DataObject, kinds: tuple) -> None:
    ours, their_class = kinds
    pdu = data.draw(short_messages(ours, no_tlvs))
    options = data.draw(optional_fields(their_class))
    if "message_payload" in options:
        pdu.short_message = b""
    pdu.tlvs = as_tlvs(their_class, options)
    octets = p.encode(pdu)
    fields = {name: getattr(pdu, name) for name in MANDATORY}
    assert built_by_them(ours, pdu.sequence_number, **fields, **options) == octets
    assert p.decode(octets, strict=True) == pdu
    parsed = theirs(pdu)
    assert parsed.sequence == pdu.sequence_number
    for name in MANDATORY:
        assert same(fields[name], getattr(parsed, name)), name
    for name, value in options.items():
        assert same(value, getattr(parsed, name)), name


@given(st.data(), st.sampled_from([p.BindTransmitter, p.BindReceiver, p.BindTransceiver]))
def test_binds_are_the_same_octets_and_read_alike_both_ways(data: st.DataObject, kind: type[p.Bind]) -> None:
    pdu = data.draw(binds(kind))
    pdu.interface_version = 0x34
    fields = {name: getattr(pdu, name) for name in BIND}
    octets = built_by_them(kind, pdu.sequence_number, **fields)
    assert octets == p.encode(pdu)
    assert p.decode(octets, strict=True) == pdu
    for name in BIND:
        assert same(fields[name], getattr(theirs(pdu), name)), name


@given(st.data(), st.sampled_from([p.BindTransmitterResp, p.BindReceiverResp, p.BindTransceiverResp]))
def test_bind_responses_read_alike_both_ways(data: st.DataObject, kind: type[p.BindResp]) -> None:
    pdu = data.draw(bind_resps(kind).filter(lambda resp: resp.system_id is not None))
    version = data.draw(st.integers(0, 255))
    pdu.tlvs = {consts.OPTIONAL_PARAMS["sc_interface_version"]: bytes([version])}
    octets = built_by_them(
        kind, pdu.sequence_number, pdu.command_status, system_id=pdu.system_id, sc_interface_version=version
    )
    assert octets == p.encode(pdu)
    assert p.decode(octets, strict=True) == pdu
    parsed = theirs(pdu)
    assert same(pdu.system_id or "", parsed.system_id)
    assert (parsed.status, parsed.sc_interface_version) == (pdu.command_status, version)


@given(sequence_number, command_status, c_octets(64))
def test_submit_sm_responses_are_the_same_octets_and_read_alike_both_ways(number: int, status: int, ident: str) -> None:
    pdu = p.SubmitSmResp(sequence_number=number, command_status=status, message_id=ident)
    octets = built_by_them(p.SubmitSmResp, number, status, message_id=ident)
    assert octets == p.encode(pdu)
    assert p.decode(octets, strict=True) == pdu
    assert same(ident, theirs(pdu).message_id)


@given(
    st.sampled_from([p.DeliverSmResp, p.EnquireLinkResp, p.UnbindResp, p.GenericNack]), sequence_number, command_status
)
def test_short_responses_are_the_same_octets(kind: type[p.Pdu], number: int, status: int) -> None:
    pdu = kind(sequence_number=number, command_status=status)
    assert built_by_them(kind, number, status) == p.encode(pdu)
    parsed = theirs(pdu)
    assert (parsed.sequence, parsed.status) == (number, status)


@given(st.sampled_from([p.EnquireLink, p.Unbind]), sequence_number)
def test_short_requests_are_the_same_octets(kind: type[p.Pdu], number: int) -> None:
    assert built_by_them(kind, number) == p.encode(kind(sequence_number=number))


def test_a_refused_submit_without_a_body_reads_alike() -> None:
    pdu = p.SubmitSmResp(sequence_number=3, command_status=0x58)
    parsed = theirs(pdu)
    assert (parsed.status, parsed.message_id) == (0x58, None)
