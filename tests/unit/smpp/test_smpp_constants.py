"""Our numbers against smpplib's, which somebody else typed from the same specification."""

from shared.smpp import constants as c
from smpplib import command_codes, consts


def test_command_ids_are_smpplibs() -> None:
    assert {name: code for code, name in c.COMMAND_NAMES.items()} == command_codes.commands


def test_command_status_names_of_smpp_34_are_smpplibs() -> None:
    theirs = {
        value: name.removeprefix("SMPP_") for name, value in vars(consts).items() if name.startswith("SMPP_ESME_")
    }
    assert {code: name for code, name in c.STATUS_NAMES.items() if code < 0x100} == theirs


def test_tlv_tags_are_smpplibs_and_congestion_state() -> None:
    assert c.TLV_TAGS == {**consts.OPTIONAL_PARAMS, "congestion_state": 0x0428}


def test_every_named_status_constant_is_in_the_table_under_its_name() -> None:
    named = {name: value for name, value in vars(c).items() if name.startswith("ESME_")}
    assert named
    assert {name: c.STATUS_NAMES[value] for name, value in named.items()} == {name: name for name in named}


def test_esm_class_bits_are_smpplibs() -> None:
    assert c.ESM_UDHI == consts.SMPP_GSMFEAT_UDHI
    assert c.ESM_REPLY_PATH == consts.SMPP_GSMFEAT_REPLYPATH
    assert c.ESM_TYPE_DELIVERY_ACK == consts.SMPP_MSGTYPE_DELIVERYACK
    assert c.ESM_TYPE_USER_ACK == consts.SMPP_MSGTYPE_USERACK


def test_a_status_without_a_name_is_shown_in_hexadecimal() -> None:
    assert c.status_name(0x58) == "ESME_RTHROTTLED"
    assert c.status_name(0x40B) == "0x0000040B"
