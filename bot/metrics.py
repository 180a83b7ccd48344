"""What the bot counts for Prometheus; never a text, a name or an id of a person."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("apprentice_events_total", "Events that Slack delivered", ["outcome"])
ACCEPT_SECONDS = Histogram(
    "apprentice_accept_seconds",
    "From an event's arrival until it is committed and can be acknowledged",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3),
)
ANSWERS = Counter("apprentice_answers_total", "Answers by how they ended", ["state"])
FIRST_TEXT = Histogram(
    "apprentice_first_token_seconds",
    "From the start of a turn until the model's first token",
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30),
)
ENGINE_RESTARTS = Counter("apprentice_engine_restarts_total", "Engine processes that ended or hung and were replaced")
WAITING = Gauge("apprentice_inbox_waiting", "Events that wait for an answer or are being answered")
LOG_LINES_LOST = Counter("apprentice_log_lines_lost_total", "Lines of the log that found no room or no reader")
