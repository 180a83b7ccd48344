"""The process that renders chat templates for `renderer.py`: a line of JSON in, a line of JSON out.

It has no secrets, writes no files, starts no processes, and its clock ends it in the middle of anything.
"""

import functools
import json
import signal
import sys
from datetime import UTC, datetime

from jinja2 import Template, TemplateError

from bot.confine import limit
from bot.engine.chat.sandbox import BoundedEnvironment, render_bounded


def main() -> None:
    """Answer until the line is closed."""
    limit(cpu_seconds=None, niceness=0)  # it lives as long as the engine; each template has a time of its own
    say({"text": ""})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request["seconds"])
        reply = answer(request)
        signal.setitimer(signal.ITIMER_REAL, 0)
        say(reply)


def answer(request: dict[str, object]) -> dict[str, str]:
    """Compile a template and render it if there are variables; whatever goes wrong is the template's fault."""
    variables = request.get("variables")
    try:
        template = compile_template(str(request["source"]))
    except Exception as error:  # noqa: BLE001 - Jinja and Python's compiler have many ways to refuse
        return {"error": f"cannot be read: {describe(error)}"}
    if not isinstance(variables, dict):
        return {"text": ""}
    try:
        return {"text": render_bounded(template, variables)}
    except Exception as error:  # noqa: BLE001 - it is the template's own code that fails
        return {"error": f"failed: {describe(error)}"}


def describe(error: Exception) -> str:
    """Return an error in few words."""
    if isinstance(error, MemoryError):
        return "it needs too much memory"
    return str(error)[:500] or type(error).__name__


@functools.lru_cache(maxsize=4)
def compile_template(source: str) -> Template:
    """Return the compiled template."""
    environment = BoundedEnvironment()
    environment.globals |= {"raise_exception": raise_exception, "strftime_now": strftime_now}
    return environment.from_string(source)


def raise_exception(message: str) -> None:
    """Let the template refuse an order of messages, as templates on the Hub do."""
    raise TemplateError(str(message)[:200])


def strftime_now(pattern: str) -> str:
    """Return the time in a form that the template chooses."""
    return datetime.now(tz=UTC).strftime(pattern[:50])


def say(reply: dict[str, str]) -> None:
    """Write one line."""
    sys.stdout.buffer.write(json.dumps(reply).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
