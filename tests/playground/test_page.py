"""The playground's page, driven as a person does in a real browser against the real server and a real Bolt app."""

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from tests.playground.browser import COMPOSER, Page, Stage

pytestmark = pytest.mark.browser

MAYA, TOM = "U0MAYA", "U0TOM"
DM, SUPPORT, GENERAL = "D0MAYA", "C0SUPPORT", "C0GENERAL"
OTHER_FIELD = ".chat.open .chat-foot textarea"


WATCH = """new MutationObserver(() => { window.seen ||= Boolean(document.querySelector(arguments[0])); })
    .observe(document.body, {childList: true, subtree: true, attributes: true});"""


def test_an_answer_streams_in_and_gets_its_thumbs(page: Page) -> None:
    """A question in the app's chat is answered below it, in Markdown, and ends with feedback buttons."""
    page.go(MAYA, DM)
    page.run(WATCH, ".chat .streaming .body")
    page.write("May we refund an order?")

    page.see(".chat .body strong", "Refunds")
    page.see(".chat .body li", "Press Refund")
    page.see(".chat .body .code pre", "refund(order)")
    page.see(".thumb.positive")
    assert not page.all(".streaming, .stop")
    assert page.run("return window.seen"), "it streamed in"


def test_suggested_prompts_ask_for_the_person(page: Page) -> None:
    """An empty chat offers the app's prompts; choosing one asks it, and the focus goes to the reply."""
    page.go(MAYA, DM)
    page.click(".prompt-card", "Refunds")

    page.see(".chat .message", "May we refund an order?")
    page.see(".thumb.positive")
    page.wait(lambda: page.run("return document.activeElement.matches(arguments[0])", OTHER_FIELD), what="the focus")


def test_a_reply_continues_its_chat_and_a_new_message_starts_another(page: Page) -> None:
    """Words in a chat's field stay in it; words in the field below open a new chat and fold the first."""
    page.go(MAYA, DM)
    page.write("First question")
    page.see(".thumb.positive")
    page.write("And then?", OTHER_FIELD)
    page.wait(lambda: len(page.all(".thumb.positive")) == 2, what="the second answer")
    assert len(page.all(".chat")) == 1

    page.write("Something else")
    page.wait(lambda: len(page.all(".chat")) == 2, what="a second chat")
    page.see(".chat:not(.open) .chat-title", "Maya: First question")
    page.wait(lambda: len(page.all(".chat.open .thumb.positive")) == 1, what="its answer, after which nothing moves")
    page.click(".chat:not(.open) .chat-fold")
    page.wait(lambda: len(page.all(".chat.open .thumb.positive")) == 3, what="both chats unfolded")


def test_a_folded_chat_without_a_title_names_whom_it_mentions(page: Page, stage: Stage) -> None:
    """It is called by its first words, with names and not ids."""
    playground = stage.playground
    page.go(MAYA, DM)
    stage.do(playground.maya.say(DM, "Told <@U0TOM> of <#C0GENERAL> <!here>"))
    page.see(".thumb.positive")
    page.write("Something else")
    page.see(".chat:not(.open) .chat-title", "Maya: Told @Tom of #general")


def test_a_thumb_down_asks_why(page: Page, stage: Stage) -> None:
    """The app's modal opens, shows the app's error beside its field, and hands over what was entered."""
    page.go(MAYA, DM)
    page.write("May we refund an order?")
    page.click(".thumb.negative")
    page.see("dialog.modal h2", "What was wrong?")

    page.click("dialog.modal .primary")
    page.see("dialog.modal .wrong .problem", "fill this in")
    page.write("no", "dialog.modal textarea")
    page.click("dialog.modal .primary")
    page.see("dialog.modal .wrong .problem", "A little more")
    page.click("dialog.modal .choice", "Long")
    page.see("dialog.modal textarea").send_keys("Only for 14 days.")
    page.chord(Keys.CONTROL, Keys.ENTER)

    page.gone("dialog.modal")
    assert stage.submitted[0]["right"]["right_text"]["value"] == "no\nOnly for 14 days."
    assert [option["value"] for option in stage.submitted[0]["tags"]["tags_boxes"]["selected_options"]] == ["long"]
    assert page.see(".thumb.negative").get_attribute("aria-pressed") == "true"


def test_stop_ends_an_answer(page: Page, stage: Stage) -> None:
    """While the app works there is a Stop; pressing it ends the answer and takes the status line away."""
    page.go(MAYA, DM)
    page.write("Answer slowly.")
    page.see(".status", "is writing")
    page.see(".chat .streaming .body", "word word")
    page.click(".stop")

    page.gone(".status")
    page.gone(".streaming")
    assert len(stage.playground.messages(DM, stage.playground.messages(DM)[0]["ts"])[1]["markdown_text"]) < 1900


def test_what_others_write_is_unread_until_looked_at(page: Page, stage: Stage) -> None:
    """A mention marks its channel; opening it shows where the new begins and takes the mark away."""
    page.go(MAYA, GENERAL)
    tom = stage.playground.tom
    stage.do(tom.say("support", "Morning. <@U0MAYA>, did it go out?"))
    page.see(f'.place.unread[href$="{SUPPORT}"] .count', "1")
    assert page.driver.title.startswith("(1)")

    page.driver.execute_script("window.requestAnimationFrame = (draw) => setTimeout(draw, 500);")  # a slow machine
    page.click(f'.place[href$="{SUPPORT}"]')
    page.see(".new-line", "New")
    page.see(".main .message", "@Maya, did it go out?")
    page.gone(".place.unread")


def test_two_people_share_a_channel(page: Page) -> None:
    """Switching the person keeps the channel: a mention of the app, its thread, and a reaction are there for both."""
    page.go(MAYA, SUPPORT)
    page.write("@Apprentice may we refund?")
    page.see(".thread-bar", "1 reply")
    page.click(".me-button")
    page.click(".menu-row", "Tom")
    page.see(".team-note", "You are Tom")
    page.click(".thread-bar")
    page.see(".thread-pane .body strong", "Refunds")
    page.write("Thanks", ".thread-pane .pane-foot textarea")

    page.see(".thread-pane .message", "Thanks")
    page.see(".main .thread-bar", "2 replies")
    page.keys(Keys.ESCAPE)
    page.gone(".thread-pane")


def test_a_command_answers_only_the_person(page: Page) -> None:
    """A slash command completes, runs, and its ephemeral answer says that nobody else sees it."""
    page.go(MAYA, SUPPORT)
    page.see(COMPOSER).send_keys("/app")
    page.see(".completion li", "/apprentice")
    page.keys(Keys.TAB)
    page.see(".completion li", "help")  # the words of the manifest's hint
    page.keys("he", Keys.TAB)
    page.gone(".completion")
    page.keys(Keys.ENTER)

    page.see(".ephemeral .only-you", "Only visible to you")
    page.see(".ephemeral .body strong", "help")
    page.write("/nothing at all")
    page.see(".toast.bad", "/nothing is not a command")
    assert page.see(COMPOSER).get_attribute("value") == "/nothing at all"


def test_a_reload_returns_to_the_same_view(page: Page) -> None:
    """Person, channel, thread and an unsent draft outlive a reload."""
    page.go(TOM, SUPPORT)
    page.write("A question for everybody")
    page.see(".main .message", "A question").click()
    page.keys("t")
    page.write("First!", ".thread-pane .pane-foot textarea")
    page.see(".thread-pane .message", "First!")
    page.see(COMPOSER).send_keys("half a thought")
    page.driver.refresh()

    page.see(".team-note", "You are Tom")
    page.see(".thread-pane .message", "First!")
    assert page.see(COMPOSER).get_attribute("value") == "half a thought"


@pytest.mark.parametrize("place", [SUPPORT, DM])
def test_hostile_text_stays_text(page: Page, stage: Stage, place: str) -> None:
    """Markup and dangerous links in people's and apps' messages are shown, never run."""
    hostile = '<img src=x onerror="document.title=1"> [click](javascript:alert(1)) <b>bold</b>'
    page.go(MAYA, place)
    page.write(hostile)
    page.see(".main .message", '<img src=x onerror="document.title=1">')
    if place == SUPPORT:
        stage.do(say_as_app(stage, hostile))
        page.see(".main .message .unlinked", "click")

    made = "return document.querySelectorAll('.message .content :is(img, b, [href^=javascript])').length"
    assert page.run(made) == 0
    assert page.driver.title != "1"


async def say_as_app(stage: Stage, text: str) -> None:
    """Post Markdown as the app."""
    assert stage.app is not None
    await stage.app.client.chat_postMessage(channel=SUPPORT, markdown_text=text)


def test_own_messages_can_be_edited_and_deleted(page: Page) -> None:
    """Up edits the last own message in its place; deleting asks first."""
    page.go(MAYA, SUPPORT)
    page.write("Helo @Tom")
    page.see(".main .message .mention", "@Tom")
    page.see(COMPOSER).send_keys(Keys.ARROW_UP)
    assert page.see(".editor textarea").get_attribute("value") == "Helo @Tom"
    page.wait(lambda: page.run("return document.activeElement.matches('.editor textarea')"), what="the focus")
    page.chord(Keys.CONTROL, "a")
    page.keys("Hello there", Keys.ENTER)
    page.see(".main .message", "Hello there")
    page.see(".main .message .edited")

    page.see(".main .message").click()
    page.click('.toolbar [data-tool="trash"]')
    page.click("dialog .danger", "Delete")
    page.gone(".main .message")


def test_reactions_come_from_a_searchable_picker(page: Page) -> None:
    """The picker finds an emoji by name; a reaction can be taken back by pressing it again."""
    page.go(MAYA, SUPPORT)
    page.write("We did it")
    page.see(".main .message").click()
    page.click('.toolbar [data-tool="react"]')
    page.write("tada", ".emoji-picker input")
    page.see(".reaction[aria-pressed=true]", "🎉").click()
    page.gone(".reaction")


def test_a_dangerous_button_asks_first(page: Page) -> None:
    """A button with a confirm dialog acts only when the person agrees."""
    page.go(MAYA, DM)
    page.write("show blocks")
    page.click(".actions .danger", "Roll back")
    page.see("dialog h2", "Sure?")
    page.click("dialog .dialog-foot button", "Keep")
    page.gone("dialog[open]")
    page.click(".actions .danger", "Roll back")
    page.click("dialog .dialog-foot button", "Do it")
    page.see(".ephemeral .body", "Rolled back.")


def test_the_inspector_shows_and_filters_what_went_by(page: Page) -> None:
    """Events and calls stand in the drawer; one opens as JSON; a filter by text leaves what fits."""
    page.go(MAYA, DM)
    page.write("May we refund an order?")
    page.see(".thumb.positive")
    page.click("#toggle-inspector")
    page.see(".log-row", "message.im")
    page.see(".log-filters input").send_keys("startStream")
    page.wait(lambda: len(page.all(".log-row")) == 1, what="one row")
    page.click(".log-row", "chat.startStream")

    page.see(".log-detail .json", '"recipient_user_id": "U0MAYA"')
    page.keys(Keys.ESCAPE)
    page.gone(".inspector")


def test_faults_and_the_clock_are_at_hand(page: Page, stage: Stage) -> None:
    """A fault is switched on at the panel, and the clock moves on."""
    page.go(MAYA, DM)
    page.click("#toggle-inspector")
    page.click(".inspector .tab", "Faults & clock")
    page.click(".fault .switch", "Slow Web API")
    page.see(".fault.on", "Slow Web API")
    page.click(".panel-card button", "+5 min")
    page.see(".clock-now", "s ahead")

    assert stage.playground.hub.clock.offset == pytest.approx(300, abs=1)
    assert stage.playground.hub.faults.is_on("latency")


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    """Jump, write, walk the messages, open a thread, answer in it and come back, without a mouse."""
    page.go(MAYA, DM)
    page.see(COMPOSER)
    page.chord(Keys.CONTROL, "k")
    page.see(".switcher input")
    page.keys("supp", Keys.ENTER)
    page.see(".pane-title h1", "support")
    page.wait(lambda: page.run("return document.activeElement.matches(arguments[0])", COMPOSER), what="the focus")
    page.keys("Written by keys", Keys.ENTER)
    page.see(".main .message", "Written by keys")
    page.run("document.querySelector('.main .scroller').focus()")
    page.keys(Keys.ARROW_UP)
    page.keys("t")
    page.see(".thread-pane")
    page.wait(lambda: page.run("return document.activeElement.closest('.thread-pane') !== null"), what="the focus")
    page.keys("And answered", Keys.ENTER)
    page.see(".thread-pane .message", "And answered")
    page.keys(Keys.ESCAPE)

    page.gone(".thread-pane")
    page.keys("?")
    page.see("dialog h2", "Help")
    page.keys(Keys.ESCAPE)
    page.gone("dialog[open]")


def test_a_phone_shows_one_pane_at_a_time(page: Page) -> None:
    """At 390 pixels the list, the conversation and the thread follow each other, and nothing sticks out."""
    page.resize(390, 844, touch=True)
    page.go(MAYA)
    page.see(".sidebar")
    assert not page.all(".main")
    page.click(f'.place[href$="{SUPPORT}"]')
    page.write("@Apprentice may we refund?")
    page.click(".thread-bar")
    page.see(".thread-pane .body strong", "Refunds")
    assert page.run("return document.elementFromPoint(195, 400).closest('.thread-pane') !== null")
    assert page.run("return document.documentElement.scrollWidth") == 390
    page.click(".thread-pane .phone-only")
    page.gone(".thread-pane")
    page.click(".main .phone-only")
    page.see(".sidebar")


def test_light_and_dark_follow_the_system_until_chosen(page: Page) -> None:
    """The page follows the system's preference; the switch overrides it and is remembered."""
    page.prefer("dark")
    page.go(MAYA, DM)
    dark = page.run("return getComputedStyle(document.querySelector('.main')).backgroundColor")
    page.click('[aria-label="Dark or light"]')
    page.see(":root[data-theme=light]")
    light = page.run("return getComputedStyle(document.querySelector('.main')).backgroundColor")
    page.driver.refresh()
    page.see(COMPOSER)

    assert dark != light == "rgb(255, 255, 255)"
    assert page.run("return document.documentElement.dataset.theme") == "light"


def test_channels_are_made_and_people_invited(page: Page, stage: Stage) -> None:
    """A new channel opens at once; inviting the app brings it in."""
    page.go(MAYA, DM)
    page.click('[aria-label="Create a channel"]')
    page.see("dialog input[name=name]").send_keys("Plan B")
    page.click("dialog .primary")
    page.see(".pane-title h1", "plan-b")
    page.click(".members")
    page.click("dialog .primary", "Invite")
    page.run("const field = document.querySelector('dialog select'); field.value = 'U0APPRENTICE'")
    page.click("dialog .primary", "Invite")
    page.gone("dialog[open]")

    page.see(".members", "2")
    assert "U0APPRENTICE" in stage.playground.hub.workspace.channel_named("plan-b").members


def test_without_an_app_the_page_says_how_to_start_one(driver: webdriver.Chrome) -> None:
    """With no app connected there is the command that starts one, with this server's address."""
    with Stage(with_app=False) as stage:
        page = Page(driver, stage.url)
        page.go(MAYA, DM)
        page.see(".banner.offline", "The app is not connected")
        page.see(".banner.offline pre", f"SLACK_API_URL={stage.url}/api/")
        driver.get("about:blank")


def test_a_lost_connection_is_said_and_mended(page: Page, stage: Stage) -> None:
    """When the server cuts the page off, it connects again and catches up on what it missed."""
    page.go(MAYA, SUPPORT)
    page.see(COMPOSER)

    async def cut() -> None:
        stage.playground.hub.live.close()
        await stage.playground.tom.say("support", "Written meanwhile")

    stage.do(cut())
    page.see(".main .message", "Written meanwhile")
    page.gone(".connection")


MARKDOWN = [
    (
        "**a** *b* ***c*** ~~d~~ snake_case",
        "<p><strong>a</strong> <em>b</em> <strong><em>c</em></strong> <s>d</s> snake_case</p>",
    ),
    ("1. a\n   - b\n2. c", '<ol start="1"><li>a<ul><li>b</li></ul></li><li>c</li></ol>'),
    ("> q\n> - l", "<blockquote><p>q</p><ul><li>l</li></ul></blockquote>"),
    ("&lt;b&gt; <@U1> :tada:", "@U1"),
    (
        "[x](javascript:alert(1))",
        '<p><span class="unlinked" title="javascript:alert(1)">x (javascript:alert(1))</span></p>',
    ),
    ("| a |\n|--:|\n| 1 |", '<td class="align-right">1</td>'),
    ("Use `` a`b ``", '<code class="inline">a`b</code>'),
]
MRKDWN = [
    ("*b* _i_ ~s~ `*c*` a*b*c", '<strong>b</strong> <em>i</em> <s>s</s> <code class="inline">*c*</code> a*b*c'),
    (
        "<https://a.b|x> &amp; &lt;i&gt;",
        '<a href="https://a.b" target="_blank" rel="noopener noreferrer">x</a> &amp; &lt;i&gt;',
    ),
    ("<javascript:alert(1)|x>", "&lt;javascript:alert(1)|x&gt;"),
    ("on <!date^1767225600^{date_num}|1 January>.", ">01/01/2026</time>."),
    ("on <!date^1767225600^{nope}|1 &lt; 2>", ">1 &lt; 2</time>"),
    ("on <!date^1767225600^{date_num}^https://a.b|1 January>", 'rel="noopener noreferrer"><time title='),
    ("<!date^1767225600^{date_num}, {ago}|1 January>", ">01/01/2026, "),
]
HOSTILE = ["**a ", "*a ", "_a ", "[", "[a](", "`a ", "<", "*", "> ", "~~a ", "|a"]


def test_text_is_drawn_as_slack_does(page: Page) -> None:
    """Markdown and mrkdwn come out as they are meant to; text made to be slow holds the page up for seconds at most."""
    page.go(MAYA, SUPPORT)
    draw = """const [module, name, text, done] = arguments;
        const names = {nameOf: (id) => id, channels: new Map(), me: {id: "U9"}};
        const start = performance.now();
        import(`/static/${module}.js`).then((found) => {
            const html = found[name](text, names).innerHTML;
            done([html, performance.now() - start]);
        });"""
    for module, name, cases in (("markdown", "renderMarkdown", MARKDOWN), ("mrkdwn", "renderMrkdwn", MRKDWN)):
        for text, html in cases:
            assert html in page.driver.execute_async_script(draw, module, name, text)[0]
        for piece in HOSTILE:
            assert page.driver.execute_async_script(draw, module, name, piece * (12_000 // len(piece)))[1] < 8000


def test_every_block_is_drawn_or_shown_as_it_is(page: Page, stage: Stage) -> None:
    """Blocks of all kinds appear; one that the page does not know is folded JSON, not nothing."""
    page.go(MAYA, SUPPORT)
    draw = """const done = arguments[0];
        Promise.all([import("/static/blocks.js"), import("/static/form.js")]).then(([{renderBlocks}, {FormState}]) => {
            const text = (words) => ({type: "plain_text", text: words});
            const options = ["A", "B"].map((value) => ({text: text(value), value}));
            const store = {users: new Map(), channels: new Map(), me: {id: "U9"}, nameOf: (id) => id};
            const kinds = ["static_select", "multi_static_select", "radio_buttons", "checkboxes", "datepicker",
                "timepicker", "overflow", "users_select", "channels_select", "conversations_select", "button"];
            const elements = kinds.map((type) => ({type, action_id: type, options, text: text(type)}));
            const rows = [[{type: "raw_text", text: "Head"}], [{type: "raw_text", text: "Cell"}]];
            const blocks = [{type: "header", text: text("Head")}, {type: "divider"}, {type: "actions", elements},
                {type: "table", rows}, {type: "image", image_url: "https://example.com/a.png", alt_text: "far away"},
                {type: "markdown", text: "**strong**"}, {type: "context", elements: [text("small")]},
                {type: "input", label: text("Label"), element: {type: "number_input", action_id: "n"}},
                {type: "hologram", depth: 3}];
            const host = {id: "x", store, form: new FormState(), act() {}};
            const drawn = renderBlocks(blocks, host);
            document.body.append(drawn);
            done([drawn.childElementCount, drawn.querySelectorAll(".unknown").length, drawn.innerText,
                drawn.querySelectorAll("img").length]);
        });"""
    count, unknown, text, pictures = page.driver.execute_async_script(draw)
    assert (count, unknown, pictures) == (9, 1, 0)
    assert "hologram" in text
    assert "far away" in text
