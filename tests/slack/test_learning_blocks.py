"""What is shown of learning passes Slack's own rules, whatever stands in it, and says what it must."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.language import speaking
from bot.learning.figures import BeforeAfter, Figure, Role, RunReport
from bot.learning.views import AdapterLine, LearningStatus, Why
from bot.playground.blocks import check_message_blocks, check_view
from bot.slack.blocks import Said, build_answer_buttons, build_correction_view, says_public
from bot.slack.home.learned import build_learned
from bot.slack.home.steering import render_run
from bot.slack.learning.figures import render_cost, render_figures, render_proofs, tell_difference
from bot.slack.learning.report import build_report
from bot.slack.learning.why import build_why, render_why
from bot.slack.learning.words import build_permission, name_of, render_adapters, render_line, render_status, tell_time

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
TEXTS = st.text(max_size=400) | st.sampled_from(["", "x" * 5000, "<!channel> & <@U1>", "`*_~>"])
QUESTION = BeforeAfter("Who owns billing?", "Priya", "I do not know.", "Priya owns it.", is_right=True, person="U0TOM")
ADAPTER = AdapterLine(
    name="run-7", run_id=7, state="active", created_at=NOON, changed_at=NOON, reasons=("Better by 40 points.",), ups=3
)


def figure(**changes: Any) -> Figure:
    """Build a figure that got better."""
    values = {
        "metric": "recall",
        "label": "corrected questions right",
        "role": Role.BENEFIT,
        "candidate": 0.92,
        "incumbent": 0.04,
        "n": 50,
        "low": 0.8,
        "high": 0.95,
        "unit": "share",
    }
    return Figure(**{**values, **changes})


def report(**changes: Any) -> RunReport:
    """Build the report of a run that went well."""
    values: dict[str, Any] = {
        "run_id": 7,
        "adapter": "run-7",
        "outcome": "Run 7 learned 50 things and answers everybody now.",
        "decision": "promote",
        "reasons": ("It is surely better at what was taught.",),
        "learned_from": {"corrections": 50, "liked answers": 12},
        "left_out": {"secrets": 1},
        "figures": (figure(),),
        "proofs": (("P1", True, "The base that was trained is the base that is served."),),
        "before_after": (QUESTION,),
        "seconds": 480.0,
        "train_seconds": 300.0,
        "tokens_per_second": 1200.0,
        "energy_kwh": 0.004,
        "energy_source": "estimated",
        "price": "less than a cent",
    }
    return RunReport(**{**values, **changes})


def texts_of(blocks: Any) -> str:
    """Return every text in some blocks."""
    if isinstance(blocks, dict):
        return "\n".join(texts_of(value) for key, value in blocks.items() if key not in {"type", "style"})
    if isinstance(blocks, list):
        return "\n".join(texts_of(item) for item in blocks)
    return str(blocks)


def buttons_of(blocks: list[dict[str, Any]]) -> list[str]:
    """Return the words on the buttons."""
    rows = [block["elements"] for block in blocks if block["type"] == "actions"]
    return [element["text"]["text"] for row in rows for element in row]


def test_a_report_says_everything() -> None:
    """Outcome, counts, before and after, figures, decision, proofs, cost; Rollback asks first."""
    blocks = build_report(report(), picture_id="F1")
    said = texts_of(blocks)

    assert check_message_blocks(blocks) == []
    assert blocks[0]["text"]["text"] == "Run 7 learned 50 things and answers everybody now."
    for words in (
        "50 corrections",
        "Left out: 1 secrets",
        "1 of 1 corrected questions are right now",
        "Before: I do not know.",
        "92%, before 4% (50 asked): better (difference between +80 points and +95 points)",
        "Decision: promote",
        "surely better",
        "1 of 1 proofs",
        "8 min in all · 5 min of training · 1,200 tokens/s · 0.004 kWh (estimated) · less than a cent",
    ):
        assert words in said
    assert buttons_of(blocks) == ["Rollback"]
    assert blocks[-1]["elements"][0]["confirm"]["style"] == "danger"
    assert {"id": "F1"} in [block.get("slack_file") for block in blocks]


@pytest.mark.parametrize(
    ("decision", "state", "buttons"),
    [
        ("promote", "", ["Rollback"]),
        ("canary", "", ["Promote", "Rollback"]),
        ("reject", "", ["Promote anyway"]),
        ("reject", "retired", []),
        ("", "", []),
        ("promote", "waiting", ["Promote", "Veto"]),
        ("canary", "active", ["Rollback"]),
        ("promote", "rolled_back", []),
    ],
)
def test_buttons_follow_the_state(decision: str, state: str, buttons: list[str]) -> None:
    """What is known of the adapter now counts more than what was decided then."""
    assert buttons_of(build_report(report(decision=decision), state=state)) == buttons


@pytest.mark.parametrize("decision", ["promote", "canary"])
@pytest.mark.parametrize("state", ["", "active", "waiting", "rejected", "retired", "rolled_back", "tainted"])
def test_a_report_that_comes_late_says_what_is_so(decision: str, state: str) -> None:
    """A bot or Slack that was away: it was said of what somebody had taken back that it answers everybody."""
    late = report(decision=decision)
    is_served = state in {"", "active", "waiting"}
    blocks = build_report(late, state=state)
    said = texts_of(blocks)

    assert check_message_blocks(blocks) == []
    for words in ("answers everybody now", "questions are right now", "Now ✅"):
        assert (words in said) is is_served
        assert (words in render_run(late, state)) is (is_served and words == "answers everybody now")
    for words in ("it answers nobody now", "questions were right with it", "With it ✅"):
        assert (words in said) is not is_served


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("", "Nothing needs to be done: what answered before goes on"),
        ("active", "It answers all the same, because somebody promoted it."),
        ("rolled_back", ""),
    ],
)
def test_a_refusal_comes_first_and_says_what_to_do(state: str, words: str) -> None:
    """Why stands above what it learned from, and below it whether anything needs to be done."""
    blocks = build_report(report(decision="reject", reasons=("Worse.",)), state=state)
    said = texts_of(blocks)
    assert said.index("Decision: reject") < said.index("Worse.") < said.index("Learned from")
    assert words in said
    assert ("Promote anyway" in said) is (state == "")


def test_what_fails_a_proof_cannot_be_promoted_by_a_button() -> None:
    """A gate may be overruled; a broken file may not."""
    broken = report(decision="reject", proofs=(("P4", False, "The adapter that is served differs."),))
    assert buttons_of(build_report(broken, state="rejected")) == []


def test_what_a_model_answered_links_to_what_people_named() -> None:
    """Slack makes a link of every address; one that a model made may carry words away."""
    named, made = "https://wiki.example/billing", "https://evil.example/?d=Priya"
    item = BeforeAfter("Who owns billing?", f"See {named}", f"Look: {made}", f"{named} or {made}", is_right=True)
    seen = texts_of(build_report(report(before_after=(item,))))

    assert f"Taught: See {named}" in seen
    assert f"Before: Look: `{made}`" in seen
    assert f"{named} or `{made}`" in seen


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, st.integers(0, 60))
def test_no_text_breaks_a_report(text: str, many: int) -> None:
    """However long and whatever it holds, Slack takes it, and nobody is called by it."""
    item = BeforeAfter(text, text, text, text, is_right=False)
    blocks = build_report(
        report(
            outcome=text,
            mend=text,
            reasons=(text,) * many,
            learned_from={f"{text}{number}": number for number in range(many)},
            figures=(figure(label=text, unit=text[:9]),) * many,
            proofs=((text, False, text),) * many,
            before_after=(item,) * many,
            price=text,
        ),
        picture_note=text[:200],
    )
    assert check_message_blocks(blocks) == []
    assert "<!channel>" not in texts_of(blocks[1:])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "better"),
        ({"low": -95.0, "high": -80.0}, "worse"),
        ({"low": -5.0, "high": 1.0, "is_higher_better": False}, "no clear difference"),
        ({"low": -5.0, "high": -1.0, "is_higher_better": False}, "better"),
        ({"low": None}, "too few to tell"),
    ],
)
def test_intervals_in_words(changes: dict[str, Any], words: str) -> None:
    """Better and worse only where the whole interval says so."""
    assert tell_difference(figure(**changes)).startswith(words)


def test_differences_are_written_out() -> None:
    """Nobody reads 1.02e+03, nor 4.61e-07."""
    said = tell_difference(figure(unit="tokens/s", low=-1020.4, high=-76.25))
    assert said == "worse (difference between -1,020 and -76.2)"
    said = tell_difference(figure(unit="nats a token", low=0.0, high=4.61e-07))
    assert said == "no clear difference (difference between +0 and +0)"


def test_what_stands_between_words_is_in_the_language_of_the_rest() -> None:
    """Units, commas and full stops too."""
    with speaking("zh"):
        assert "。Better by 40 points" in render_adapters([ADAPTER])
        assert "50 corrections、12 liked answers" in texts_of(build_learned(STATUSES[2], report()))
        assert render_cost(report(energy_kwh=None, price="")) == "花费：共 8 分钟 · 训练 5 分钟 · 1,200 词元/秒"


def test_the_benefit_stands_first_and_failed_proofs_are_named() -> None:
    """And what was not measured is not said."""
    worse = figure(role=Role.GUARD, label="lost", low=-0.3, high=-0.1)
    figures = [figure(role=Role.NOTE, label="note"), figure(role=Role.BLOCK, label="safe"), worse, figure(label="gain")]
    lines = render_figures(figures).splitlines()
    assert [word in line for word, line in zip(("gain", "lost", "safe", "note"), lines, strict=True)] == [True] * 4
    assert render_figures([figure()] * 20).endswith("12 more, in the run's page")
    assert (
        render_proofs([("P1", True, "x"), ("P2", False, "too far")]) == "1 of 2 proofs of the file hold; ❌ P2: too far"
    )
    assert render_cost(RunReport(run_id=1)) == ""


STATUSES = [
    LearningStatus(off_by="TRAINING_ENABLED"),
    LearningStatus(),
    LearningStatus(allowed_by="U0MAYA", allowed_at=NOON, active="run-7", next_run=NOON),
    LearningStatus(
        allowed_by="the playground",
        canary="run-8",
        canary_share=0.25,
        run_id=9,
        phase="sft",
        step=3,
        steps=40,
        is_paused=True,
        points=17,
        points_needed=50,
        last_run_id=8,
        last_outcome="not enough signal yet: 17 of 50",
    ),
]


def test_a_status_in_words() -> None:
    """Off, waiting for permission, on, and under way."""
    lines = [render_line(status) for status in STATUSES]
    assert "TRAINING_ENABLED" in lines[0]
    assert "train on" in lines[1]
    assert lines[2] == "`run-7` answers everybody; no training runs." or lines[2].startswith("`run-7` answers")
    assert lines[3] == "The base model answers, and `run-8` 25% of the people; run 9 is sft, step 3 of 40 (paused)."
    looks = LearningStatus(allowed_by="U0MAYA", run_id=10, is_run_dry=True, run_state="collecting")
    assert render_line(looks) == "The base model answers; dry run 10 is collecting."
    looked = LearningStatus(last_run_id=10, is_last_dry=True, last_outcome="as planned")
    assert "Last dry run, 10: as planned" in render_status(looked)
    whole = render_status(STATUSES[3])
    assert "17 of 50 points" in whole
    assert "Training was allowed by the playground." in whole
    assert "Last run, 8: not enough signal yet: 17 of 50" in whole
    with speaking("zh"):
        assert "playground" not in render_status(STATUSES[3]), "who allowed it, in the language of the rest"
    assert "<@U0MAYA> (2026-11-27)" in render_status(STATUSES[2])
    assert name_of("<x>") == "&lt;x&gt;"


def test_the_lists_and_the_question_for_permission_fit() -> None:
    """Forty adapters, and the terms with their button."""
    assert len(render_adapters([ADAPTER] * 40)) < 3000
    assert "nothing was learned" in render_adapters([])
    blocks = build_permission("U0MAYA")
    assert check_message_blocks(blocks) == []
    assert "no legal advice" in texts_of(blocks)
    assert buttons_of(blocks) == ["I understand, and I may decide this for my team"]


@given(TEXTS)
def test_an_explanation_fits(text: str) -> None:
    """For an adapter's answer and for the base's."""
    base = Why(model=text[:200] or "m", model_sha256=text[:64])
    learned = Why(
        model="m",
        model_sha256="0" * 64,
        adapter="run-7",
        run_id=7,
        run_finished_at=NOON,
        learned_from={f"{text}{number}": number for number in range(20)},
        prompt_name="system",
        prompt_version=text,
        sampling=text,
        finish_reason="stop",
        seconds=1.5,
        prompt_tokens=120,
        cached_tokens=100,
    )
    for why in (base, learned):
        assert check_view(build_why(render_why(why))) == []
    assert "the base model answered" in texts_of(render_why(base))
    assert "120 read (100 remembered, 20 new)" in texts_of(render_why(learned))


@pytest.mark.parametrize(("is_public", "is_asker"), [(True, True), (True, False), (False, True), (False, False)])
def test_who_may_learn_from_a_correction(*, is_public: bool, is_asker: bool) -> None:
    """In public everybody can, and is told so; elsewhere whoever asked ticks a box, and nobody else can."""
    view = build_correction_view("A1", is_public=is_public, said=Said(is_asker=is_asker))
    assert check_view(view) == []
    assert ("Teach this to everyone" in texts_of(view)) is (is_asker and not is_public)
    assert ("everybody can learn from your correction" in texts_of(view)) is says_public(view) is is_public


def test_why_stands_only_where_it_is_answered() -> None:
    """Without learning there is no such button."""
    assert buttons_of(build_answer_buttons("A1")) == ["Regenerate"]
    blocks = build_answer_buttons("A1", is_public=True, is_explained=True)
    assert buttons_of(blocks) == ["Regenerate", "Why?"]
    assert check_message_blocks(blocks) == []


def test_a_moment_is_named_in_utc_to_whom_slack_names_it_in_no_zone_of_theirs() -> None:
    """A schedule's next time is in the machine's own zone."""
    moment = datetime(2027, 11, 1, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert tell_time(moment) == f"<!date^{int(moment.timestamp())}^{{date_short_pretty}} {{time}}|2027-11-01 01:30 UTC>"
