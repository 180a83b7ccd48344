"""What one caller may ask for, and what others notice of it: shares, budgets, deadlines, places in line, keys."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from bot.engine.api import line
from bot.engine.api.server import serve
from bot.engine.client import EngineClient
from bot.engine.service import EngineService
from bot.engine.types import AnswerOptions, Chunk, EngineOptions, QueuePlace, Request
from bot.errors import EngineBusy
from tests.engine.conftest import serving, wait_healthy
from tests.engine.test_api import CHAT, HELLO, TEXT, Http

FOREVER = {"messages": HELLO, "max_tokens": 400, "ignore_eos": True}
NOBODY = 65534


@asynccontextmanager
async def opened(model: Path, **options: object) -> AsyncIterator[Http]:
    """Serve *model* and give plain access to it."""
    async with serving(model, **options) as client:
        http = Http(client._socket_path)
        yield http
        await http.session.close()


async def queue(http: Http) -> dict:
    """Return what the engine says about its base model's queue."""
    return json.loads((await http.get("/v1/queue"))[1])["data"][0]


async def until(http: Http, **counts: int) -> None:
    """Return when so many requests wait or are being answered."""
    async with asyncio.timeout(20):
        while not counts.items() <= (await queue(http)).items():  # noqa: ASYNC110 - another process may be asked
            await asyncio.sleep(0.005)


async def test_a_flood_leaves_room_for_others(tiny_model: Path) -> None:
    """Of a thousand requests at once the flooder gets half of the queue; Maya is let in while others are refused."""
    async with opened(tiny_model, max_sequences=2, queue_limit=40) as http:
        seen: list[tuple[int, str]] = []

        async def flood() -> None:
            status, body = await http.post(CHAT, {"messages": HELLO, "max_tokens": 20, "user": "flooder"})
            seen.append((status, "" if status == 200 else body["error"]["code"]))

        flooding = [asyncio.create_task(flood()) for _ in range(1000)]
        async with asyncio.timeout(60):
            while len(seen) < 100:  # noqa: ASYNC110 - a count, not an event
                await asyncio.sleep(0.001)
        waiting = (await queue(http))["waiting"]
        status, _ = await http.post(CHAT, {"messages": HELLO, "max_tokens": 1, "user": "maya"})
        await asyncio.gather(*flooding)

    assert status == 200
    assert waiting <= 20
    assert set(seen) == {(200, ""), (429, "queue_share_full")}


async def test_a_flood_leaves_turns_for_others(tiny_model: Path) -> None:
    """However many of one user wait, somebody else's request is begun with the next place that becomes free."""
    service = EngineService(EngineOptions(model_path=tiny_model, max_sequences=2, threads=1, n_ctx=512))
    service.start()
    async with asyncio.timeout(30):
        while service.state != "ready":  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
    begun: list[str] = []

    async def ask(user: str, number: int) -> None:
        request = Request(
            request_id=f"{user} {number}", prompt=tuple(range(10, 40)), max_tokens=15, ignore_eos=True, user=user
        )
        with service.roster.use("") as served:
            async for deltas in service.generate(served, [request]):
                if deltas[0].request_id not in begun:
                    begun.append(deltas[0].request_id)

    flooding = [asyncio.create_task(ask("flooder", number)) for number in range(1000)]
    overtaken = []
    for number in range(5):
        before = len(begun) + 20
        while len(begun) < before:  # noqa: ASYNC110 - a count, not an event
            await asyncio.sleep(0)
        before = len(begun)
        await ask("maya", number)
        overtaken.append(begun.index(f"maya {number}") - before)
    for task in flooding:
        task.cancel()
    await asyncio.gather(*flooding, return_exceptions=True)
    await service.stop()

    assert max(overtaken) <= 4  # two had their places, two may have got theirs while hers was on its way


async def test_budgets_are_kept_and_told(tiny_model: Path) -> None:
    """Over the socket each user has a budget; a refusal says when to come again, a reply what is left."""
    async with opened(tiny_model, tokens_per_minute=120) as http:
        body = {"prompt": [7] * 20, "max_tokens": 30, "ignore_eos": True}
        async with http.session.post(TEXT, json={**body, "user": "maya"}) as response:
            left = response.headers["x-ratelimit-remaining-tokens"]
            assert (response.status, response.headers["x-ratelimit-limit-tokens"], left) == (200, "120", "100")
        await http.post(TEXT, {**body, "user": "maya", "max_tokens": 70})
        async with http.session.post(TEXT, json={**body, "user": "maya"}) as response:
            error = (await response.json())["error"]
            assert (response.status, error["type"], error["code"]) == (429, "rate_limit_error", "rate_limit_exceeded")
            assert 1 <= int(response.headers["Retry-After"]) <= 20
            assert response.headers["x-ratelimit-remaining-tokens"] == "0"
        assert (await http.post(TEXT, {**body, "user": "tom"}))[0] == 200


async def test_a_cancelled_answer_costs_what_it_took(tiny_model: Path) -> None:
    """Whoever leaves after a few tokens pays for those and for the prompt, not for what might have come."""
    async with serving(tiny_model, tokens_per_minute=1000) as client:
        stream = client.chat(HELLO, AnswerOptions(max_tokens=300, user="maya"))
        async for chunk in stream:
            if chunk.text:
                break
        await stream.aclose()
        http = Http(client._socket_path)
        async with http.session.post(TEXT, json={"prompt": [7], "max_tokens": 1, "user": "maya"}) as response:
            left = int(response.headers["x-ratelimit-remaining-tokens"])
        await http.session.close()

    assert 700 < left < 1000


async def test_a_deadline_that_cannot_be_kept_is_refused_at_once(slow_model: Path) -> None:
    """As soon as it is known how long answers take; before that everybody may try."""
    async with opened(slow_model, max_sequences=1, longest_wait_seconds=30) as http:
        await http.post(CHAT, FOREVER | {"max_tokens": 60})
        asking = [asyncio.create_task(http.post(CHAT, FOREVER | {"user": str(number)})) for number in range(3)]
        await until(http, waiting=2)

        status, body = await http.post(CHAT, FOREVER | {"deadline_seconds": 0.01})
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    assert (status, body["error"]["code"]) == (429, "deadline_unreachable")
    assert body["error"]["estimated_wait_seconds"] > 0


async def test_a_deadline_ends_the_waiting_and_the_answering(slow_model: Path) -> None:
    """Whoever still waits when it passes gets an error at once; whoever is being answered gets what there is."""
    longest = 3000  # no machine writes so much within the deadline
    async with opened(slow_model, max_sequences=1, n_ctx=4096) as http:
        cut = asyncio.create_task(http.post(CHAT, FOREVER | {"max_tokens": longest, "deadline_seconds": 0.7}))
        await until(http, answering=1)
        late, streamed = await asyncio.gather(
            http.post(CHAT, FOREVER | {"deadline_seconds": 0.2, "user": "tom"}),
            http.events(CHAT, FOREVER | {"deadline_seconds": 0.2, "user": "priya"}),
        )
        assert not cut.done()
        status, body = await cut

    assert (late[0], late[1]["error"]["code"]) == (504, "deadline_exceeded")
    assert [event["error"]["code"] for event in streamed if "error" in event] == ["deadline_exceeded"]
    (choice,) = body["choices"]
    assert (status, choice["finish_reason"], choice["stop_reason"]) == (200, "length", "deadline")
    assert 0 < body["usage"]["completion_tokens"] < longest


async def test_a_wait_that_nobody_would_wait_is_refused_at_once(slow_model: Path) -> None:
    """With a limit of the wait, the queue may have room and still be too long."""
    async with serving(slow_model, max_sequences=1, longest_wait_seconds=0.01) as client:
        http = Http(client._socket_path)
        await http.post(CHAT, FOREVER | {"max_tokens": 60})
        running = asyncio.create_task(http.post(CHAT, FOREVER))
        await until(http, answering=1)

        with pytest.raises(EngineBusy, match="would wait"):
            async for _ in client.chat(HELLO):
                pass
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await http.session.close()


async def read_places(client: EngineClient, user: str, places: dict[str, list[QueuePlace]]) -> list[Chunk]:
    """Read an answer to its end and note every place in line that is told."""
    chunks = []
    async for chunk in client.chat(HELLO, AnswerOptions(temperature=0, max_tokens=200, user=user)):
        chunks.append(chunk)
        if chunk.queue:
            places.setdefault(user, []).append(chunk.queue)
    return chunks


async def test_a_waiting_stream_hears_where_it_stands(slow_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Places fall until the turn has come; there is no time before the first answer, and nothing for who waits not."""
    for name in ("FIRST_SECONDS", "LOOK_SECONDS", "SAY_SECONDS"):  # a fast machine is through in a second
        monkeypatch.setattr(line, name, 0.05)
    async with serving(slow_model, max_sequences=1) as client:
        places: dict[str, list[QueuePlace]] = {}
        asking = []
        for user in ("maya", "tom", "priya"):
            asking.append(asyncio.create_task(read_places(client, user, places)))
            await asyncio.sleep(0.02)
        answers = await asyncio.gather(*asking)

    assert "maya" not in places
    for user, first in (("tom", 1), ("priya", 2)):
        positions = [place.position for place in places[user]]
        assert positions[0] == first
        assert positions == sorted(positions, reverse=True)
        assert positions[-1] <= 1
        assert places[user][0].seconds is None
    assert any(place.seconds for place in places["priya"])
    tokens = [[token for chunk in chunks for token in chunk.token_ids] for chunks in answers]
    assert tokens[0] == tokens[1] == tokens[2]


async def test_several_keys_open_the_port_each_with_its_own_budget(tiny_model: Path) -> None:
    """Keys are separated by commas; on a port the key is the caller, whatever user it names."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stop = asyncio.Event()
    options = EngineOptions(model_path=tiny_model, port=port, api_key="first, second", requests_per_minute=2, threads=1)
    server = asyncio.create_task(serve(options, stop=stop))
    url = f"http://127.0.0.1:{port}"
    async with EngineClient(url, api_key="first") as client:
        await wait_healthy(client, server)
    statuses = []
    async with aiohttp.ClientSession(url) as session:
        for key, user in (("first", "a"), ("first", "b"), ("first", "c"), ("second", "a"), ("first,", ""), ("", "")):
            headers = {"Authorization": f"Bearer {key}"}
            body = {"prompt": "x", "max_tokens": 1, "user": user}
            async with session.post(TEXT, json=body, headers=headers) as response:
                statuses.append(response.status)
    stop.set()
    await server

    assert statuses == [200, 200, 429, 200, 401, 401]


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can become somebody else")
async def test_another_user_of_the_machine_is_refused(tiny_model: Path) -> None:
    """Even when the socket's mode were opened by mistake, the kernel says whose process calls."""
    script = (
        "import os, socket, sys\n"
        f"os.setgid({NOBODY}); os.setuid(int(sys.argv[2]))\n"
        "line = socket.socket(socket.AF_UNIX); line.connect(sys.argv[1])\n"
        "line.sendall(b'GET /v1/models HTTP/1.0\\r\\n\\r\\n'); print(line.recv(200).split()[1].decode())"
    )
    async with serving(tiny_model) as client:
        path = client._socket_path
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o666)
        path.parent.chmod(0o755)
        seen = []
        for uid in (NOBODY, 0):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-c", script, str(path), str(uid), stdout=asyncio.subprocess.PIPE
            )
            seen.append((await process.communicate())[0].strip())

    assert seen == [b"403", b"200"]


async def test_the_bot_knows_whose_doing_a_refusal_is(tiny_model: Path) -> None:
    """A person's own budget is one thing, a full queue another, and that one says where the question would stand."""
    async with serving(tiny_model, requests_per_minute=1) as client:
        async for _ in client.chat(HELLO, AnswerOptions(max_tokens=1, user="maya")):
            pass
        with pytest.raises(EngineBusy) as caught:
            await anext(client.chat(HELLO, AnswerOptions(max_tokens=1, user="maya")))
        assert caught.value.is_own_doing
        assert caught.value.retry_after > 30
    async with serving(tiny_model, max_sequences=1, queue_limit=0) as client:
        http = Http(client._socket_path)
        running = asyncio.create_task(http.post(CHAT, FOREVER))
        await until(http, answering=1)
        with pytest.raises(EngineBusy) as caught:
            await anext(client.chat(HELLO, AnswerOptions(max_tokens=1, user="tom")))
        await running
        await http.session.close()
        assert (caught.value.is_own_doing, caught.value.waiting) == (False, 0)
