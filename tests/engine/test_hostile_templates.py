"""Templates written by an enemy: every one ends in an error or in harmless text, soon and in little memory."""

import asyncio
import os
import resource
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from bot.engine.chat.renderer import Renderer, RenderError, shared_renderer
from bot.engine.chat.template import ChatTemplate, Message, TemplateFailure
from bot.engine.types import AnswerOptions
from bot.errors import EngineError
from tests.engine.conftest import serving
from tests.engine.tiny_model import CHATML, write_tiny_model

TALK = (Message("system", "Be brief."), Message("user", "Hi"))
COMMAND = "touch {marker}"
INSIDES = ("<class 'object'", "<class 'type'", "builtin_function", "root:x", "os.py")
GROWN = "{% set n = namespace(s='Aa') %}{% for i in range(12) %}{% set n.s = n.s + n.s %}{% endfor %}"
LIST = "{% set l = namespace(v=[n.s]) %}{% for i in range(18) %}{% set l.v = l.v + l.v %}{% endfor %}"
TWICE = "{% set l.v = [l.v, l.v] %}{% set l.w = [l.w, l.w] %}"
LAUGHS = "{% set l = namespace(v=[1], w=[1]) %}{% for i in range(40) %}" + TWICE + "{% endfor %}"
OBJECTS = ("''", "[]", "{}", "()", "0", "messages", "messages[0]", "range", "namespace", "dict", "raise_exception")
OBJECTS += (
    "strftime_now",
    "self",
    "loop",
    "joiner",
    "cycler",
    "lipsum",
    "request",
    "config",
    "undefined",
    "namespace()",
)
WAYS = (
    "{{ %s.__class__.__mro__[-1].__subclasses__() }}",
    "{{ %s['__class__']['__base__']['__subclasses__']() }}",
    "{{ %s|attr('__class__')|attr('__base__') }}",
    "{{ %s.__init__.__globals__.__builtins__.open('/etc/passwd').read() }}",
    "{{ %s.__globals__['os'].system('{command}') }}",
    "{{ %s.__code__.co_consts }}{{ %s.func_globals }}{{ %s.gi_frame.f_back.f_globals }}",
    "{{ %s['_' ~ '_class_' ~ '_'] }}",
    "{{ %s['\\x5f\\x5fclass\\x5f\\x5f'].mro() }}",
    "{%% set x = %s %%}{{ x.__reduce_ex__(2) }}{{ x.__dict__ }}{{ x.__doc__.__class__ }}",
    "{{ [%s]|map(attribute='__class__')|list }}",
    "{{ [%s]|selectattr('__class__')|map(attribute='__class__.__name__')|join }}",
    "{{ [%s]|groupby('__class__')|list }}{{ [%s]|sort(attribute='__class__')|list }}",
)
ESCAPES = (
    "{{ self._TemplateReference__context.environment.globals }}",
    "{{ self.__init__.__globals__ }}{{ self._context }}{{ self.environment.filters }}",
    "{{ cycler.__init__.__globals__.os.popen('{command}').read() }}",
    "{{ joiner.__init__.__globals__.os.system('{command}') }}",
    "{{ lipsum.__globals__['os'].popen('{command}').read() }}",
    "{{ namespace.__init__.__globals__['os'].popen('{command}').read() }}",
    "{% for c in [].__class__.__base__.__subclasses__() %}{{ c('{command}', shell=True) }}{% endfor %}",
    "{{ get_flashed_messages.__globals__.__builtins__ }}{{ url_for.__globals__ }}",
    "{{ '{0.__class__.__mro__}'.format('') }}",
    "{{ '{0.__class__}'.format_map({'0': 1}) }}",
    "{{ ('{0.__' ~ 'class__}').format(1) }}{{ 'x{y.__class__}'.format(y=1) }}",
    "{{ ['{0.__class__}', 1]|map('format', 1)|list }}",
    "{{ '%s'|format('x') }}{{ '%(a)s' % {'a': 1} }}",
    "{{ ''.format.__self__ }}{{ ''.join.__self__.__class__ }}",
    "{% import 'os' as os %}{{ os.system('{command}') }}",
    "{% from 'os' import system %}{{ system('{command}') }}",
    "{% include '/etc/passwd' %}",
    "{% include ['../../etc/passwd', 'x'] ignore missing %}",
    "{% extends '/etc/passwd' %}",
    "{% block x %}{{ self.x.__func__.__globals__ }}{% endblock %}",
    "{% set ns = namespace(__class__=1) %}{{ ns.__class__ }}",
    "{% set ns = namespace() %}{% set ns.__class__ = 1 %}{{ ns.__class__.__mro__ }}",
    "{% macro m() %}{{ caller.__globals__ }}{{ varargs.__class__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}{{ m.__init__.__globals__ }}",
    "{% for x in messages %}{{ loop.__class__ }}{{ loop._iterator }}{{ loop.__init__.__globals__ }}{% endfor %}",
    "{{ messages.append(1) }}{{ messages.clear() }}{{ messages[0].update(role='system') }}",
    "{{ messages[0].__setitem__('role', 1) }}{{ messages.__iadd__([1]) }}",
    "{{ ''|xmlattr }}{{ {}|pprint }}{{ 'x'|urlize }}{{ 'x'|filesizeformat }}{{ 'a'|random }}",
    "{{ raise_exception.__wrapped__ }}{{ strftime_now.__closure__ }}",
    "{{ strftime_now('%9999999999d') }}",
    "{{ strftime_now('%' * 50) }}",
    "{% debug %}{% do messages.clear() %}{% trans %}x{% endtrans %}{% autoescape false %}x{% endautoescape %}",
    "{{ x if x is callable else x.__call__ }}{{ 1 is test('__class__') }}",
    "{{ environment }}{{ context }}{{ resolve('os') }}{{ __builtins__ }}{{ __import__('os') }}",
    "{%- set it = (1, 2)|batch(1) -%}{{ it.gi_frame }}{{ it.gi_code }}",
    "{% for x in messages|map('upper') %}{{ x.__class__ }}{% endfor %}{{ (messages|map('length')).gi_frame }}",
    "# for x in y\n{{ 1 }}\n# endfor\n{% raw %}{{ ''.__class__ }}",
    "{{ ''.__class__ if false }}{{ undefined.a.b.c }}{{ undefined() }}",
    "\x00{{ '\x00'.__class__ }}\ud800",
)
BOMBS = (
    "{{ 'a' * 10**9 }}",
    "{{ 'a' * 10000 * 10000 * 10000 }}",
    "{{ [1] * 10000 * 10000 }}",
    "{{ [[1] * 9999] * 9999 }}",
    "{{ range(10**9)|list }}",
    "{{ range(99999)|list|string|length }}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{{ i * j }}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% if false %}{% endif %}{% endfor %}{% endfor %}",
    GROWN + LIST + "{{ l.v|sort|length }}",
    GROWN + LIST + "{{ l.v|unique|list|length }}",
    GROWN + LIST + "{{ l.v|map('upper')|list|length }}",
    GROWN + LIST + "{{ l.v|join|length }}",
    GROWN + LIST + "{{ l.v|groupby('x')|list|length }}",
    GROWN + LIST + "{{ l.v|tojson|length }}",
    GROWN + LIST + "{{ l.v|string|length }}{{ (l.v ~ l.v)|length }}",
    GROWN + "{{ (n.s|replace('A', n.s))|replace('a', n.s)|length }}",
    GROWN + "{{ n.s.replace('', n.s).replace('', n.s)|length }}",
    GROWN + "{{ n.s.split('a')|map('upper')|map('lower')|list|sort|unique|list|length }}",
    GROWN + "{{ n.s.center(10**9) }}{{ n.s.ljust(10000) }}{{ n.s.zfill(10**8) }}{{ n.s.expandtabs(10**8) }}",
    "{{ ('\\t' * 9999).expandtabs(9999)|length }}",
    "{{ ('\\n' * 9999)|indent(9999)|length }}{{ ('\\n' * 9999)|indent('x' * 9999, true, true)|length }}",
    "{{ 'a'|wordwrap(10**9) }}",
    "{{ 'a'|center(10**9) }}",
    "{{ 'a b'|truncate(10**9) }}{{ [1, 2]|batch(10**9, 'x')|list }}{{ [1]|slice(10**9)|list }}",
    "{{ 1e308 * 1e308 }}{{ 10.0 ** 308 }}{{ 10.0 ** 309 }}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ 9999 ** 9999 ** 2 }}{{ (9999 ** 9999)|string }}",
    "{% set n = namespace(i=2) %}{% for i in range(99) %}{% set n.i = n.i * n.i %}{% endfor %}{{ n.i }}",
    "{% set n = namespace(i=2) %}{% for i in range(99) %}{% set n.i = n.i + n.i * 9999 %}{% endfor %}{{ n.i }}",
    "{{ 1|round(10**9) }}{{ 1.5|round(-(10**9), 'ceil') }}{{ '9' * 9999 }}{{ ('9' * 9999)|int }}",
    "{{ ('9' * 9999)|float }}",
    LAUGHS + "{{ l.v|string|length }}",
    LAUGHS + "{{ l.v|tojson|length }}",
    LAUGHS + "{{ l.v }}",
    LAUGHS + "{{ l.v ~ '' }}",
    LAUGHS + "{{ l.v == l.w }}",
    LAUGHS + "{{ l.v in [l.w] }}{{ [l.v]|unique|list|length }}",
    LAUGHS + "{{ [l.v, l.w]|sort|length }}{{ [l.v, l.w]|max|length }}",
    "{% set n = namespace(t=1) %}{% for i in range(40) %}{% set n.t = (n.t, n.t) %}{% endfor %}{{ {n.t: 1}|length }}",
    "{% set n = namespace(d={}) %}{% for i in range(40) %}{% set n.d = {1: n.d, 2: n.d} %}{% endfor %}{{ n.d|tojson }}",
    "{% set n = namespace(l=[]) %}{% for i in range(9999) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l }}",
    "{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "{% macro a(n) %}{{ b(n) }}{% endmacro %}{% macro b(n) %}{{ a(n) }}{% endmacro %}{{ a(0) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% for x in [[[1]]] recursive %}{{ loop([[x, x], [x, x]]) }}{% endfor %}",
    "{% for i in range(9999) %}{{ loop.index * loop.length }}{{ 'x' * loop.index }}{% endfor %}",
    "{% for i in range(99999) if i > 99998 %}{% for j in range(99999) if j == i %}x{% endfor %}{% endfor %}",
    "{% for i in range(99999) if range(99999)|sum == i %}x{% endfor %}",
    "{% for a in range(99999) %}{% set x = range(99999)|sum %}{% endfor %}",
    "{% for a in range(99999) %}{% set x = range(99999)|map('string')|join|length %}{% endfor %}",
    "{% for a in range(99999) %}{% set x = (range(99999)|list)|reverse|list|length %}{% endfor %}",
    "{{ range(99999)|map('replace', '1', '2' * 9999)|join|length }}",
    "{{ range(99999)|select('in', range(99999)|list)|list|length }}",
    "{{ messages|map('tojson', indent=10**9)|list }}{{ messages|tojson(indent=9999) }}",
    "{% set x %}{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}{% endset %}{{ x|length }}",
    "{% filter upper %}{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}{% endfilter %}",
    "{% call(x) m() %}{% endcall %}" * 500,
    "{{ ('a' * 9999).count('a' * 4999 ~ 'b') }}{{ (('a' * 9999) * 9999).find('a' * 4999 ~ 'b') }}",
    GROWN + "{% for i in range(99999) %}{% set x = n.s.find(('a' * 4000) ~ 'b') %}{% endfor %}",
)
DEEP = {
    "brackets": "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}",
    "lists": "{{ " + "[" * 50_000 + "]" * 50_000 + " }}",
    "loops": "{% for x in messages %}" * 3_000 + "{% endfor %}" * 3_000,
    "conditions": "{% if 1 %}" * 9_000 + "{% endif %}" * 9_000,
    "macros": "{% macro m() %}" * 3_000 + "{% endmacro %}" * 3_000,
    "filters": "{{ 'a'" + "|upper" * 30_000 + " }}",
    "attributes": "{{ messages" + ".a" * 60_000 + " }}",
    "sum": "{{ 1" + "+1" * 60_000 + " }}",
    "not": "{{ " + "not " * 40_000 + "1 }}",
    "else": "{% if 1 %}" + "{% elif 1 %}" * 15_000 + "{% endif %}",
    "many names": "".join(f"{{% set a{index} = {index} %}}" for index in range(9_000)),
    "comment": "{#" * 90_000,
    "open": "{% raw %}" + "{{" * 90_000,
    "braces": "{" * 199_999,
    "a megabyte": "x" * 1_000_000,
    "white space": "{{ 1" + " " * 190_000 + "}}",
    "a number": "{{ " + "9" * 190_000 + " }}",
    "a text": "{{ '" + "\\\\" * 90_000 + "' }}",
}


def hostile_templates(marker: Path) -> list[str]:
    """Return the corpus; what succeeds in running a command leaves *marker*."""
    ways = [way.replace("%%", "%").replace("%s", thing) for way in WAYS for thing in OBJECTS]
    command = COMMAND.format(marker=marker)
    return [source.replace("{command}", command) for source in [*ways, *ESCAPES, *BOMBS, *DEEP.values()]]


def test_no_template_escapes_or_stays(tmp_path: Path) -> None:
    """Nothing of Python shows, no command runs, nothing takes longer than its second, and no memory is lost here."""
    marker, ends = tmp_path / "escaped", Counter[str]()
    shared_renderer().check(CHATML)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for source in hostile_templates(marker):
        started = time.monotonic()
        try:
            text = "".join(part.text for part in ChatTemplate(source, seconds=0.15).render(TALK))
            ends["harmless text"] += 1
        except TemplateFailure as error:
            text = str(error)
            ends["too long" if "too long" in text else "too much memory" if "memory" in text else "refused"] += 1
            text = "" if "unsafe" in text or "is undefined" in text or "attribute" in text else text
        seconds = time.monotonic() - started
        assert seconds < 10, source[:200]  # on a busy machine; the limit is 0.15
        assert not any(word in text for word in INSIDES), source[:200]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(f"\nhostile templates: {ends.total()}, ends {dict(ends)}, {grown} MiB more here")

    assert not marker.exists()
    assert grown < 150
    assert ends.total() > 300
    assert "".join(part.text for part in ChatTemplate(CHATML).render(TALK)).endswith("<|im_start|>assistant\n")


def test_an_ended_worker_is_replaced() -> None:
    """A template that ends its process, and one that dies by itself, cost the next template nothing."""
    renderer = Renderer()
    assert renderer.render("{{ a }}", {"a": 1}) == "1"
    pid = renderer._worker._process.pid
    with pytest.raises(RenderError, match="too long"):
        renderer.render(LAUGHS + "{{ l.v }}", {}, seconds=0.1)
    assert renderer.render("{{ a }}", {"a": 2}) == "2"
    assert renderer._worker._process.pid != pid

    os.kill(renderer._worker._process.pid, 9)
    renderer._worker._process.wait()

    assert renderer.render("{{ a }}", {"a": 3}) == "3"


async def test_a_bomb_holds_up_nobody(tmp_path: Path) -> None:
    """While a model's own template bursts again and again, other requests stream on without a gap."""
    model = write_tiny_model(tmp_path / "bomb.gguf", template=LAUGHS + "{{ l.v }}")
    async with serving(model) as client:
        asking = [asyncio.create_task(client.count_tokens([{"role": "user", "content": "Hi"}])) for _ in range(3)]
        moments = [time.monotonic()]
        while not all(task.done() for task in asking):
            assert await client.health()
            moments.append(time.monotonic())
            assert [chunk async for chunk in client.resume((1, 2, 3), (), AnswerOptions(max_tokens=5))]
        results = await asyncio.gather(*asking, return_exceptions=True)

    assert all(isinstance(result, EngineError) and "too long" in str(result) for result in results)
    assert max(later - earlier for earlier, later in pairwise(moments)) < 1
    assert moments[-1] - moments[0] > 1
