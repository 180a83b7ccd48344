"""The engine's HTTP server: routes, authorization, errors, and the life of the process.

Knows HTTP; what the calls mean stands in `completions.py` and `wire.py`.
"""

import asyncio
import json
import logging
import sys
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bot.engine.adapters import AdapterRefused
from bot.engine.api.admission import Admission
from bot.engine.api.api_error import ApiError
from bot.engine.api.callers import Keys, check_peer
from bot.engine.api.completions import Completions
from bot.engine.api.embeddings import Embeddings
from bot.engine.api.encoding import encode_messages
from bot.engine.api.refusals import check_model
from bot.engine.api.replies import build_backlog, build_model
from bot.engine.api.wire import parse_adapter, parse_chat, parse_embeddings, parse_forget, parse_text, parse_tokenize
from bot.engine.chat.chat_prompt import build_extras
from bot.engine.service import EngineService
from bot.engine.socket_file import open_socket
from bot.engine.types import EngineOptions
from bot.errors import ConfigError, EngineError

log = logging.getLogger(__name__)

MAX_BODY_BYTES, MAX_PICTURES_BYTES = 16 * 1024 * 1024, 64 * 1024 * 1024
LOADING_RETRY_SECONDS = 1
PENDING = 4096  # a Unix socket refuses a connection beyond these, and everybody else's with it
SWITCH_SECONDS = 0.0005  # the thread that decodes must not wait long for the one that writes JSON


async def serve(options: EngineOptions, *, stop: asyncio.Event | None = None, is_alone: bool = False) -> None:
    """Serve until *stop* is set, raising what made the engine unusable; *is_alone* in a process for nothing else."""
    check_exposure(options)
    if is_alone:
        sys.setswitchinterval(SWITCH_SECONDS)
    stop = stop or asyncio.Event()
    log.info("Loading %s", options.model_path)
    service = EngineService(options, is_alone=is_alone)
    runner = web.AppRunner(
        build_app(service, api_key=options.api_key), access_log=None, handler_cancellation=True, shutdown_timeout=1.0
    )
    await runner.setup()
    try:
        await start_site(build_site(runner, options), options)
        service.start()
        await wait_first(stop, service.ended)
    finally:
        await service.stop()  # first, so that open answers end with an error that says so
        await runner.cleanup()
        if options.socket_path:
            options.socket_path.unlink(missing_ok=True)
    if service.error:
        raise service.error if isinstance(service.error, EngineError) else EngineError(str(service.error))


async def wait_first(*events: asyncio.Event) -> None:
    """Wait until one of *events* is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def check_exposure(options: EngineOptions) -> None:
    """Refuse a TCP port without a key: other people's processes reach it, also on this machine."""
    if not options.socket_path and not options.api_key:
        raise ConfigError("ENGINE_API_KEY is not set: an engine on a TCP port needs one; or use a socket instead.")


async def start_site(site: web.BaseSite, options: EngineOptions) -> None:
    """Begin to listen, or say which address is not free."""
    try:
        await site.start()
    except OSError as error:
        address = options.socket_path or f"{options.host}:{options.port}"
        raise ConfigError(
            f"The engine cannot listen on {address} ({error.strerror}): choose another --port."
        ) from error


def build_site(runner: web.AppRunner, options: EngineOptions) -> web.BaseSite:
    """Return the socket or port to listen on."""
    if options.socket_path:
        return web.SockSite(runner, open_socket(options.socket_path), backlog=PENDING)
    return web.TCPSite(runner, options.host, options.port, backlog=PENDING)


def build_app(service: EngineService, *, api_key: str) -> web.Application:
    """Return the application; *api_key* guards everything but the health check."""
    largest = MAX_PICTURES_BYTES if service.options.mmproj_path else MAX_BODY_BYTES
    app = web.Application(client_max_size=largest, middlewares=[render_errors, build_guard(service, api_key=api_key)])
    routes = Routes(service)
    app.router.add_get("/health", routes.health)
    app.router.add_get("/metrics", routes.metrics)
    app.router.add_get("/v1/models", routes.models)
    app.router.add_get("/v1/models/{name:.+}", routes.model)
    app.router.add_get("/v1/queue", routes.queue)
    app.router.add_post("/v1/chat/completions", routes.chat)
    app.router.add_post("/v1/completions", routes.text)
    app.router.add_post("/v1/embeddings", routes.embeddings)
    app.router.add_post("/v1/load_lora_adapter", routes.load_adapter)
    app.router.add_post("/v1/unload_lora_adapter", routes.unload_adapter)
    app.router.add_post("/v1/forget", routes.forget)
    app.router.add_post("/tokenize", routes.tokenize)
    return app


@web.middleware
async def render_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error in the API's form; the inside of an unexpected one stays in the log."""
    try:
        return await handler(request)
    except ApiError as error:
        return error.render()
    except web.HTTPRequestEntityTooLarge:
        message = f"The body is larger than {request.client_max_size} bytes."
        return ApiError(413, message, code="body_too_large").render()
    except web.HTTPException as error:
        return ApiError(error.status, f"{request.method} {request.path}: {error.reason}.").render()
    except ConnectionError:
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return ApiError(500, "The engine failed; its log says why.", kind="server_error").render()


def build_guard(service: EngineService, *, api_key: str) -> Middleware:
    """Return the middleware that asks for the key, and for patience while the model loads."""
    keys = Keys(api_key)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/health":
            return await handler(request)
        check_peer(request)
        keys.check(request)
        if "Origin" in request.headers and not api_key:
            raise ApiError(403, "Web pages may not use an engine that has no API key.", code="forbidden")
        if service.state != "ready" and request.path != "/metrics":
            headers = {"Retry-After": str(LOADING_RETRY_SECONDS)}
            message = f"The model is not ready: {service.state}."
            raise ApiError(503, message, kind="server_error", code=service.state, headers=headers)
        return await handler(request)

    return guard


class Routes:
    """The calls of the API."""

    def __init__(self, service: EngineService) -> None:
        self._service = service
        admission = Admission(service.options)
        self._completions = Completions(service, admission)
        self._embeddings = Embeddings(service, admission)

    async def health(self, _request: web.Request) -> web.Response:
        """Say whether the model answers."""
        state = self._service.state
        return web.json_response(
            {"status": "ok" if state == "ready" else state}, status=200 if state == "ready" else 503
        )

    async def metrics(self, _request: web.Request) -> web.Response:
        """Show the counters to Prometheus."""
        body = generate_latest(self._service.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def models(self, _request: web.Request) -> web.Response:
        """List what is served."""
        entries = [build_model(info, created=created) for info, created in self._service.list_models()]
        return web.json_response({"object": "list", "data": entries})

    async def model(self, request: web.Request) -> web.Response:
        """Describe one model or adapter; its name may have slashes."""
        name = request.match_info["name"]
        check_model(self._service, name)
        entry = next((info, created) for info, created in self._service.list_models() if info.id == name)
        return web.json_response(build_model(entry[0], created=entry[1]))

    async def queue(self, _request: web.Request) -> web.Response:
        """Say how much there is to do, and how long one more request would wait."""
        limit = self._service.options.queue_limit
        entries = [
            {"model": name, **build_backlog(backlog)} for name, backlog in self._service.roster.backlogs().items()
        ]
        return web.json_response({"object": "queue", "limit": limit, "data": entries})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a conversation."""
        return await self._completions.chat(request, parse_chat(await read_json(request)))

    async def text(self, request: web.Request) -> web.StreamResponse:
        """Continue a text."""
        return await self._completions.text(request, parse_text(await read_json(request)))

    async def embeddings(self, request: web.Request) -> web.Response:
        """Turn texts into vectors."""
        return await self._embeddings.answer(request, parse_embeddings(await read_json(request)))

    async def load_adapter(self, request: web.Request) -> web.Response:
        """Serve an adapter as a model of its own."""
        call = parse_adapter(await read_json(request), is_load=True)
        try:
            await self._service.load_adapter(call.name, Path(call.path), sha256=call.sha256)
        except AdapterRefused as error:
            raise ApiError(error.status, str(error), param="lora_path", code=error.code) from error
        return web.Response(text=f"Success: LoRA adapter '{call.name}' added successfully.")

    async def unload_adapter(self, request: web.Request) -> web.Response:
        """Serve an adapter no more; answers that it began are completed."""
        call = parse_adapter(await read_json(request), is_load=False)
        try:
            self._service.roster.unload(call.name)
        except LookupError as error:
            message = f"The adapter {call.name!r} is not loaded."
            raise ApiError(404, message, param="lora_name", code="adapter_not_found") from error
        return web.Response(text=f"Success: LoRA adapter '{call.name}' removed successfully.")

    async def forget(self, request: web.Request) -> web.Response:
        """Keep nothing of conversations in memory, by their `cache_salt`."""
        for scope in parse_forget(await read_json(request)):
            self._service.forget(scope)
        return web.json_response({"object": "forgotten"})

    async def tokenize(self, request: web.Request) -> web.Response:
        """Count the tokens of a conversation or a text."""
        parsed = parse_tokenize(await read_json(request))
        check_model(self._service, parsed.model)
        if parsed.text is not None:
            tokens = await self._service.encode_text(parsed.text, add_special=parsed.add_special_tokens)
        else:
            extras = build_extras(
                self._service.loaded.encoder.dialect,
                parsed.messages,
                tool_use=parsed.tool_use,
                options=parsed.options,
                add_generation_prompt=parsed.add_generation_prompt,
            )
            tokens = (await encode_messages(self._service, parsed.messages, extras)).tokens
        limit = self._service.facts.n_ctx
        return web.json_response({"count": len(tokens), "max_model_len": limit, "tokens": list(tokens)})


async def read_json(request: web.Request) -> object:
    """Return the body, which must be declared as JSON: a form on a foreign web page cannot do that."""
    if request.content_type != "application/json":
        raise ApiError(415, "The body must be JSON, declared as Content-Type: application/json.")
    try:
        return json.loads(await request.read())
    except web.RequestPayloadError as error:
        raise ApiError(400, "The body is not what its Content-Encoding says.", code="invalid_body") from error
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "The body is not valid JSON.", code="invalid_json") from error
