"""Analysts' data contracts, one a topic (lanes and carriers together), in the Open Data Contract Standard 3.

What is sealed is in the contract with its class, and not in the warehouse: its keys are gone after eight days.
"""

from typing import Any

from shared.contracts.avro import schema_of
from shared.contracts.topics import DAY_MS, TOPICS, Topic

VERSION = "v3.0.2"
_LOGICAL = {
    "string": "string",
    "int": "integer",
    "long": "integer",
    "double": "number",
    "boolean": "boolean",
    "bytes": "string",
}
_SPECIAL = {"timestamp-millis": ("date", "timestamp"), "decimal": ("number", "decimal(18,6)")}


def contracts() -> dict[str, dict[str, Any]]:
    """By the table's name, such as `sms_message_status`."""
    found: dict[str, list[Topic]] = {}
    for topic in TOPICS:
        if not topic.changelog:
            found.setdefault(topic.base, []).append(topic)
    return {table_of(base): _contract(topics) for base, topics in sorted(found.items())}


def table_of(base: str) -> str:
    return base.replace(".", "_")


def _contract(topics: list[Topic]) -> dict[str, Any]:
    first = topics[0]
    schema = schema_of(first.event)
    days = None if first.retention_ms is None else max(first.retention_ms // DAY_MS, 1)
    return {
        "apiVersion": VERSION,
        "kind": "DataContract",
        "id": f"urn:relais:contract:{first.base}:v{first.major}",
        "name": first.base,
        "version": f"{first.major}.0.0",
        "status": "active",
        "domain": first.base.split(".")[0],
        "description": {
            "purpose": first.doc,
            "limitations": "At least once: one event may stand in several records with the same event_id."
            + (" Sealed fields are not landed." if first.pii.value == "sealed" else ""),
        },
        "servers": [{"server": "kafka", "type": "kafka", "host": "the installation's brokers", "format": "avro"}],
        "schema": [
            {
                "name": table_of(first.base),
                "physicalName": ", ".join(topic.name for topic in topics),
                "physicalType": "topic",
                "logicalType": "object",
                "description": " ".join(str(schema.get("doc", first.doc)).split()),
                "properties": [_property(field) for field in schema["fields"]],
                "quality": [
                    {"type": "text", "description": "event_id and tenant_id together name one event; repeats are equal"}
                ],
            }
        ],
        "slaProperties": [
            {"property": "latency", "value": 60, "unit": "s", "description": "from the event to its topic"},
            {"property": "retention", "value": days, "unit": "d"}
            if days is not None
            else {"property": "retention", "value": "compacted: the newest record of each key"},
        ],
        "customProperties": [
            {"property": "key", "value": first.key},
            {"property": "personalData", "value": first.pii.value},
            {"property": "producers", "value": ", ".join(first.producers)},
        ],
    }


def _property(field: dict[str, Any]) -> dict[str, Any]:
    kind, required = field["type"], True
    if isinstance(kind, list):
        kind, required = next(each for each in kind if each != "null"), False
    logical, physical = _types(kind)
    found = {"name": field["name"], "logicalType": logical, "physicalType": physical, "required": required and "default" not in field}  # fmt: skip
    if field.get("doc"):
        found["description"] = field["doc"]
    if field.get("pii"):
        found["classification"] = field["pii"]
    if field["name"] in ("event_id", "tenant_id"):
        found["primaryKey"] = True
        found["primaryKeyPosition"] = 1 if field["name"] == "tenant_id" else 2
    return found


def _types(kind: Any) -> tuple[str, str]:
    """Logical and physical. What is made of parts is landed as JSON."""
    if isinstance(kind, str):
        return _LOGICAL.get(kind, "object"), kind if kind in _LOGICAL else "json"
    if "logicalType" in kind:
        return _SPECIAL[kind["logicalType"]]
    match kind["type"]:
        case "array":
            return "array", "json"
        case "map" | "record":
            return "object", "json"
        case plain:
            return _LOGICAL[plain], plain
