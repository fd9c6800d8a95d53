"""Reads a script: YAML in, `Script` out, or a `ScriptError` that names the line and the remedy. Pure but for `load`.

A script is a mapping of `name`, `about`, `seed`, `given` (settings) and `when` (a list of an occasion and what to `do`).
"""

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from console.smsc.command_status import STATUSES
from console.smsc.config import Behaviour, SmscConfig
from console.smsc.script import Rule, Script, ScriptError
from console.smsc.vocabulary import check_together, read_act, read_trigger, seconds

LIBRARY = Path(__file__).parent / "scripts"

_TOP = ("name", "about", "seed", "given", "when")
_OCCASIONS = ("from", "after", "every", "for")
_BEHAVIOUR = frozenset(Behaviour.model_fields)
_SETTINGS = frozenset(
    (
        "ids",
        "receipts",
        "max_binds",
        "deliver_window",
        "deliver_timeout_s",
        "deliver_retry_s",
        "session_init_s",
        "enquire_link_s",
    )
)
_HOUR = "an_hour_takes"


def load(script: Path | str) -> Script:
    """The script in a file, or, given a bare name, the one of the library. Raises ScriptError and OSError."""
    path = Path(script)
    if not path.suffix and not path.exists():
        path = LIBRARY / f"{path.name}.yaml"
        if not path.exists():
            raise ScriptError(
                f"no script is called `{script}`", "name a file, or one that `relais smsc --scripts` lists"
            )
    return read_script(path.read_text("utf-8"))


def library() -> Iterator[tuple[str, Script]]:
    """Every script that comes with the simulator, by name."""
    for path in sorted(LIBRARY.glob("*.yaml")):
        yield path.stem, read_script(path.read_text("utf-8"))


def read_script(text: str) -> Script:
    """The script in `text`. Raises ScriptError."""
    try:
        return _script(_compose(text))
    except RecursionError:
        raise ScriptError(
            "the script is nested without end", "write it without anchors that hold themselves", 1
        ) from None


def _compose(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ScriptError("a character here cannot stand in YAML", "remove the control character", line) from None
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark.line if error.problem_mark else 0) + 1
        raise ScriptError(
            f"this is not YAML ({error.problem})", "check its colons, quotes and indentation", line
        ) from None


def _script(node: yaml.Node | None) -> Script:
    top = _mapping(node, _TOP, "a script")
    if "name" not in top:
        raise ScriptError("the script has no name", "begin with `name: ` and what the carrier does, as a sentence", 1)
    given, hour_takes = _given(top.get("given"))
    return Script(
        name=_text(top["name"], "name"),
        about=_text(top["about"], "about") if "about" in top else "",
        seed=_number(top["seed"]) if "seed" in top else None,
        given=given,
        hour_takes=hour_takes,
        rules=tuple(_rules(top.get("when"))),
    )


def applied(config: SmscConfig, script: Script) -> SmscConfig:
    """The configuration with what the script gives put over it; a seed of the configuration's own stays."""
    settings: dict[str, Any] = {name: getattr(config, name) for name in config.model_fields_set}
    for name, value in script.given.items():
        if name == "behaviour":
            settings[name] = config.behaviour.changed(value)
        elif isinstance(value, dict):
            settings[name] = getattr(config, name).model_dump(exclude_unset=True) | value
        else:
            settings[name] = value
    if config.seed is None:
        settings["seed"] = script.seed
    return SmscConfig.model_validate(settings)


def _rules(node: yaml.Node | None) -> Iterator[Rule]:
    if node is None:
        return
    if not isinstance(node, yaml.SequenceNode):
        raise ScriptError("`when` is no list", "begin each occasion with a dash, `- after: 500 submits`", _line(node))
    for item in node.value:
        parts = _mapping(item, (*_OCCASIONS, "do", "at most"), "an item of `when`")
        occasions = [name for name in _OCCASIONS if name in parts]
        if len(occasions) != 1:
            raise ScriptError(
                f"this item has {len(occasions)} occasions", "give one of from, after, every, for", _line(item)
            )
        if "do" not in parts:
            raise ScriptError("nothing is to be done here", "add `do: ` and an act", _line(item))
        occasion, do = parts[occasions[0]], parts["do"]
        try:
            trigger = read_trigger(occasions[0], _text(occasion, occasions[0]))
        except ScriptError as error:
            raise error.at(_line(occasion)) from None
        try:
            act = check_together(trigger, read_act(_text(do, "do")))
        except ScriptError as error:
            raise error.at(_line(do)) from None
        yield Rule(trigger, act, _times(parts["at most"]) if "at most" in parts else None, _line(item))


def _given(node: yaml.Node | None) -> tuple[dict[str, Any], float]:
    if node is None:
        return {}, 3600.0
    parts = {name.replace(" ", "_"): value for name, value in _mapping(node, None, "`given`").items()}
    given: dict[str, Any] = {}
    behaviour: dict[str, Any] = {}
    hour_takes = 3600.0
    for name, value in parts.items():
        plain = _plain(value)
        if name == _HOUR:
            if not isinstance(plain, int | float) or isinstance(plain, bool) or plain <= 0:
                raise ScriptError("`an hour takes` needs a duration", "write `an hour takes: 1 s`", _line(value))
            hour_takes = float(plain)
        elif name in _BEHAVIOUR:
            behaviour[name] = plain
        elif name in _SETTINGS:
            given[name] = plain
        else:
            raise ScriptError(
                f"`{name}` cannot be given",
                f"what can be: an hour takes, {', '.join(sorted(_BEHAVIOUR | _SETTINGS))}",
                _line(value),
            )
    if behaviour:
        given["behaviour"] = behaviour
    _check_given(given, parts)
    return given, hour_takes


def _check_given(given: Mapping[str, Any], nodes: Mapping[str, yaml.Node]) -> None:
    """Whether the settings are valid, said with the line of the one that is not."""
    try:
        if "behaviour" in given:
            Behaviour().changed(given["behaviour"])
    except ValidationError as error:
        raise _invalid(error, nodes) from None
    try:
        SmscConfig.model_validate(
            {name: value for name, value in given.items() if name != "behaviour"} | {"system_id": "x", "password": "x"}
        )
    except ValidationError as error:
        raise _invalid(error, nodes) from None


def _invalid(error: ValidationError, nodes: Mapping[str, yaml.Node]) -> ScriptError:
    fault = error.errors(include_input=False, include_url=False)[0]
    place = [str(part) for part in fault["loc"]]
    node = nodes.get(place[0]) if place else None
    line = _line(node) if node is not None else min(map(_line, nodes.values()))
    return ScriptError(
        f"`{'.'.join(place) or 'given'}` does not hold ({fault['msg']})",
        "the settings are described in services/console/README.md",
        line,
    )


# YAML nodes, which know their lines, as plain values.


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _mapping(node: yaml.Node | None, known: tuple[str, ...] | None, what: str) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        line = _line(node) if node is not None else 1
        raise ScriptError(f"{what} is no mapping", f"write `{known[0] if known else 'latency'}: ...`", line)
    parts: dict[str, yaml.Node] = {}
    for key, value in node.value:
        name = str(key.value)
        if known is not None and name not in known:
            raise ScriptError(f"`{name}` means nothing here", f"{what} has {', '.join(known)}", _line(key))
        if name in parts:
            raise ScriptError(f"`{name}` stands here twice", "keep one of them, or begin another item", _line(key))
        parts[name] = value
    return parts


def _text(node: yaml.Node, name: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or not str(node.value).strip():
        raise ScriptError(f"`{name}` is no sentence", "write one, in quotes if it holds a colon", _line(node))
    return str(node.value)


def _number(node: yaml.Node) -> int:
    value = _plain(node)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ScriptError("`seed` is no whole number", "write e.g. `seed: 7`", _line(node))
    return value


def _times(node: yaml.Node) -> int:
    words = _text(node, "at most").split()
    if words in (["once"], ["twice"]):
        return 1 if words == ["once"] else 2
    if words and words[0].isdigit() and int(words[0]) and words[1:] in ([], ["times"], ["time"]):
        return int(words[0])
    raise ScriptError("`at most` is no number of times", "write `at most: once`, or `at most: 3 times`", _line(node))


def _plain(node: yaml.Node) -> Any:
    """The value of a setting; `20 ms` becomes seconds, and ESME_RMSGQFUL its number."""
    if isinstance(node, yaml.MappingNode):
        return {str(key.value).replace(" ", "_"): _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    loader = yaml.SafeLoader("")
    try:
        value: Hashable | None = loader.construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError):
        raise ScriptError("this value cannot be read", "write a number, a word, or quote it", _line(node)) from None
    finally:
        loader.dispose()
    if isinstance(value, str):
        duration = seconds(value)
        return duration if duration is not None else STATUSES.get(value, value)
    return value
