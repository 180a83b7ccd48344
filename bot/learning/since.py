"""What an adapter that was found better has become since its run: what was said then may be true no more."""

from bot.language import N_
from bot.learning.figures import Decision, RunReport
from bot.storage.adapters import HELD, adapter_of_run, find_shown_state
from bot.storage.db import Session
from bot.storage.learning_tables import AdapterState

BETTER = {Decision.PROMOTE, Decision.CANARY}
GONE = {AdapterState.REJECTED, AdapterState.RETIRED, AdapterState.ROLLED_BACK, AdapterState.TAINTED}  # answer nobody
GONE_SINCE = N_("The new adapter was better, but something else was decided since: it answers nobody now.")
HELD_SINCE = N_(
    "The new adapter was better, but training was switched off since: it waits until somebody promotes it, and answers "
    "nobody before."
)
TRIED_SINCE = N_("The new adapter was better on what it was tested on; some people get it first.")
SERVED_SINCE = N_("The new adapter was better and answers everybody now.")
SERVED_THERE_SINCE = N_("The channel's new adapter was better and answers everybody there now.")


def is_gone(report: RunReport, state: str) -> bool:
    """Return whether an adapter that was found better answers nobody, now that the report of it is read."""
    return state in GONE and report.decision in BETTER


def say_since(report: RunReport, state: str) -> str:
    """Say what an adapter that was found better is by now, in its *state* as people are told it; empty: what was said
    of the run stands.
    """
    if is_gone(report, state):
        return GONE_SINCE
    if report.decision not in BETTER:
        return ""
    served = SERVED_THERE_SINCE if report.channel_id else SERVED_SINCE
    return {str(AdapterState.ACTIVE): served, str(AdapterState.CANARY): TRIED_SINCE, HELD: HELD_SINCE}.get(state, "")


async def find_since(session: Session, report: RunReport) -> str:
    """Return what the adapter of a run is by now, in words; empty: what was said of the run stands."""
    made = await adapter_of_run(session, report.run_id)
    return "" if made is None else say_since(report, await find_shown_state(session, made))
