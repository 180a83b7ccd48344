"""What is said of a run before anybody reads it, and how it is said again in a reader's language.

Gate, proofs and watch decide at night, and nobody knows yet who will read why. What they say is kept in English: so the
database, the run's page, the logs and the command line have it whole. Sentences that are filled in stand here;
`say_again` finds the one that a kept text was made of, takes the values out of it, and fills them into its translation.
What was made of none of them, as an error of the machine or what a person wrote, is said as it stands.

A value with a format, as `{count:d}`, is a number; one without may be a sentence of its own, and is said again too.
"""

import re
from functools import cache
from string import Formatter
from typing import Any

from bot.language import ENGLISH, N_, _, spoken

# The gate's figures and reasons.
FIGURE = N_("{label}: {now}, before {before}, of {count:d} asked")
MEASURED = {
    N_("nats a token"): N_("{value:.2f} nats a token"),
    N_("nats"): N_("{value:.2f} nats"),
    N_("tokens"): N_("{value:.2f} tokens"),
    N_("bits"): N_("{value:.2f} bits"),
}
ROUGH = N_("{label} (only {count:d} independent, so the interval is rough)")
BETTER = N_("Better: {figure}.")
WORSE = N_("Worse: {figure}.")
PROOF_FAILS = N_("Proof {name} fails: {sentence}")
NOT_MEASURED = N_("Not measured, so not known to be harmless: {metrics}.")
FEW_ASK = N_("{people:d} people ask, too few for a trial with some of them: everybody gets it, and it is watched.")
BENEFIT_NOT_MEASURED = N_("The declared benefit {metric} could not be measured.")
NOT_BEYOND_LUCK = N_("No benefit beyond luck: {figure} (chance {luck:.2g}, at most {allowed:.2g}).")
TOO_SMALL = N_("The benefit is too small: {figure}, at least {least:+.2f} is wanted.")
CARRIED_BY_FEW = N_(
    "The benefit is carried by a few people: {label} differs by {without:+.2f} without them, by {whole:+.2f} with them."
)
SAID_BY_FEW = N_("The benefit is what one or two of {asked:d} people voted for: {label}.")
FAR_FROM_BASE = N_("It is far from the base: {drift:.2f} nats a token on the base's own answers.")
TOO_FAR_FROM_BASE = N_("It is too far from the base: {drift:.2f} nats a token, at most {limit:.2f}.")
LOST_ONE = N_("{lost:d} pinned question that must stay right got lost.")
LOST_SEVERAL = N_("{lost:d} pinned questions that must stay right got lost.")
TELLS_APART = N_("It tells people apart more than before: {figure}.")
OTHER_LENGTH = N_("Answers are {ratio:.2f} times as long as before, which nobody asked for.")
REMEMBERS = N_(
    "It remembers planted secrets: {mean:.1f} bits on average (at most {limit:.0f}), {highest:.1f} of the best known "
    "one (below {highest_limit:.0f})."
)
SAYS_SECRETS = N_("It says {said:.0f} of {count:d} planted secrets when asked.")
FOLDS_ARE_WORSE = N_(
    "Trained without a part of the votes and asked about that part, the recipe tells liked from disliked answers worse "
    "than guessing and the base do: {right:.0%} right of {count:d}, guessing {guessed:.0%}."
)

# Cross-validation.
FOLDS_LABEL = N_("Liked and disliked answers told apart by adapters not trained on them: {rate}, beside guessing")
FOLDS = N_(
    "Few votes are held out, so the recipe was trained {folds:.0f} times more, each time without a part of the votes, "
    "and judged by that part ({count:d} answers): {accuracy}, {precision}, {recall}, {f1}."
)
RATE = N_("{rate} {share:.0%} (guessing {guessed:.0%})")
RATE_BETWEEN = N_("{rate} {share:.0%} ({low:.0%} to {high:.0%}; guessing {guessed:.0%})")
FOLDS_LEFT_OUT = N_("Cross-validation was left out: {reason}")
FOLDS_FAULT = N_("something nobody foresaw ended it ({error}): see the bot's log.")
TOO_FEW_VOTES = N_("there are {liked:d} liked and {disliked:d} disliked answers, and it takes {needed:d} of each.")
TIME_OVER_IN_FOLD = N_("the time for training was over in fold {fold:d} of {folds:d}.")
TIME_TOO_SHORT = N_(
    "it would take about {needed:.0f} minutes more, and {left:.0f} are left of the time for training "
    "(TRAINING_WINDOW, TRAINING_MAX_MINUTES)."
)

# The proofs of a file.
ALIKE = N_("{nats:.1e} nats a token and agree on {same:.2%} of {places:d} first choices")
BASES_DIFFER = N_("The served base and the one to train differ by {agreement}.")
BASES_DIFFER_TOO_MUCH = N_(
    "The served base and the one to train differ by {agreement}; at most {limit:g} nats and at least {choice:.0%} are "
    "needed. Its RoPE scaling or head size may be lost on the way, or TRAINING_BASE is another model: set "
    "TRAINING_BASE to the right one."
)
ADAPTERS_DIFFER = N_(
    "The served adapter and the trained one differ by {agreement} (at most {limit:.1e}), and {effect} (between "
    "{least:g} and {most:g})."
)
EFFECT = N_("its effect is {ratio:.3f} of the trained one")
SAME_CHOICES = N_(
    "Served and trained adapter choose the same first token at {same:.2%} of {places:d} places (at least {least:.2%})."
)
ENGINE_REFUSES = N_("The engine refuses the adapter: {error}")
NOT_AS_TRAINED = N_("{file} is not what was trained: {faults}.")
MISSING = N_("{name} is missing")
TOO_MUCH = N_("{name} is too much")
NO_NUMBERS = N_("{name} holds NaN or infinity")
NOT_THE_RUNS = N_("{name} is not the run's")
CHANGES_MOST = N_(
    "{file} adapts {count:d} weights; {weight} changes most, by {change:.3f} of its size (at most {limit:g})."
)
MIX_CHANGES_MOST = N_(
    "Mixed, the two adapters change {weight} most, by {change:.3f} of its size (at most {limit:.3f})."
)

# What became of a run.
BETTER_IN_SHADOW = N_(
    "The new adapter is better; it answers {count:d} questions in shadow first, for nobody to see, and is served then "
    "unless it fails or somebody objects."
)
BETTER_AND_WAITS = N_("The new adapter is better; it is served in {minutes:d} minutes unless somebody objects.")
PRICE = N_("{price:.2g} (at {each:g} a kWh)")
STATED_WATTS = N_("{watts:g} watts, as stated")
NOT_ENOUGH = N_(
    "not enough signal yet: {points} of {needed}. {corrections:d} more corrections or {votes:d} more votes would "
    "do, {place}."
)
NOT_ENOUGH_REVIEWED = N_(
    "not enough signal yet: {points} of {needed}. {votes:d} more votes would do, {place}, or {corrections:d} more "
    "corrections that a reviewer has approved; what is said in a private channel no reviewer may read."
)
NOT_ENOUGH_PEOPLE = N_(
    "not enough signal yet: {people:d} of {needed:d} people. What all get must not come from fewer: somebody else has "
    "to vote or correct too."
)
ONLY_DISLIKED = N_(
    "not enough signal yet: all {votes:d} votes are 👎, and nothing says what would be right. Correct some answers, or "
    "like the good ones."
)
OTHER_MODEL = N_(
    "Another model is served now ({now}, {now_hash}) than when this run began ({then_hash}), and nothing can go over "
    "from one to the other: start a new run."
)
NOT_FORESEEN = N_("Something nobody foresaw ({error}) ended it again and again.")
SPOILT = N_("{path} is not what was written there ({error}): something changed it. Start a run again.")

# What was done with an adapter, and why.
MIXED_IN = N_("{adapter} is mixed into it, and was taken back.")
BACK_AGAIN = N_("It is back, because {adapter} was taken back.")
TOOK_ITS_PLACE = N_("{adapter} took its place.")
MODEL_IS_BACK = N_("The model that it was trained on is served again.")
UNWILLING = N_(
    "Somebody or a channel that {adapter} learned from has said no to that since, and nobody new gets it: the next "
    "run makes one without them."
)
HAS_TAKEN_BACK = N_(
    "{adapter} learned from a correction that was changed, taken back or rejected since, and nobody new gets it: the "
    "next run makes one without it."
)
UNWILLING_PART = N_("{adapter}, which is mixed into it, learned from somebody or a channel that said no to that since.")
FOR_OTHER_MODEL = N_(
    "{adapter} was trained on another model ({hash}) than the one that is served now ({served_hash}): the next run "
    "trains one for this model."
)
NOBODY_OBJECTED = N_("Nobody objected within {time}.")
NOBODY_DISLIKED_ONE_HOUR = N_("Nobody disliked it in {answers:d} answers and {hours:d} hour; no proof of a gain.")
NOBODY_DISLIKED = N_("Nobody disliked it in {answers:d} answers and {hours:d} hours; no proof of a gain.")
LOSES_LITTLE = N_("{ups:d} of {votes:d} ratings are good: it loses less than {limit:.0%} of them.")
NO_HARM_SEEN = N_("No harm was seen in {votes:d} ratings and {days:d} days; that is no proof of a gain.")
NO_RATING = N_("No rating yet; it is compared with {floor:.0%} good ones.")
RATINGS = N_(
    "{ups:d} of {votes:d} ratings are good, compared with {floor:.0%}; the evidence of harm is {odds:.2g}, at "
    "{limit:.0f} it is taken back."
)
BROKEN = N_("{broken:d} of its last {answers:d} answers failed, were empty or ran in a loop.")
BROKEN_IN_SHADOW = N_("In shadow {broken:d} of {answers:d} answers were empty or ran in a loop.")
LENGTH_IN_SHADOW = N_("In shadow its answers were {ratio:.1f} times as long as those that were served.")
SEEN_IN_SHADOW = N_(
    "In shadow it answered {answers:d} questions of the day, {broken:d} of them in vain, {ratio:.1f} times as long as "
    "what was served."
)

# How far a run is.
EVALUATING = N_("Evaluating, {number:d} of {all:d}: {what}")
IN_FOLD = N_("fold {number:d} of {all:d}: {phase}")
PHASES = (  # of a run, of its data and of its trainer, as they stand in its row
    N_("queued"),
    N_("collecting"),
    N_("training"),
    N_("proving"),
    N_("judging"),
    N_("choosing"),
    N_("reading"),
    N_("phrasing"),
    N_("rehearsing"),
    N_("writing"),
    N_("waiting for the engine"),
    N_("loading"),
    N_("searching"),
    N_("exporting"),
    N_("scoring"),
)

NUMBER = r"[-+]?(?:\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?%?|nan|inf)"
FILLED_IN = [
    text
    for name, value in list(globals().items())
    for text in (value.values() if isinstance(value, dict) else [value])
    if name.isupper() and isinstance(text, str) and "{" in text
]


def say_again(text: str) -> str:
    """Return *text*, which was kept in English, in the language that is spoken."""
    if spoken() == ENGLISH or not text:
        return text
    for known in (text, text[:1].upper() + text[1:]):  # a label within a sentence begins small
        if (said := _(known)) != known:
            return said
    for sentence, pattern in _patterns():
        if found := pattern.fullmatch(text):
            values = {name: _say_value(value) for name, value in found.groupdict().items()}
            return _Filler().vformat(_(sentence), (), values)
    return text


def _say_value(value: str) -> str:
    """Return a sentence, or several with semicolons between them, that stood in another one."""
    said = say_again(value)
    return said if said != value else "; ".join(say_again(part) for part in value.split("; "))


class _Filler(Formatter):
    """Fills in values that are written out already."""

    def format_field(self, value: Any, format_spec: str) -> str:  # noqa: ARG002 - it has been followed before
        return str(value)


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Return each sentence with what finds its values; the longest beginning comes first: it holds what is within."""
    found = []
    for sentence in FILLED_IN:
        parts = list(Formatter().parse(sentence))
        pattern = "".join(re.escape(text) + _catch(name, form) for text, name, form, _conversion in parts)
        found.append((len(parts[0][0]), sum(len(part[0]) for part in parts), sentence, re.compile(pattern, re.DOTALL)))
    return [(sentence, pattern) for *_length, sentence, pattern in sorted(found, key=lambda one: one[:2], reverse=True)]


def _catch(name: str | None, form: str | None) -> str:
    return "" if name is None else f"(?P<{name}>{NUMBER if form else '.+'})"
