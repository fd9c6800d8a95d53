"""Numbers of SMPP 3.4 (issue 1.2), with the few of 5.0 that 3.4 peers send in practice.

Source: SMPP 3.4 sections 5.1.2.1 (command_id), 5.1.3 (command_status), 5.2.12 (esm_class), 5.2.17
(registered_delivery), 5.3.2 (TLV tags); SMPP 5.0 sections 4.7.6 and 4.8.
"""

from typing import Final

HEADER_SIZE: Final = 16
"""Octets of command_length, command_id, command_status and sequence_number (3.2)."""

MAX_SHORT_MESSAGE: Final = 254
"""Octets of short_message (4.4.1); anything longer needs message_payload."""

MAX_SEQUENCE_NUMBER: Final = 0x7FFFFFFF
"""Last sequence number before it wraps to 1 (3.2)."""

INTERFACE_VERSION_33: Final = 0x33
INTERFACE_VERSION_34: Final = 0x34
INTERFACE_VERSION_50: Final = 0x50

# command_id, 5.1.2.1. A response is its request with the top bit set.
RESPONSE_BIT: Final = 0x80000000
BIND_RECEIVER: Final = 0x00000001
BIND_TRANSMITTER: Final = 0x00000002
QUERY_SM: Final = 0x00000003
SUBMIT_SM: Final = 0x00000004
DELIVER_SM: Final = 0x00000005
UNBIND: Final = 0x00000006
REPLACE_SM: Final = 0x00000007
CANCEL_SM: Final = 0x00000008
BIND_TRANSCEIVER: Final = 0x00000009
OUTBIND: Final = 0x0000000B
ENQUIRE_LINK: Final = 0x00000015
SUBMIT_MULTI: Final = 0x00000021
ALERT_NOTIFICATION: Final = 0x00000102
DATA_SM: Final = 0x00000103
GENERIC_NACK: Final = 0x80000000
BIND_RECEIVER_RESP: Final = 0x80000001
BIND_TRANSMITTER_RESP: Final = 0x80000002
QUERY_SM_RESP: Final = 0x80000003
SUBMIT_SM_RESP: Final = 0x80000004
DELIVER_SM_RESP: Final = 0x80000005
UNBIND_RESP: Final = 0x80000006
REPLACE_SM_RESP: Final = 0x80000007
CANCEL_SM_RESP: Final = 0x80000008
BIND_TRANSCEIVER_RESP: Final = 0x80000009
ENQUIRE_LINK_RESP: Final = 0x80000015
SUBMIT_MULTI_RESP: Final = 0x80000021
DATA_SM_RESP: Final = 0x80000103

COMMAND_NAMES: Final[dict[int, str]] = {
    BIND_RECEIVER: "bind_receiver",
    BIND_TRANSMITTER: "bind_transmitter",
    QUERY_SM: "query_sm",
    SUBMIT_SM: "submit_sm",
    DELIVER_SM: "deliver_sm",
    UNBIND: "unbind",
    REPLACE_SM: "replace_sm",
    CANCEL_SM: "cancel_sm",
    BIND_TRANSCEIVER: "bind_transceiver",
    OUTBIND: "outbind",
    ENQUIRE_LINK: "enquire_link",
    SUBMIT_MULTI: "submit_multi",
    ALERT_NOTIFICATION: "alert_notification",
    DATA_SM: "data_sm",
    GENERIC_NACK: "generic_nack",
    BIND_RECEIVER_RESP: "bind_receiver_resp",
    BIND_TRANSMITTER_RESP: "bind_transmitter_resp",
    QUERY_SM_RESP: "query_sm_resp",
    SUBMIT_SM_RESP: "submit_sm_resp",
    DELIVER_SM_RESP: "deliver_sm_resp",
    UNBIND_RESP: "unbind_resp",
    REPLACE_SM_RESP: "replace_sm_resp",
    CANCEL_SM_RESP: "cancel_sm_resp",
    BIND_TRANSCEIVER_RESP: "bind_transceiver_resp",
    ENQUIRE_LINK_RESP: "enquire_link_resp",
    SUBMIT_MULTI_RESP: "submit_multi_resp",
    DATA_SM_RESP: "data_sm_resp",
}

# command_status, 5.1.3. The codes that the engine itself compares with or sends; the rest is in the table below.
ESME_ROK: Final = 0x00
ESME_RINVMSGLEN: Final = 0x01
ESME_RINVCMDLEN: Final = 0x02
ESME_RINVCMDID: Final = 0x03
ESME_RINVBNDSTS: Final = 0x04
ESME_RALYBND: Final = 0x05
ESME_RSYSERR: Final = 0x08
ESME_RINVSRCADR: Final = 0x0A
ESME_RINVDSTADR: Final = 0x0B
ESME_RINVMSGID: Final = 0x0C
ESME_RBINDFAIL: Final = 0x0D
ESME_RINVPASWD: Final = 0x0E
ESME_RINVSYSID: Final = 0x0F
ESME_RMSGQFUL: Final = 0x14
ESME_RINVSERTYP: Final = 0x15
ESME_RINVSYSTYP: Final = 0x53
ESME_RTHROTTLED: Final = 0x58
ESME_RINVSCHED: Final = 0x61
ESME_RINVEXPIRY: Final = 0x62
ESME_RINVOPTPARSTREAM: Final = 0xC0
ESME_RINVPARLEN: Final = 0xC2

STATUS_NAMES: Final[dict[int, str]] = {
    0x00: "ESME_ROK",
    0x01: "ESME_RINVMSGLEN",
    0x02: "ESME_RINVCMDLEN",
    0x03: "ESME_RINVCMDID",
    0x04: "ESME_RINVBNDSTS",
    0x05: "ESME_RALYBND",
    0x06: "ESME_RINVPRTFLG",
    0x07: "ESME_RINVREGDLVFLG",
    0x08: "ESME_RSYSERR",
    0x0A: "ESME_RINVSRCADR",
    0x0B: "ESME_RINVDSTADR",
    0x0C: "ESME_RINVMSGID",
    0x0D: "ESME_RBINDFAIL",
    0x0E: "ESME_RINVPASWD",
    0x0F: "ESME_RINVSYSID",
    0x11: "ESME_RCANCELFAIL",
    0x13: "ESME_RREPLACEFAIL",
    0x14: "ESME_RMSGQFUL",
    0x15: "ESME_RINVSERTYP",
    0x33: "ESME_RINVNUMDESTS",
    0x34: "ESME_RINVDLNAME",
    0x40: "ESME_RINVDESTFLAG",
    0x42: "ESME_RINVSUBREP",
    0x43: "ESME_RINVESMCLASS",
    0x44: "ESME_RCNTSUBDL",
    0x45: "ESME_RSUBMITFAIL",
    0x48: "ESME_RINVSRCTON",
    0x49: "ESME_RINVSRCNPI",
    0x50: "ESME_RINVDSTTON",
    0x51: "ESME_RINVDSTNPI",
    0x53: "ESME_RINVSYSTYP",
    0x54: "ESME_RINVREPFLAG",
    0x55: "ESME_RINVNUMMSGS",
    0x58: "ESME_RTHROTTLED",
    0x61: "ESME_RINVSCHED",
    0x62: "ESME_RINVEXPIRY",
    0x63: "ESME_RINVDFTMSGID",
    0x64: "ESME_RX_T_APPN",
    0x65: "ESME_RX_P_APPN",
    0x66: "ESME_RX_R_APPN",
    0x67: "ESME_RQUERYFAIL",
    0xC0: "ESME_RINVOPTPARSTREAM",
    0xC1: "ESME_ROPTPARNOTALLWD",
    0xC2: "ESME_RINVPARLEN",
    0xC3: "ESME_RMISSINGOPTPARAM",
    0xC4: "ESME_RINVOPTPARAMVAL",
    0xFE: "ESME_RDELIVERYFAILURE",
    0xFF: "ESME_RUNKNOWNERR",
    # SMPP 5.0, 4.7.6, answered by peers that were bound as 3.4 too
    0x100: "ESME_RSERTYPUNAUTH",
    0x101: "ESME_RPROHIBITED",
    0x102: "ESME_RSERTYPUNAVAIL",
    0x103: "ESME_RSERTYPDENIED",
    0x104: "ESME_RINVDCS",
    0x105: "ESME_RINVSRCADDRSUBUNIT",
    0x106: "ESME_RINVDSTADDRSUBUNIT",
}


def status_name(command_status: int) -> str:
    """The specification's name, or the code in hexadecimal (0x400-0x4FF are the carriers' own)."""
    return STATUS_NAMES.get(command_status) or f"0x{command_status:08X}"


# TLV tags, 5.3.2, and congestion_state of SMPP 5.0, 4.8.4.18
TLV_DEST_ADDR_SUBUNIT: Final = 0x0005
TLV_DEST_NETWORK_TYPE: Final = 0x0006
TLV_DEST_BEARER_TYPE: Final = 0x0007
TLV_DEST_TELEMATICS_ID: Final = 0x0008
TLV_SOURCE_ADDR_SUBUNIT: Final = 0x000D
TLV_SOURCE_NETWORK_TYPE: Final = 0x000E
TLV_SOURCE_BEARER_TYPE: Final = 0x000F
TLV_SOURCE_TELEMATICS_ID: Final = 0x0010
TLV_QOS_TIME_TO_LIVE: Final = 0x0017
TLV_PAYLOAD_TYPE: Final = 0x0019
TLV_ADDITIONAL_STATUS_INFO_TEXT: Final = 0x001D
TLV_RECEIPTED_MESSAGE_ID: Final = 0x001E
TLV_MS_MSG_WAIT_FACILITIES: Final = 0x0030
TLV_PRIVACY_INDICATOR: Final = 0x0201
TLV_SOURCE_SUBADDRESS: Final = 0x0202
TLV_DEST_SUBADDRESS: Final = 0x0203
TLV_USER_MESSAGE_REFERENCE: Final = 0x0204
TLV_USER_RESPONSE_CODE: Final = 0x0205
TLV_SOURCE_PORT: Final = 0x020A
TLV_DESTINATION_PORT: Final = 0x020B
TLV_SAR_MSG_REF_NUM: Final = 0x020C
TLV_LANGUAGE_INDICATOR: Final = 0x020D
TLV_SAR_TOTAL_SEGMENTS: Final = 0x020E
TLV_SAR_SEGMENT_SEQNUM: Final = 0x020F
TLV_SC_INTERFACE_VERSION: Final = 0x0210
TLV_CALLBACK_NUM_PRES_IND: Final = 0x0302
TLV_CALLBACK_NUM_ATAG: Final = 0x0303
TLV_NUMBER_OF_MESSAGES: Final = 0x0304
TLV_CALLBACK_NUM: Final = 0x0381
TLV_DPF_RESULT: Final = 0x0420
TLV_SET_DPF: Final = 0x0421
TLV_MS_AVAILABILITY_STATUS: Final = 0x0422
TLV_NETWORK_ERROR_CODE: Final = 0x0423
TLV_MESSAGE_PAYLOAD: Final = 0x0424
TLV_DELIVERY_FAILURE_REASON: Final = 0x0425
TLV_MORE_MESSAGES_TO_SEND: Final = 0x0426
TLV_MESSAGE_STATE: Final = 0x0427
TLV_CONGESTION_STATE: Final = 0x0428
TLV_USSD_SERVICE_OP: Final = 0x0501
TLV_DISPLAY_TIME: Final = 0x1201
TLV_SMS_SIGNAL: Final = 0x1203
TLV_MS_VALIDITY: Final = 0x1204
TLV_ALERT_ON_MESSAGE_DELIVERY: Final = 0x130C
TLV_ITS_REPLY_TYPE: Final = 0x1380
TLV_ITS_SESSION_INFO: Final = 0x1383

TLV_TAGS: Final[dict[str, int]] = {
    name.removeprefix("TLV_").lower(): value for name, value in dict(globals()).items() if name.startswith("TLV_")
}
"""Tag by the specification's parameter name."""

# esm_class, 5.2.12: bits 1-0 messaging mode, 5-2 message type, 7-6 GSM features
ESM_MODE_MASK: Final = 0x03
ESM_TYPE_MASK: Final = 0x3C
ESM_TYPE_DEFAULT: Final = 0x00
ESM_TYPE_RECEIPT: Final = 0x04
ESM_TYPE_DELIVERY_ACK: Final = 0x08
ESM_TYPE_USER_ACK: Final = 0x10
ESM_TYPE_CONVERSATION_ABORT: Final = 0x18
ESM_TYPE_INTERMEDIATE: Final = 0x20
ESM_UDHI: Final = 0x40
ESM_REPLY_PATH: Final = 0x80

# registered_delivery, 5.2.17
REGISTERED_DELIVERY_NONE: Final = 0x00
REGISTERED_DELIVERY_FINAL: Final = 0x01
REGISTERED_DELIVERY_FAILURE: Final = 0x02
REGISTERED_DELIVERY_INTERMEDIATE: Final = 0x10

# Type of number, 5.2.5
TON_UNKNOWN: Final = 0
TON_INTERNATIONAL: Final = 1
TON_NATIONAL: Final = 2
TON_NETWORK_SPECIFIC: Final = 3
TON_SUBSCRIBER: Final = 4
TON_ALPHANUMERIC: Final = 5
TON_ABBREVIATED: Final = 6

# Numbering plan indicator, 5.2.6
NPI_UNKNOWN: Final = 0
NPI_ISDN: Final = 1
