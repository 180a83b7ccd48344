"""A run's report as `bot train` and `bot adapters show` print it."""

from bot.cli_learning import render
from bot.learning.figures import Figure, Role, RunReport


def test_a_report_in_a_terminal() -> None:
    """Outcome, reasons, figures as per cent with their intervals in points, proofs, and what was not measured."""
    facts = Figure(
        metric="f",
        label="facts",
        role=Role.BENEFIT,
        candidate=0.9,
        incumbent=0.0,
        n=20,
        low=0.75,
        high=1.0,
        unit="share",
    )
    length = Figure(metric="l", label="length", role=Role.GUARD, candidate=31.0, incumbent=33.0, n=48, unit="tokens")

    said = render(
        RunReport(
            run_id=7,
            outcome="It is better.",
            reasons=("Facts are said.",),
            figures=(facts, length),
            proofs=(("P1", False, "They differ."),),
            learned_from={"corrected answers": 20},
        )
    )

    assert said.splitlines() == [
        "Run 7: It is better.",
        "  because  Facts are said.",
        "  learned  20 corrected answers",
        "  FAILS  They differ.",
        "  facts: 0% -> 90%  (+75 points to +100 points)",
        "  length: 33 -> 31 tokens",
    ]
