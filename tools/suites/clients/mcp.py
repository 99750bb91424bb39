"""The client of the Model Context Protocol that agents in Python use, with a handshake and without one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from .checks import Check, Wrong, equal, expect
from .gateway import TIMEOUT_SECONDS, Gateway

MODES = ("legacy", "2026-07-28", "auto")
ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
Ask = Callable[[Client], Awaitable[None]]


@asynccontextmanager
async def connected(gateway: Gateway, mode: str, token: str) -> AsyncGenerator[Client]:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=TIMEOUT_SECONDS) as http:
        transport = streamable_http_client(f"{gateway.url}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


def asked(gateway: Gateway, mode: str, ask: Ask) -> None:
    async def main() -> None:
        async with connected(gateway, mode, gateway.token) as client:
            await ask(client)

    asyncio.run(main())


def native(gateway: Gateway, model: str, body: Any) -> Any:
    return gateway.document("POST", f"/models/{model}/predict", body)


async def called(client: Client, tool: str, arguments: dict[str, Any]) -> Any:
    """The structured content of a call that succeeds; the client compares it with the schema of the tool."""
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise Wrong(str(result.content))
    equal(json.loads(result.content[0].text), result.structured_content)
    return result.structured_content


async def lists(client: Client) -> None:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    for name in ("iris", "one_text", "one_hot", "same_symbol"):
        expect(name in tools, f"{name} is not among {sorted(tools)}")
    schema = tools["iris"].input_schema
    equal(sorted(schema["required"]), sorted(ROW))
    equal(schema["properties"]["petal_width"]["minimum"], 0.1)


async def predicts(gateway: Gateway, client: Client) -> None:
    equal(await called(client, "iris", ROW), native(gateway, "iris", {"features": ROW}))


async def predicts_from_texts(gateway: Gateway, client: Client) -> None:
    """A tool takes the example of its own schema, here with texts."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    (example,) = tools["one_hot"].input_schema["examples"]
    expect(any(isinstance(value, str) for value in example.values()), example)
    equal(await called(client, "one_hot", example), native(gateway, "one_hot", {"features": example}))


async def predicts_from_tensors(gateway: Gateway, client: Client) -> None:
    inputs = {"inputs": {"a": [[1.5, -2], [3, 4]], "b": [[0.1, 1], [5, 6]]}}
    equal(await called(client, "same_symbol", inputs), native(gateway, "same_symbol", inputs))


async def is_told_what_is_wrong(client: Client) -> None:
    result = await client.call_tool("iris", ROW | {"sepal_length": 99})
    equal(result.is_error, True)
    document = json.loads(result.content[0].text)
    equal(document["code"], "invalid_body")
    equal([(error["pointer"], error["code"]) for error in document["errors"]], [("/sepal_length", "out_of_range")])


async def is_told_of_no_such_tool(client: Client) -> None:
    try:
        await client.call_tool("nothing", {})
    except MCPError as error:
        equal(error.error.code, -32602)
    else:
        raise Wrong("it is called")


def needs_a_token(gateway: Gateway, mode: str) -> None:
    async def main() -> None:
        async with connected(gateway, mode, "x.y.z") as client:
            await client.list_tools()

    try:
        asyncio.run(main())
    except (MCPError, ExceptionGroup) as error:
        said = "; ".join(texts(error))
        expect("the token is expired, malformed, or not meant for this gateway" in said, said)
    else:
        raise Wrong("it is answered")


def texts(error: Exception) -> list[str]:
    """The texts of an error, and of those in it if it is a group."""
    inner = error.exceptions if isinstance(error, ExceptionGroup) else ()
    return [str(error), *(text for each in inner for text in texts(each))]


def checks(gateway: Gateway) -> Iterator[Check]:
    for mode in MODES:
        ask = partial(asked, gateway, mode)
        yield f"mcp, {mode}: lists the tools", partial(ask, lists)
        yield f"mcp, {mode}: predicts from a row", partial(ask, partial(predicts, gateway))
        yield f"mcp, {mode}: predicts from a row with texts", partial(ask, partial(predicts_from_texts, gateway))
        yield f"mcp, {mode}: predicts from tensors", partial(ask, partial(predicts_from_tensors, gateway))
        yield f"mcp, {mode}: is told what is wrong with a row", partial(ask, is_told_what_is_wrong)
        yield f"mcp, {mode}: is told that there is no such tool", partial(ask, is_told_of_no_such_tool)
        yield f"mcp, {mode}: needs a token", partial(needs_a_token, gateway, mode)
