"""`relais route`: why a message would go where it goes, and what it would cost under other rules."""

import asyncio
import json
import re
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
import yaml
from rich.console import Console
from rich.table import Table

route = typer.Typer(no_args_is_help=True, help="Routes: explain one, or replay the log under other rules.")
Api = Annotated[str, typer.Option(envvar="RELAIS_API", help="Address of the API, such as http://127.0.0.1:8080")]
Key = Annotated[str, typer.Option(envvar="RELAIS_KEY", help="An API key with the scope operate")]
_SPAN = re.compile(r"([0-9]+)([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
ANSWER_WITHIN_S = 120


@route.command()
def explain(
    to: Annotated[str, typer.Argument(help="A number in E.164, such as +33612345678")],
    api: Api,
    key: Key,
    purpose: Annotated[str, typer.Option("--class", help="marketing, transactional or otp")] = "transactional",
    parts: int = 1,
    tenant: str | None = None,
    sender: str | None = None,
    campaign: str | None = None,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as it came")] = False,
) -> None:
    """Every carrier with cost, quality and health, and why it would win or lose now."""
    body = {"to": to, "class": purpose, "parts": parts, "tenant": tenant, "sender": sender, "campaign": campaign}
    told = asyncio.run(_post(api, key, "/v1/routes/explain", {name: v for name, v in body.items() if v is not None}))
    if as_json:
        print(json.dumps(told, indent=2))
        return
    console = Console()
    place = f"{told['country']}, network {told['network'] or 'not known'}"
    why = f"rule {told['rule']}" if told["rule"] else "no rule fits"
    outcome = f"{told['outcome']} {told.get('carrier') or told.get('reason', '')} {told.get('cost', '')}".rstrip()
    console.print(f"{outcome} ({place}; {why}; {told['versions']})", highlight=False)
    if told["sender"]["refused"]:
        console.print(f"sender refused: {told['sender']['refused']}", highlight=False)
    if told["limits"]:
        console.print(f"limits that count it: {', '.join(told['limits'])}", highlight=False)
    table = Table("carrier", "step", "cost", "by", "health", "delivers", "result")
    for found in told["candidates"]:
        quality = found["quality"]
        delivers = f"{quality['low']:.1%} to {quality['high']:.1%}" if quality else ""
        table.add_row(
            found["carrier"], str(found["step"]), f"{found['cost']} {found['currency']}", found["matched"], found["health"],
            delivers, found["result"],
        )  # fmt: skip
    console.print(table)


@route.command()
def replay(
    rules: Annotated[Path, typer.Option(help="A book of rules, YAML or JSON, as for PUT /v1/routes")],
    api: Api,
    key: Key,
    since: Annotated[str, typer.Option("--from", help="How far back: 30m, 24h, 3d")] = "24h",
    limit: int = 100_000,
) -> None:
    """What the log's messages would cost and deliver under other rules, beside the present ones."""
    body = {"rules": yaml.safe_load(rules.read_text("utf-8")), "from_s": seconds_of(since), "limit": limit}
    told = asyncio.run(_post(api, key, "/v1/routes/replay", body))
    table = Table("", "now", "draft")
    for name in ("sent", "cost", "expected_delivery", "carriers", "not_sent"):
        table.add_row(name.replace("_", " "), str(told["now"][name]), str(told["draft"][name]))
    console = Console()
    console.print(table)
    console.print(
        f"{told['changed']} of {told['messages']} messages change; cost {told['cost_difference']}", highlight=False
    )


def seconds_of(span: str) -> int:
    found = _SPAN.fullmatch(span)
    if found is None:
        raise typer.BadParameter("write a time such as 30m, 24h or 3d")
    return int(found[1]) * _SECONDS[found[2]]


async def _post(api: str, key: str, path: str, body: Any) -> Any:
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    headers = {"Authorization": f"Bearer {key}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.post(api.rstrip("/") + path, json=body) as answer,
        ):
            told = await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        _fail(f"the API does not answer: {type(error).__name__}")
    if answer.status != 200:
        for trouble in (told or {}).get("errors", []):
            typer.echo(f"{trouble['field']}: {trouble['detail']}", err=True)
        _fail(f"refused: {(told or {}).get('detail', answer.status)}")
    return told


def _fail(why: str) -> None:
    typer.echo(why, err=True)
    raise typer.Exit(1)
