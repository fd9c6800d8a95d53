"""Kubernetes' own OpenAPI document as strict JSON schemas, one file a kind, as kubeconform reads them. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

KIND = "x-kubernetes-group-version-kind"
POINTER = "#/definitions/"
SAID = ("description", "default", "format")  # says something, demands nothing


def strict_schemas(swagger: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """File name and schema of every kind that can stand in a manifest.

    Stricter than the API server's storage: an undeclared field is an error wherever fields are declared. The quantities
    and the ports that may be a number or a text are left as free as the server leaves them.
    """
    raw: Mapping[str, Any] = swagger["definitions"]
    strict = {name: _strict(definition) for name, definition in raw.items()}
    uses = {name: set(_references(definition)) for name, definition in strict.items()}
    for name, definition in raw.items():
        kinds = definition.get(KIND, ())
        if len(kinds) != 1 or "metadata" not in definition.get("properties", ()):
            continue
        group, version, kind = kinds[0]["group"], kinds[0]["version"], kinds[0]["kind"]
        itself = dict(strict[name])
        itself["properties"] = dict(itself["properties"]) | {
            "apiVersion": {"const": f"{group}/{version}" if group else version},
            "kind": {"const": kind},
        }
        itself["required"] = sorted({*itself.get("required", ()), "apiVersion", "kind", "metadata"})
        itself["definitions"] = {used: strict[used] for used in sorted(_closure(name, uses))}
        yield file_name(group, version, kind), itself


def file_name(group: str, version: str, kind: str) -> str:
    """As kubeconform asks for it; of a kind without a group it takes the version for the group."""
    return f"{kind.lower()}-{group or version}-{version}.json"


def _strict(definition: Any) -> Any:
    """One definition without prose. `additionalProperties: false` wherever properties are listed."""
    if isinstance(definition, list):
        return [_strict(item) for item in definition]
    if not isinstance(definition, Mapping):
        return definition
    if definition.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    found: dict[str, Any] = {}
    for key, value in definition.items():
        if key == "properties":
            found[key] = {name: _strict(inner) for name, inner in value.items()}
        elif key not in SAID and not key.startswith("x-kubernetes-"):
            found[key] = _strict(value)
    if "properties" in found and "additionalProperties" not in found:
        found["additionalProperties"] = False
    if "Quantity is a fixed-point representation" in definition.get("description", ""):
        found["type"] = ["string", "number"]
    return found


def _references(definition: Any) -> Iterator[str]:
    if isinstance(definition, Mapping):
        for key, value in definition.items():
            if key == "$ref" and isinstance(value, str):
                yield value.removeprefix(POINTER)
            else:
                yield from _references(value)
    elif isinstance(definition, list):
        for item in definition:
            yield from _references(item)


def _closure(name: str, uses: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = uses[waiting.pop()] - found
        found |= new
        waiting += new
    return found
