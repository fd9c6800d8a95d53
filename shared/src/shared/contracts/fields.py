"""The kinds of field that events are made of: type, unit, Avro logical type and class of personal data.

A field's `Meta.description` becomes its documentation in Avro, AsyncAPI and the data contracts; `Meta.extra` holds
what Avro needs beyond the Python type (`avro`) and the class of personal data (`pii`).
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

MICROS = 1_000_000  # amounts of money travel as integers of one millionth of the currency's unit, in process


def avro(logical: dict[str, Any]) -> dict[str, Any]:
    return {"avro": logical}


Millis = Annotated[
    int,
    Meta(
        description="UTC, milliseconds since 1970-01-01",
        extra=avro({"type": "long", "logicalType": "timestamp-millis"}),
    ),
]
Money = Annotated[
    int,
    Meta(
        description="decimal with six places; in process an integer of millionths of the currency's unit",
        extra=avro({"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 6}),
    ),
]
SealedNumber = Annotated[
    bytes,
    Meta(
        description="the handset's number in E.164, sealed with the tenant's number key of the day",
        extra={"pii": "sealed-number"},
    ),
]
SealedText = Annotated[
    bytes,
    Meta(description="text or variables, sealed with the tenant's text key of the day", extra={"pii": "sealed-text"}),
]
SealedPdu = Annotated[
    bytes, Meta(description="the raw PDU, sealed with the carrier side's text key", extra={"pii": "sealed-text"})
]
MessageId = Annotated[
    str, Meta(description="UUID of the message; its first 32 bits are its second of birth, its last 22 a keyed check")
]
ContactId = Annotated[
    str, Meta(description="keyed hash of tenant and number, 32 hex digits", extra={"pii": "pseudonym"})
]
ContactRef = Annotated[str, Meta(description="the tenant's own name for the person", extra={"pii": "pseudonym"})]
NumberHash = Annotated[
    str, Meta(description="keyed hash of the number alone, 32 hex digits", extra={"pii": "pseudonym"})
]
Country = Annotated[str, Meta(description="ISO 3166-1 alpha-2; ZZ when the number tells none")]
Currency = Annotated[str, Meta(description="ISO 4217")]
Prefix = Annotated[
    str, Meta(description="leading digits of the number without +: at most seven, and never the last four")
]
Int = Annotated[int, Meta(extra=avro({"type": "int"}))]
Purpose = Literal["marketing", "transactional", "otp"]

PURPOSES: tuple[Purpose, ...] = ("marketing", "transactional", "otp")
SYSTEM_TENANT = "system"  # the tenant of events that no customer owns: carriers' health, receipts not yet matched
