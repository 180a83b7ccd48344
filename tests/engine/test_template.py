"""Templates from downloaded files: rendered faithfully, and harmless however hostile they are."""

import json
import time

import pytest

from bot.engine.chat.template import APP, CHATML, ChatTemplate, Extras, Message, TemplateFailure, WordsChangedError

TALK = (Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hello."), Message("user", "Bye"))

HOSTILE = {
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ raise_exception.__globals__.os }}",
    "getattr filter": "{{ ''|attr('__class__') }}",
    "format string": "{{ '{0.__class__}'.format(1) }}",
    "wide format": "{{ '{:>1000000000}'.format(1) }}",
    "percent format": "{{ '%1000000000d' % 1 }}",
    "os": "{{ namespace.__init__.__globals__['os'].popen('id').read() }}",
    "import": "{% import 'os' as os %}",
    "include": "{% include '/etc/passwd' %}",
    "mutation": "{% set l = [1] %}{{ l.append(2) }}",
    "product": "{{ 'a' * 1000000000 }}",
    "power": "{{ 9 ** 9 ** 9 }}",
    "doubling": "{% set n = namespace(s='aaaa') %}{% for i in range(80) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "adding": "{% set n = namespace(s='aaaa') %}{% for i in range(80) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "lists": "{% set n = namespace(s=[1]) %}{% for i in range(80) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "padding": "{{ 'a'.ljust(2000000000) }}",
    "replacing": "{{ ('a' * 9000).replace('a', 'b' * 9000).replace('b', 'c' * 9000) }}",
    "joining": "{{ range(9999)|join('x' * 9999)|length }}{{ ([1] * 9999)|join('x' * 9999)|length }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "output": "{% for i in range(9999) %}{{ 'x' * 9999 }}{% endfor %}",
    "unknown filter": "{{ 'a'|center(1000000000) }}",
    "division": "{{ 1 / 0 }}",
    "undefined": "{{ nothing.at.all }}",
    "syntax": "{% for %}",
    "refusal": "{{ raise_exception('roles must alternate') }}",
}


def text_of(template: ChatTemplate, messages: tuple[Message, ...] = TALK) -> str:
    """Return the rendered text."""
    return "".join(part.text for part in template.render(messages))


def test_a_template_renders_the_usual_text() -> None:
    """ChatML is rendered as every other engine renders it."""
    assert text_of(ChatTemplate(CHATML), TALK[:2]) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_parts_tell_whose_words_are_whose() -> None:
    """Each message's words are a part of their own, in the order of the template."""
    parts = ChatTemplate(CHATML).render(TALK)

    assert [(part.message, part.text) for part in parts if part.message is not None] == [
        (0, "Be brief."),
        (1, "Hi"),
        (2, "Hello."),
        (3, "Bye"),
    ]


def test_a_template_may_trim_words() -> None:
    """Many templates strip white space; the words are still told apart."""
    template = ChatTemplate("{% for m in messages %}[{{ m.content | trim }}]{% endfor %}")

    assert text_of(template, (Message("user", "  hi \n"), Message("user", "there"))) == "[hi][there]"


def test_a_template_may_look_at_words() -> None:
    """A template that asks whether a word occurs is served as long as it does not change the words."""
    template = ChatTemplate(
        "{% for m in messages %}{% if '</think>' in m.content %}T{% endif %}{{ m.content }}{% endfor %}"
    )

    assert text_of(template, (Message("user", "plain"),)) == "plain"
    with pytest.raises(WordsChangedError):
        template.render((Message("user", "a</think>b"),))


def test_words_inside_json_are_told_apart() -> None:
    """Texts in tools and calls keep their author however often they are written as JSON."""
    source = "{{ tools | tojson }}|{{ messages[0].calls | tojson | tojson }}|{{ messages[0].content | trim }}"
    words = 'say "<x>"\n'
    message, extras = Message("user", "hi ", {"calls": [{words: words}]}), Extras(tools=({"name": words},))
    template = ChatTemplate(source)

    parts = template.render((message,), extras, is_risky=lambda word: "<" in word)

    assert "".join(part.text for part in parts) == template.render_whole((message,), extras)
    escaped = json.dumps(words)[1:-1]
    twice = json.dumps(escaped)[1:-1]
    assert [(part.message, part.text) for part in parts if part.message is not None] == [
        (APP, escaped),
        (0, twice),
        (0, twice),
        (0, "hi"),
    ]


def test_a_template_may_trim_some_roles_only() -> None:
    """Llama's templates strip what people say and keep what tools say as it is."""
    template = ChatTemplate(
        "{% for m in messages %}[{{ m.content if m.role == 'tool' else m.content | trim }}]{% endfor %}"
    )

    assert text_of(template, (Message("user", " hi "), Message("tool", " 5\n", {"id": "c"}))) == "[hi][ 5\n]"


def test_nobody_can_forge_a_mark() -> None:
    """Words that look like the renderer's own marks stay words."""
    forged = "\ue0000123.1\ue001"

    assert forged in text_of(ChatTemplate(CHATML), (Message("user", forged), Message("user", "x")))


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_template_ends_in_an_error(source: str) -> None:
    """No attribute of Python, no giant value and no crash: a clear error within the time limit."""
    started = time.monotonic()

    with pytest.raises(TemplateFailure):
        ChatTemplate(source).render(TALK)

    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
        "{% for i in range(9999) %}{% for j in range(9999) %}{{ '' }}{% set x = i * 2 %}{% endfor %}{% endfor %}",
        "{% macro m(n) %}{% for i in range(999) %}{{ m(n - 1) if n }}{% endfor %}{% endmacro %}{{ m(3) }}",
    ],
)
def test_an_endless_template_times_out(source: str) -> None:
    """Loops within loops are ended by the clock."""
    started = time.monotonic()

    with pytest.raises(TemplateFailure, match="too long"):
        ChatTemplate(source, seconds=0.3).render(TALK)

    assert time.monotonic() - started < 5


def test_a_giant_template_is_refused() -> None:
    """A source of megabytes is not compiled at all."""
    with pytest.raises(TemplateFailure, match="too long"):
        ChatTemplate("x" * 300_000)
