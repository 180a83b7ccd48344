"""Block Kit's rules: what Slack takes passes, what it refuses is named by place and reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models import blocks as sdk

from bot.playground.blocks import check_message_blocks, check_view, find_element
from tests.playground.test_streams import FEEDBACK

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
TYPES = st.sampled_from(["section", "actions", "context", "input", "header", "markdown", "rich_text", "image", "nope"])


def plain(text: str) -> dict[str, Any]:
    """Build a plain_text object."""
    return {"type": "plain_text", "text": text}


def button(**fields: Any) -> dict[str, Any]:
    """Build a button."""
    return {"type": "button", "text": plain("Go"), "action_id": "go", **fields}


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    """Build an actions block."""
    return {"type": "actions", "elements": list(elements)}


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ({}, "missing required field: type [json-pointer:/blocks/0]"),
        ({"type": "nope"}, "unsupported type: nope [json-pointer:/blocks/0/type]"),
        ("text", "must be an object [json-pointer:/blocks/0]"),
        ({"type": "section"}, "missing required field: text or fields [json-pointer:/blocks/0]"),
        (
            {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}},
            "must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
        ),
        (
            {"type": "section", "text": {"type": "mrkdwn", "text": ""}},
            "must be more than 0 characters [json-pointer:/blocks/0/text/text]",
        ),
        (
            {"type": "section", "fields": [plain("x")] * 11},
            "no more than 10 items allowed [json-pointer:/blocks/0/fields]",
        ),
        ({"type": "header", "text": plain("x" * 151)}, "must be less than 151 characters"),
        (
            {"type": "header", "text": {"type": "mrkdwn", "text": "x"}},
            "must be one of: plain_text [json-pointer:/blocks/0/text/type]",
        ),
        ({"type": "divider", "colour": "red"}, "invalid additional property: colour [json-pointer:/blocks/0]"),
        ({"type": "divider", "block_id": "x" * 256}, "must be less than 256 characters"),
        (actions(), "no fewer than 1 items required [json-pointer:/blocks/0/elements]"),
        (actions(*[button(action_id=f"{n}") for n in range(26)]), "no more than 25 items allowed"),
        (actions(button(), button()), "action_id go already exists [json-pointer:/blocks/0/elements/1/action_id]"),
        (actions(button(text=plain("x" * 76))), "must be less than 76 characters"),
        (actions(button(value="x" * 2001)), "must be less than 2001 characters"),
        (actions(button(url="javascript:alert(1)")), "must be a valid URL"),
        (actions(button(style="loud")), "must be one of: primary, danger"),
        (actions({"type": "plain_text_input", "action_id": "x"}), "unsupported type: plain_text_input"),
        ({"type": "context", "elements": [plain("x")] * 11}, "no more than 10 items allowed"),
        ({"type": "context_actions", "elements": [button()]}, "unsupported type: button"),
        ({"type": "context_actions", "elements": FEEDBACK["elements"] * 6}, "no more than 5 items allowed"),
        ({"type": "markdown", "text": "x" * 12_001}, "must be less than 12001 characters"),
        ({"type": "image", "image_url": "https://x.org/i.png"}, "missing required field: alt_text"),
        ({"type": "rich_text", "elements": [{"type": "text"}]}, "unsupported type: text"),
    ],
)
def test_what_slack_refuses(block: Any, problem: str) -> None:
    """Each broken rule is reported with the place where it is broken."""
    problems = check_message_blocks([block])

    assert [text for text in problems if problem in text], problems
    assert all(text.startswith("[ERROR] ") for text in problems)


def test_block_ids_are_unique() -> None:
    """Two blocks with one id are refused, as are more than fifty."""
    block = {"type": "divider", "block_id": "a"}
    assert "block_id a already exists" in check_message_blocks([block, block])[0]
    assert check_message_blocks([{"type": "divider"}] * 51) == [
        "[ERROR] no more than 50 items allowed [json-pointer:/blocks]"
    ]


@pytest.mark.parametrize(
    "block",
    [
        sdk.SectionBlock(text="Hi", accessory=sdk.ButtonElement(text="Go", action_id="a", value="v", style="danger")),
        sdk.SectionBlock(fields=["a", "b"]),
        sdk.DividerBlock(),
        sdk.HeaderBlock(text="Title"),
        sdk.ImageBlock(image_url="https://x.org/i.png", alt_text="x", title="t"),
        sdk.ContextBlock(
            elements=[sdk.MarkdownTextObject(text="x"), sdk.ImageElement(image_url="https://x", alt_text="y")]
        ),
        sdk.MarkdownBlock(text="# Hi"),
        sdk.ActionsBlock(
            elements=[
                sdk.StaticSelectElement(placeholder="p", action_id="s", options=[sdk.Option(value="1", text="One")]),
                sdk.DatePickerElement(action_id="d", initial_date="2026-01-01"),
                sdk.OverflowMenuElement(
                    action_id="o", options=[sdk.Option(value="1", text="One"), sdk.Option(value="2", text="Two")]
                ),
                sdk.UserSelectElement(placeholder="who", action_id="u"),
                sdk.CheckboxesElement(action_id="c", options=[sdk.Option(value="1", text="One", description="d")]),
                sdk.ButtonElement(
                    text="Sure?",
                    action_id="b",
                    confirm=sdk.ConfirmObject(title="t", text="x", confirm="Yes", deny="No"),
                ),
            ]
        ),
        sdk.InputBlock(label="l", element=sdk.PlainTextInputElement(action_id="p", multiline=True), hint="h"),
        sdk.InputBlock(
            label="l", element=sdk.RadioButtonsElement(action_id="r", options=[sdk.Option(value="1", text="One")])
        ),
        sdk.RichTextBlock(elements=[sdk.RichTextSectionElement(elements=[])]),
        FEEDBACK,
    ],
    ids=lambda block: block["type"] if isinstance(block, dict) else block.type,
)
def test_what_slack_takes(block: Any) -> None:
    """Blocks as the SDK builds them pass."""
    assert check_message_blocks([block if isinstance(block, dict) else block.to_dict()]) == []


@given(st.lists(JSON | st.fixed_dictionaries({"type": TYPES, "elements": JSON, "text": JSON}), max_size=3))
def test_no_json_breaks_the_check(blocks: list[Any]) -> None:
    """Whatever an app sends is either fine or refused, and never an error of ours."""
    assert all(isinstance(problem, str) for problem in check_message_blocks(blocks))
    assert check_view({"type": "modal", "title": plain("x"), "blocks": blocks}) is not None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"title": plain("x" * 25)}, "must be less than 25 characters [json-pointer:/view/title/text]"),
        ({"type": "home"}, "must be one of: modal"),
        ({"blocks": None}, "missing required field: blocks"),
        ({"submit": None}, "missing required field: submit"),
        ({"private_metadata": "x" * 3001}, "must be less than 3001 characters"),
        (
            {"blocks": [{"type": "markdown", "text": "x"}]},
            "unsupported type: markdown [json-pointer:/view/blocks/0/type]",
        ),
        ({"blocks": [{"type": "divider"}] * 101}, "no more than 100 items allowed [json-pointer:/view/blocks]"),
    ],
)
def test_views(changes: dict[str, Any], problem: str) -> None:
    """A modal has a short title, blocks that fit, and a submit button where there is an input."""
    input_block = {
        "type": "input",
        "label": plain("l"),
        "element": {"type": "plain_text_input", "action_id": "a"},
    }
    good = {"type": "modal", "title": plain("T"), "submit": plain("S"), "blocks": [input_block]}
    assert check_view(good) == []
    problems = check_view({**good, **changes})
    assert [text for text in problems if problem in text], problems


def test_elements_are_found_by_block_and_action() -> None:
    """Only the element in the named block counts."""
    blocks = [{**actions(button()), "block_id": "a"}, {"type": "section", "block_id": "b", "accessory": button()}]
    assert find_element(blocks, "b", "go") == button()
    assert find_element(blocks, "c", "go") is None
