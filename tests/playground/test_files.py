"""Files: uploaded in three steps by the real SDK, and seen only by those who may read where they were shared."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.errors import PageError
from bot.playground.testing import Playground
from bot.slack.setup.manifest import build_manifest
from tests.playground.conftest import GENERAL, LEADS, MAYA, build_client, error_of

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f61738550000"
    "000049454e44ae426082"
)


def picture(file_id: str) -> dict[str, Any]:
    """Build an image block that shows a file."""
    return {"type": "image", "slack_file": {"id": file_id}, "alt_text": "Curves"}


async def upload(client: AsyncWebClient, **where: Any) -> dict[str, Any]:
    """Upload the picture as the SDK does and return the file."""
    answer = await client.files_upload_v2(file=PNG, filename="curves.png", title="Curves", **where)
    return dict(answer["files"][0])


async def test_a_picture_is_shared_into_a_thread(playground: Playground, client: AsyncWebClient) -> None:
    """The message carries the file, the app hears of it, and files.info says what it is and where it was shared."""
    root = (await client.chat_postMessage(channel=GENERAL, text="Report"))["ts"]
    file = await upload(client, channel=GENERAL, thread_ts=root, initial_comment="How it went")

    reply = playground.messages("general", root)[1]
    assert (reply["text"], reply["files"]) == (
        "How it went",
        [{"id": file["id"], "name": "curves.png", "title": "Curves", "mimetype": "image/png", "size": len(PNG)}],
    )
    info = (await client.files_info(file=file["id"]))["file"]
    assert (info["mimetype"], info["size"], info["channels"]) == ("image/png", len(PNG), [GENERAL])
    assert info["shares"] == {"public": {GENERAL: [{"ts": reply["ts"]}]}}
    told = playground.log("event", "message.channels")[-1]["request"]["event"]
    assert (told["subtype"], told["files"][0]["id"]) == ("file_share", file["id"])
    assert playground.tom.file(file["id"]) == ("image/png", PNG)


async def test_only_readers_of_a_conversation_see_its_files(playground: Playground, client: AsyncWebClient) -> None:
    """Neither a guest outside nor a colleague of another channel, not even if a block names the file."""
    direct = await upload(client, channel=playground.maya.dm)
    await client.chat_postMessage(channel=GENERAL, text="x", blocks=[picture(direct["id"])])

    assert playground.maya.file(direct["id"])[1] == PNG
    for person in (playground.tom, playground.sam):
        with pytest.raises(PageError, match="not open to you"):
            person.file(direct["id"])
    public = await upload(client, channel=GENERAL)
    assert playground.tom.file(public["id"])[1] == PNG
    with pytest.raises(PageError):
        playground.sam.file(public["id"])


async def test_the_private_address_wants_token_and_scope(playground: Playground, client: AsyncWebClient) -> None:
    """Without them there is a page to sign in, as in Slack, and no picture."""
    file = await upload(client)
    async with aiohttp.ClientSession() as session:
        address = file["url_private"]
        async with session.get(address, headers={"Authorization": f"Bearer {client.token}"}) as response:
            assert (response.content_type, await response.read()) == ("image/png", PNG)
        async with session.get(address) as response:
            assert response.content_type == "text/html"
    manifest = build_manifest(name="A", request_url=None)
    manifest["oauth_config"]["scopes"]["bot"].remove("files:read")
    async with Playground(manifest=manifest) as strict:
        file = await upload(build_client(strict))
        headers = {"Authorization": f"Bearer {strict.options.bot_token}"}
        async with aiohttp.ClientSession() as session, session.get(file["url_private"], headers=headers) as response:
            assert response.content_type == "text/html"


async def test_a_picture_in_a_block_must_be_one(playground: Playground, client: AsyncWebClient) -> None:
    """Unknown files and texts are refused by place; so is a picture that Slack has not processed yet."""
    notes = await client.files_upload_v2(content="notes", filename="notes.txt")
    for file_id in ("F0NOPE", notes["files"][0]["id"]):
        with pytest.raises(SlackApiError) as caught:
            await client.chat_postMessage(channel=GENERAL, text="x", blocks=[picture(file_id)])
        assert caught.value.response["errors"] == ["invalid slack file [json-pointer:/blocks/0/slack_file]"]
    playground.fault("slow_files", seconds=5)
    file = await upload(client)
    assert file["mimetype"] == ""
    assert await error_of(client.chat_postMessage(channel=GENERAL, text="x", blocks=[picture(file["id"])]))
    await playground.advance(6)
    await client.chat_postMessage(channel=GENERAL, text="x", blocks=[picture(file["id"])])


async def test_what_is_no_picture_is_only_saved(playground: Playground, client: AsyncWebClient) -> None:
    """A page that calls itself a picture is never shown as one, nor as a page."""
    answer = await client.files_upload_v2(file=b"<script>alert(1)</script>", filename="x.png", channel=GENERAL)
    kind, _ = playground.tom.file(answer["files"][0]["id"])
    assert kind == "application/octet-stream"
    async with aiohttp.ClientSession() as session:
        address = f"{playground.base_url}/page/files?user={MAYA}&file={answer['files'][0]['id']}"
        async with session.get(address) as response:
            assert response.headers["Content-Disposition"].startswith("attachment;")
            assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_sizes_and_steps_are_kept(playground: Playground, client: AsyncWebClient) -> None:
    """Too large, another length than announced, no bytes yet, and a channel that is not there."""
    too_large = client.files_getUploadURLExternal(filename="x.png", length=4_000_001)
    assert await error_of(too_large) == "file_upload_size_restricted"
    ticket = await client.files_getUploadURLExternal(filename="x.png", length=9)
    assert await error_of(client.files_completeUploadExternal(files=[{"id": ticket["file_id"]}])) == "file_not_found"
    async with aiohttp.ClientSession() as session, session.post(ticket["upload_url"], data=b"short") as response:
        assert response.status == 400
    async with aiohttp.ClientSession() as session:
        form = aiohttp.FormData({"note": "as curl -F sends it"})
        form.add_field("filename", b"123456789", filename="x.png")
        async with session.post(ticket["upload_url"], data=form) as response:
            assert (response.status, await response.text()) == (200, "OK - 9")
    wanted = [{"id": ticket["file_id"]}]
    assert await error_of(client.files_completeUploadExternal(files=wanted, channel_id=LEADS)) == "channel_not_found"
    assert await error_of(client.files_completeUploadExternal(files=wanted, channel_id=MAYA)) == "channel_not_found"
    assert (await client.files_completeUploadExternal(files=wanted))["files"][0]["title"] == "x.png"


async def test_files_outlive_a_restart_and_go_with_a_reset(tmp_path: Path) -> None:
    """The bytes lie beside the data file."""
    path = tmp_path / "workspace.json"
    async with Playground(data=path) as first:
        file = await upload(build_client(first), channel=GENERAL)
    async with Playground(data=path) as second:
        assert second.tom.file(file["id"])[1] == PNG
        assert second.messages("general")[0]["files"][0]["title"] == "Curves"
        second.hub.reset()
        assert not await asyncio.to_thread((tmp_path / "workspace.json.files").exists)
        with pytest.raises(PageError):
            second.tom.file(file["id"])
