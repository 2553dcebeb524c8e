"""The server as a client of the Model Context Protocol finds it: the SDK's own client starts the real command."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

mcp = pytest.importorskip("mcp")

RECORDED = Path(__file__).parents[1] / "recorded/confirmed"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a study that has been run and confirmed."""
    shutil.copytree(RECORDED, tmp_path / "root")
    return tmp_path / "root"


@asynccontextmanager
async def client_of(root: Path) -> AsyncIterator[Any]:
    server = mcp.StdioServerParameters(
        command=sys.executable, args=["-m", "wsml_study", "mcp", str(root)], env=dict(os.environ)
    )
    async with mcp.Client(mcp.stdio_client(server)) as client:
        yield client


def in_session(root: Path, calls: Callable[[Any], Awaitable[None]]) -> None:
    async def session() -> None:
        async with client_of(root) as client:
            await calls(client)

    anyio.run(session)


async def called(client: Any, tool: str, **arguments: Any) -> Any:
    """What a tool gives back."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content[0].text
    return answer.structured_content


async def refusal(client: Any, tool: str, **arguments: Any) -> str:
    """The message of a tool that refuses."""
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error
    text: str = answer.content[0].text
    return text


async def read(client: Any, address: str) -> str:
    text: str = (await client.read_resource(address)).contents[0].text
    return text


def test_tools_and_resources_say_what_one_needs_to_know(root: Path) -> None:
    async def calls(client: Any) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == ["check", "run", "stop", "status", "results", "query", "report"]
        for tool in tools.values():
            assert "  " not in tool.description, "indented docstring"
            assert all(entry.get("description") for entry in tool.input_schema["properties"].values())
        assert tools["query"].annotations.read_only_hint
        assert not tools["run"].annotations.read_only_hint
        assert tools["results"].input_schema["properties"]["top"]["maximum"] == 200
        assert '"search"' in await read(client, "wsml-study://schema")
        assert "LL-Cp" in await read(client, "wsml-study://methods")
        assert "large-loss rejection" in await read(client, "wsml-study://methods/LL-R")
        assert "rejection_rate" in await read(client, "wsml-study://tables")
        assert "dataset: voc2012" in await read(client, "wsml-study://examples/paper/voc2012")
        assert (
            await read(client, "wsml-study://studies") == '{"files": ["study.yaml"], "results": ["results/confirmed"]}'
        )
        assert await read(client, "wsml-study://study/study.yaml") == (root / "study.yaml").read_text()
        for path in ("data/points.arff", "../study.yaml", "/etc/passwd"):
            with pytest.raises(mcp.MCPError):
                await read(client, f"wsml-study://study/{path}")

    in_session(root, calls)


def test_a_study_that_was_run_is_read_and_nothing_else(root: Path) -> None:
    (root / "secret.csv").write_text("a\n1\n")

    async def calls(client: Any) -> None:
        status = await called(client, "status", study="study.yaml")
        assert (status["state"], status["details"]["trials"]["complete"]) == ("finished", 13)
        found = await called(client, "results", study="results/confirmed", where="method == 'LL-R'", top=2)
        assert [trial["method"] for trial in found["trials"]] == ["LL-R", "LL-R"]
        assert "Answer: No method beats AN" in found["summary"]
        answer = await called(client, "query", study="study.yaml", sql="SELECT count(*) AS n FROM confirm_trials")
        assert answer == {"rows": [{"n": 6}], "num_rows": 1}
        sql = f"SELECT * FROM read_csv('{root}/secret.csv')"
        assert "Cannot access file" in await refusal(client, "query", study="study.yaml", sql=sql)
        assert "outside of" in await refusal(client, "check", study="../study.yaml")
        (root / "wrong.yaml").write_text("name: wrong\nmethod: {name: LL-X}\n")
        assert "data: missing" in await refusal(client, "check", study="wrong.yaml")

    in_session(root, calls)


def processes_of(root: Path) -> list[str]:
    """Command lines of the processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == root:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has ended, or is another user's
    return found


def test_a_long_query_holds_nobody_up_and_ends_with_its_caller(root: Path) -> None:
    endless = "SELECT count(*) FROM range(1000000000) AS a, range(1000000000) AS b WHERE a.range * b.range = 7"

    async def calls(client: Any) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(refusal_of_endless, client)
            while not any("query" in line for line in processes_of(root)):
                await anyio.sleep(0.05)
            assert (await called(client, "status", study="study.yaml"))["state"] == "finished"
            assert any("query" in line for line in processes_of(root))
            group.cancel_scope.cancel()
        with anyio.fail_after(30):
            while processes_of(root):
                await anyio.sleep(0.05)

    async def refusal_of_endless(client: Any) -> None:
        await client.call_tool("query", {"study": "study.yaml", "sql": endless})

    in_session(root, calls)


@pytest.mark.slow
def test_a_study_runs_on_while_servers_come_and_go(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        "name: tried\n"
        "data: {dataset: digit_scenes, image_size: 16}\n"
        "method: {name: LL-R, schedule: {shape: linear, rate_per_epoch: 0.01}}\n"
        "training: {epochs: 2, batch_size: 64, optimizer: adam, learning_rate: 0.001}\n"
        "search: {method.name: {choice: [AN, LL-R]}}\n"
        "sampler: {name: grid}\n"
        "trials: 2\n"
    )

    async def begin(client: Any) -> None:
        assert "data: digit_scenes" in (await called(client, "check", study="study.yaml"))["result"]
        assert (await called(client, "status", study="study.yaml"))["state"] == "not run"
        started = await called(client, "run", study="study.yaml")
        assert started["results"] == "results/tried"
        assert "already" in await refusal(client, "run", study="study.yaml")

    async def follow(client: Any) -> None:
        with anyio.fail_after(300):
            while (await called(client, "status", study="study.yaml"))["state"] != "finished":
                await anyio.sleep(1)
        assert len((await called(client, "results", study="study.yaml"))["trials"]) == 2
        report = await called(client, "report", study="results/tried")
        assert (tmp_path / report["path"]).stat().st_size > 100_000

    in_session(tmp_path, begin)
    in_session(tmp_path, follow)
