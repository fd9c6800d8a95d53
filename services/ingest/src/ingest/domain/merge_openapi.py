"""One OpenAPI document out of ingest's own and those of the services behind it."""

from collections.abc import Callable, Mapping
from typing import Any

Document = dict[str, Any]
_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_COMPONENTS = "#/components/"


def merge(own: Document, others: Mapping[str, Document], owned_by: Callable[[str, str], str | None]) -> Document:
    """Adds from each of `others` (by the owner's name) the operations that the door hands to it, and their components.

    A component is renamed `<owner>.<name>`, so that two services may each have a `Contact`. What the door answers
    itself stays ingest's.
    """
    merged = {**own, "paths": {path: dict(item) for path, item in own.get("paths", {}).items()}}
    components = {kind: dict(entries) for kind, entries in own.get("components", {}).items()}
    for owner, document in sorted(others.items()):
        for path, item in document.get("paths", {}).items():
            kept = {m: op for m, op in item.items() if m in _METHODS and owned_by(m, path) == owner}
            if not kept:
                continue
            target = merged["paths"].setdefault(path, {})
            shared = {key: value for key, value in item.items() if key not in _METHODS}
            for method, operation in kept.items():
                if method not in target:
                    target[method] = _renamed(_tagged(operation, path), owner)
            target.update(_renamed({k: v for k, v in shared.items() if k not in target}, owner))
        for kind, entries in document.get("components", {}).items():
            if kind == "securitySchemes":
                continue  # at the door there is one scheme, ingest's
            for name, entry in entries.items():
                components.setdefault(kind, {})[f"{owner}.{name}"] = _renamed(entry, owner)
    merged["paths"] = dict(sorted(merged["paths"].items()))
    if components:
        merged["components"] = components
    return merged


def _tagged(operation: Document, path: str) -> Document:
    kept = {key: value for key, value in operation.items() if key != "security"}
    return kept if kept.get("tags") else {**kept, "tags": [path.split("/")[2]]}


def _renamed(node: Any, owner: str) -> Any:
    if isinstance(node, dict):
        return {
            key: _reference(value, owner) if key == "$ref" and isinstance(value, str)
            else {k: _reference(v, owner) for k, v in value.items()} if key == "mapping" and isinstance(value, dict)
            and all(isinstance(v, str) for v in value.values())
            else _renamed(value, owner)
            for key, value in node.items()
        }  # fmt: skip
    if isinstance(node, list):
        return [_renamed(item, owner) for item in node]
    return node


def _reference(value: str, owner: str) -> str:
    if not value.startswith(_COMPONENTS):
        return value
    kind, _, name = value[len(_COMPONENTS) :].partition("/")
    return f"{_COMPONENTS}{kind}/{owner}.{name}"
