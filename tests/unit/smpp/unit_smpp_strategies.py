"""Hypothesis strategies for PDUs that the specification allows."""

from hypothesis import strategies as st
from shared.smpp import pdu as p
from shared.smpp.constants import TLV_MESSAGE_PAYLOAD

octet = st.integers(0, 255)
sequence_number = st.integers(0, 0xFFFFFFFF)
command_status = st.integers(0, 0xFFFFFFFF)
error_status = st.integers(1, 0xFFFFFFFF)
tlvs = st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=40), max_size=5)


def c_octets(longest: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=longest)


def binds(kind: type[p.Bind]) -> st.SearchStrategy[p.Bind]:
    return st.builds(
        kind,
        sequence_number=sequence_number,
        system_id=c_octets(15),
        password=c_octets(8),
        system_type=c_octets(12),
        interface_version=octet,
        addr_ton=octet,
        addr_npi=octet,
        address_range=c_octets(40),
    )


def bind_resps(kind: type[p.BindResp]) -> st.SearchStrategy[p.BindResp]:
    return st.one_of(
        st.builds(
            kind,
            sequence_number=sequence_number,
            command_status=command_status,
            system_id=c_octets(15),
            tlvs=tlvs,
        ),
        st.builds(kind, sequence_number=sequence_number, command_status=error_status),
    )


@st.composite
def short_messages(draw: st.DrawFn, kind: type[p.ShortMessage], tlvs: st.SearchStrategy = tlvs) -> p.ShortMessage:
    options = draw(tlvs)
    content = b"" if TLV_MESSAGE_PAYLOAD in options else draw(st.binary(max_size=254))
    return kind(
        sequence_number=draw(sequence_number),
        service_type=draw(c_octets(5)),
        source_addr_ton=draw(octet),
        source_addr_npi=draw(octet),
        source_addr=draw(c_octets(20)),
        dest_addr_ton=draw(octet),
        dest_addr_npi=draw(octet),
        destination_addr=draw(c_octets(20)),
        esm_class=draw(octet),
        protocol_id=draw(octet),
        priority_flag=draw(octet),
        schedule_delivery_time=draw(c_octets(16)),
        validity_period=draw(c_octets(16)),
        registered_delivery=draw(octet),
        replace_if_present_flag=draw(octet),
        data_coding=draw(octet),
        sm_default_msg_id=draw(octet),
        short_message=content,
        tlvs=options,
    )


submit_sm_resps = st.one_of(
    st.builds(
        p.SubmitSmResp,
        sequence_number=sequence_number,
        command_status=command_status,
        message_id=c_octets(64),
        tlvs=tlvs,
    ),
    st.builds(p.SubmitSmResp, sequence_number=sequence_number, command_status=error_status),
)


def requests(kind: type[p.Pdu]) -> st.SearchStrategy[p.Pdu]:
    return st.builds(kind, sequence_number=sequence_number)


def responses(kind: type[p.Pdu]) -> st.SearchStrategy[p.Pdu]:
    return st.builds(kind, sequence_number=sequence_number, command_status=command_status)


any_pdu = st.one_of(
    *(binds(kind) for kind in (p.BindTransmitter, p.BindReceiver, p.BindTransceiver)),
    *(bind_resps(kind) for kind in (p.BindTransmitterResp, p.BindReceiverResp, p.BindTransceiverResp)),
    short_messages(p.SubmitSm),
    short_messages(p.DeliverSm),
    submit_sm_resps,
    *(requests(kind) for kind in (p.EnquireLink, p.Unbind)),
    *(responses(kind) for kind in (p.DeliverSmResp, p.EnquireLinkResp, p.UnbindResp, p.GenericNack)),
)
