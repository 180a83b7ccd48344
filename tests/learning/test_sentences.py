"""What a run says at night is said again in its reader's language, with its figures; what nobody knows stays."""

from string import Formatter

import pytest

from bot.language import _, speaking
from bot.learning import sentences
from bot.learning.data.points import NotEnoughSignal, check_enough
from bot.learning.data.policy import DataPolicy
from bot.learning.figures import Figure, Role
from bot.learning.judging.contest import note_few
from bot.learning.judging.gate import GateLimits, find_benefits
from bot.learning.judging.pooling import say_pooled
from bot.learning.rollout.evidence import Evidence
from bot.learning.sentences import say_again


def fill(sentence: str, text: str) -> str:
    """Return a sentence with a number where it has one, and *text* everywhere else."""
    values: dict[str, object] = {}
    for _text, name, form, _conversion in Formatter().parse(sentence):
        if name:
            values[name] = 3 if form else text
    return sentence.format(**values)


@pytest.mark.parametrize("sentence", sentences.FILLED_IN)
@pytest.mark.parametrize("text", ["apprentice-7", "another file; two parts"])
def test_each_sentence_is_known_again(sentence: str, text: str) -> None:
    """No other sentence takes it for its own; in English it is what it was."""
    english = fill(sentence, text)

    assert say_again(english) == english
    with speaking("zh"):
        assert say_again(english) == fill(_(sentence), text)


@pytest.mark.parametrize(
    "text",
    ["", "It was fine.", "Taught: a; b; c", "nats", "/models/a.gguf: No such file or directory.", "{label}: {now}"],
)
def test_what_was_made_of_none_stays(text: str) -> None:
    """An older version's words, a person's or a machine's are shown as they were kept."""
    with speaking("zh"):
        said = say_again(text)
    assert said == {"nats": "奈特"}.get(text, text)


def figure(**changes: object) -> Figure:
    """Return the share of taught facts that are said, which is better for few people alone."""
    values = {
        "metric": "taught_facts",
        "label": note_few("Taught facts said when asked in new words", 5),
        "role": Role.BENEFIT,
        "candidate": 0.9,
        "incumbent": 0.125,
        "n": 40,
        "low": 0.5,
        "high": 0.9,
        "unit": "share",
        "details": {"p": 0.001},
    }
    return Figure(**{**values, **changes})  # type: ignore[arg-type]


def test_a_sentence_within_a_sentence_is_said_again_too() -> None:
    """The gate's reason holds a figure, the figure its label, and the label how sure it is."""
    (gains, _failed) = find_benefits({"taught_facts": figure()}, frozenset({"taught_facts"}), GateLimits())

    said = "taught facts said when asked in new words (only 5 independent, so the interval is rough): 90%, before 12%"
    assert gains == [f"Better: {said}, of 40 asked."]
    with speaking("zh"):
        assert say_again(gains[0]) == (
            "变好：换一种问法时能说出教过的事实（只有 5 个相互独立，因此区间很粗略）：90%，之前 12%，共问 40 次。"
        )


def test_a_label_keeps_its_abbreviations_in_a_reason() -> None:
    """It begins small within a sentence, and nothing else of it changes."""
    carried = figure(
        metric="thumbs_auc",
        label="Liked answers gain more than disliked ones (AUC)",
        unit="",
        details={"p": 0.0001, "without": 0.01, "p_without": 0.4},
    )
    (_gains, failed) = find_benefits({"thumbs_auc": carried}, frozenset({"thumbs_auc"}), GateLimits())

    assert "liked answers gain more than disliked ones (AUC) differs by +0.01 without them" in failed[0]
    with speaking("zh"):
        assert say_again(failed[0]) == (
            "收益只来自少数人：好评的回答比差评的回答提升更多（AUC），去掉他们相差 +0.01，加上他们相差 +0.78。"
        )


def test_folds_ratings_and_lacks_are_said_again() -> None:
    """What the cross-validation, the watch and the data say, as they say it."""
    folds = [
        figure(details={"folds": 3.0, "from": 0.4, "to": 0.7} if number else {"folds": 3.0}) for number in range(4)
    ]
    with pytest.raises(NotEnoughSignal) as lack:
        check_enough(17.5, 3, people_used=3, policy=DataPolicy(), likes=1, dislikes=0, others=1)
    said = [say_pooled(folds), Evidence(0.8, ups=3, downs=4).say(), str(lack.value)]

    with speaking("zh"):
        chinese = [say_again(sentence) for sentence in said]
    assert "准确率 90%（猜测为 12%），精确率 90%（40% 至 70%；猜测为 12%）" in chinese[0]
    assert chinese[1].startswith("7 次评价中有 3 次好评，与 80% 相比较；")
    assert chinese[2].startswith("反馈还不够：17.5 分，需要 ")
    assert "在所有人都能看到的地方" in chinese[2] or "频道" in chinese[2]


def test_what_no_reviewer_may_read_is_not_promised_to_do() -> None:
    """Where corrections are reviewed, more of them count only once one approved them, and of a private channel none."""
    policy = DataPolicy(needs_review=True, only_channel="C0LEADS")
    with pytest.raises(NotEnoughSignal) as lack:
        check_enough(2.5, 3, people_used=3, policy=policy, likes=1, dislikes=0, others=1)
    assert "that a reviewer has approved; what is said in a private channel no reviewer may read." in str(lack.value)
    with speaking("zh"):
        assert say_again(str(lack.value)).startswith("反馈还不够：2.5 分")
