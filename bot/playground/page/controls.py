"""What the developer's panel does: faults, the clock, a fresh start, a refresh of the sockets."""

from __future__ import annotations

from bot.playground.entities import Json
from bot.playground.errors import PageError
from bot.playground.hub import Hub
from bot.playground.page.request import PageRequest
from bot.playground.page.state import clock_state

MAX_ADVANCE = 90 * 86_400


def post_faults(page: PageRequest) -> Json:
    """Switch a fault on or off."""
    params = page.value("params") or {}
    if not isinstance(params, dict):
        raise PageError("“params” must be an object.")
    switch_fault(page.hub, page.text("name"), enabled=page.value("enabled") is not False, params=params)
    return {"faults": page.hub.faults.to_json()}


async def post_clock(page: PageRequest) -> Json:
    """Move the clock on."""
    seconds = page.number("advance_s")
    if not 0 <= seconds <= MAX_ADVANCE:
        raise PageError("The clock moves by 0 seconds to 90 days, and only forwards.")
    await page.hub.clock.advance(seconds)
    clock = clock_state(page.hub)
    page.hub.live.push({"type": "clock", "clock": clock})
    return {"clock": clock}


def post_reset(page: PageRequest) -> Json:
    """Start over with the seed workspace."""
    page.hub.reset()
    return {"ok": True}


async def post_refresh(page: PageRequest) -> Json:
    """Make the app open new sockets, as Slack does every few hours."""
    await page.hub.sockets.refresh()
    return {"ok": True}


def switch_fault(hub: Hub, name: str, *, enabled: bool, params: Json) -> None:
    """Switch a fault, let it take effect on what is open, and show it."""
    try:
        hub.faults.switch(name, enabled=enabled, params=params)
    except ValueError as error:
        raise PageError(str(error)) from error
    if hub.faults.is_cut:
        hub.sockets.cut()
    hub.inspector.note("fault", name, direction="to_app", ok=True, status="on" if enabled else "off")
    hub.live.push({"type": "faults", "faults": hub.faults.to_json()})
    hub.push_app()
