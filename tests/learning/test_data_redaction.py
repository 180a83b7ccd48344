"""What nobody may learn gets a placeholder, whatever surrounds it, and ordinary text stays as it is."""

import random
import socket
import string
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import planted
from benchmarks.redaction import AGAIN, CHANGED, GOALS, PRECISION, measure, measure_again
from bot.learning.data.findings import find
from bot.learning.data.readable import find_fault
from bot.learning.data.redaction import Redaction, is_clean

RNG = random.Random(7)


def draw(alphabet: str, length: int) -> str:
    """Return random characters."""
    return "".join(RNG.choice(alphabet) for _ in range(length))


LETTERS = string.ascii_letters + string.digits
SECRETS = {
    "aws": "AKIA" + draw(string.ascii_uppercase + string.digits, 16),
    "github": "ghp_" + draw(LETTERS, 36),
    "github fine": "github_pat_" + draw(LETTERS, 40),
    "gitlab": "glpat-" + draw(LETTERS, 20),
    "slack bot": f"xoxb-{draw(string.digits, 12)}-{draw(string.digits, 12)}-{draw(LETTERS, 24)}",
    "slack app": f"xapp-1-A0{draw(string.ascii_uppercase, 8)}-{draw(string.digits, 12)}-{draw('abcdef0123', 40)}",
    "slack rotated": f"xoxe.xoxp-1-{draw(LETTERS, 60)}",
    "slack hook": f"https://hooks.slack.com/services/T0{draw(LETTERS, 8)}/B0{draw(LETTERS, 8)}/{draw(LETTERS, 24)}",
    "stripe": "sk_live_" + draw(LETTERS, 24),
    "openai": "sk-proj-" + draw(LETTERS, 48),
    "google": "AIza" + draw(LETTERS, 35),
    "hub": "hf_" + draw(string.ascii_letters, 34),
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0." + draw(LETTERS, 43),
    "key": "-----BEGIN OPENSSH PRIVATE KEY-----\n" + draw(LETTERS, 70) + "\n-----END OPENSSH PRIVATE KEY-----",
    "url": "postgres://bot:" + draw(LETTERS, 12) + "@db/app",
    "password": "password: " + draw(LETTERS, 9),
    "said": "the password is " + "blue" + draw(string.digits, 4),
    "random": draw(LETTERS, 20) + "aB3" + draw(LETTERS, 20),
}
PERSONAL = {
    "e-mail": "ada.lovelace+x@mail.example.co.uk",
    "phone": "+49 (30) 901820-10",
    "national phone": "030 / 1234567",
    "american phone": "(415) 555-0132",
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "tight IBAN": "GB82WEST12345698765432",
    "card": "4111 1111 1111 1111",
    "tight card": "5500005555555559",
    "IPv4": "192.168.17.4",
    "IPv6": "2001:db8::ff00:42:8329",
    "MAC": "00:1B:44:11:3A:B7",
    "mention": "<@U012ABCDEF|ada>",
    "channel": "<#C012ABCDEF|general>",
    "link": "<https://intern.example/x|here>",
}
PLAIN = [
    "The standup is at 9:30 on 2026-11-27 in room 4.12.",
    "Version 3.11.7 came on 01.02.2026, and 1,000,000 rows take 60 s.",
    "The spare code of room Amber is 482913.",
    "What is the Wi-Fi password? The secret is to stay calm, and the key is under the mat.",
    "See https://docs.python.org/3/library/asyncio-task.html#awaitables for more.",
    "Mixing is 1:2:3, the ISBN is 978-3-16-148410-0.",
    "Hauptstraße 12, 3. Stock; donaudampfschifffahrtsgesellschaft 😀 你好",
    "Build 110105 of 1949-12-31 took 0021 s on ports 8080, 9090, 3000 and 5432.",
    "Ticket AB-12-3456, and OPS-12-34; 192 168 17 4 10 24 48 96 2026 11 29.",
    "The SSN service listens on port 8443 since 2026-11-27 in v1.20.3.",
    "身份证服务的端口是8443，2026-11-27上线，版本1.20.3，工单OPS-12345，二零二六年十一月二十九日。",
    "**Password:** see the *vault*, or Settings > Password > Reset. | password | the one of 1Password |",
    "The password - like any - has eight signs; check_password(user2_id) and pass-through2 say so.",
    "10 m² and 12 m³, ½ cup; I, II and Ⅲ; OIl SOB 1949; 500 - 25 - 1000 is spare.",
]


@pytest.mark.parametrize("name", [*SECRETS, *PERSONAL])
@given(
    before=st.sampled_from(["", "Use ", "It is: ", "(", "so\n", "„"]),
    after=st.sampled_from(["", " now", ".", ")", "\nok"]),
)
@settings(max_examples=15, deadline=None)
def test_what_is_planted_is_found(name: str, before: str, after: str) -> None:
    """Every kind of secret and of personal data is replaced wherever it stands, and the second look finds nothing."""
    value = (SECRETS | PERSONAL)[name]
    clean = Redaction().redact(f"{before}{value}{after}")

    assert value not in clean
    assert value.split()[-1] not in clean
    assert is_clean(clean)


@pytest.mark.parametrize("language", [planted.ENGLISH, planted.CHINESE])
def test_a_corpus_of_invented_people_and_secrets_is_redacted(language: str) -> None:
    """`make privacy` measures the same on more messages: what must be found is, and little else."""
    score = measure(1500, seed=5)[language]

    for kind, goal in GOALS.items():
        assert score.recall(kind) >= goal, score.missed
    assert score.precision >= PRECISION, score.wrong


def test_what_the_corpus_says_again_is_redacted_too() -> None:
    """With nothing around it that tells what it is, and no ordinary text changes beside it."""
    replaced, said, changed, others = measure_again(1500, seed=5)

    assert replaced >= AGAIN * said
    assert changed <= CHANGED * others


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("密码是Sommer2026，别告诉别人", "密码是[secret 1]，别告诉别人"),
        ("我的手机13812345678和邮箱li.wei@example.cn。", "我的手机[phone 1]和邮箱[e-mail 1]。"),
        ("密码：ｈｕｎｔｅｒ２２", "密码：[secret 1]"),
        ("密码hunter22，别告诉别人", "密码[secret 1]，别告诉别人"),
        ("資料庫的密碼是hunter22", "資料庫的密碼是[secret 1]"),
        ("金鑰：abcDEF123456", "金鑰：[secret 1]"),
        ("身份证11010519491231002X。", "身份证[identity 1]。"),
        ("地址：上海市浦东新区张江路100号 200120，二楼", "地址：[home 1]，二楼"),
    ],
)
def test_chinese_needs_no_spaces(text: str, clean: str) -> None:
    """What stands between Chinese characters is found and replaced, and nothing beside it."""
    assert Redaction().redact(text) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("身份证 110105 19491231 002X。", "身份证 [identity 1]。"),
        ("他是110105-19491231-002X，别说", "他是[identity 1]，别说"),
        ("他是１１０１０５　１９４９１２３１　００２Ｘ", "他是[identity 1]"),
        ("他的号码是一一零一零五一九四九一二三一零零二X，别说", "他的号码是[identity 1]，别说"),
        ("证件号 110105 491231 002", "证件号 [identity 1]"),
        ("身份证号110105194912310021，少一位没有", "身份证号[identity 1]，少一位没有"),
        ("1 1 0 1 0 5 1 9 4 9 1 2 3 1 0 0 2 x", "[identity 1]"),
        ("hers is 11O1O5 I949 l231 OO2\u0425, in room 4", "hers is [identity 1], in room 4"),
        ("1\u200b1\u200b0105 1949\u00ad1231\u2060002X", "[identity 1]"),
        (
            "\u0661\u0661\u0660\u0661\u0660\u0665\u0661\u0669\u0664\u0669\u0661\u0662\u0663\u0661\u0660\u0660\u0662X",
            "[identity 1]",
        ),
        ("①①⓪①⓪⑤①⑨④⑨①②③①⓪⓪②X", "[identity 1]"),
        (
            "SSN 123 45 6789, and 123456789 is my social security number",
            "SSN [identity 1], and [identity 1] is my social security number",
        ),
        ("123\u201145\u20116789 and １２３－４５－６７８９", "[identity 1] and [identity 1]"),
        ("社保号 123.45.6789", "社保号 [identity 1]"),
        ("NINO qq 12.34.56 c", "NINO [identity 1]"),
        ("QQ-12-34-56-C and ＱＱ １２ ３４ ５６ Ｃ", "[identity 1] and [identity 1]"),
        ("call 4111\u00a01111\u20021111\u200b1111", "call [card 1]"),
    ],
)
def test_an_identity_number_is_found_however_it_is_written(text: str, clean: str) -> None:
    """Blanks, dashes, other digits and letters that look alike hide none, and it is the same one in each form."""
    assert Redaction().redact(text) == clean
    assert is_clean(clean)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("**Password:** `hunter22`", "**Password:** `[secret 1]`"),
        ("The *password* is `hunter22`", "The *password* is `[secret 1]`"),
        ("`api_key`: `abc12345`", "`api_key`: `[secret 1]`"),
        ("| password | hunter22 |", "| password | [secret 1] |"),
        ("password -> hunter22", "password -> [secret 1]"),
        ("<password>hunter22</password>", "<password>[secret 1]</password>"),
        ("pw: hunter22", "pw: [secret 1]"),
        ("password: [hunter22", "password: [secret 1]"),
        ("postgres://app:[hunter22@db/x", "postgres://app:[secret 1]@db/x"),
        ("密码：「hunter22」", "密码：「[secret 1]」"),
        ("密码是【hunter22】，别说", "密码是【[secret 1]】，别说"),
        ("密码∶hunter22", "密码∶[secret 1]"),
        ("写给li.wei@example。cn吧", "写给[e-mail 1]吧"),
        ("4111.1111.1111.1111 and 4111·1111·1111·1111", "[card 1] and [card 1]"),
    ],
)
def test_markdown_and_brackets_hide_nothing(text: str, clean: str) -> None:
    """Models write names in bold and values as code, and people put brackets around them, or begin a password so."""
    assert Redaction().redact(text) == clean
    assert is_clean(clean)


@pytest.mark.parametrize("text", PLAIN)
def test_ordinary_text_stays(text: str) -> None:
    """Dates, versions, times, room codes and addresses on the web are not taken for anything else."""
    assert find(text) == []
    assert find_fault(text) == ""


def test_the_same_thing_has_the_same_placeholder() -> None:
    """Within an example a placeholder stands for one thing, however it is written, and another thing gets another."""
    redaction = Redaction()
    question = redaction.redact("Is it ada@acme.example or bo@acme.example?")
    answer = redaction.redact("It is Ada@acme.example.")

    assert question == "Is it [e-mail 1] or [e-mail 2]?"
    assert answer == "It is [e-mail 1]."
    assert redaction.counts == {"e-mail": 2}


def test_nothing_is_verified_over_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """detect-secrets would call Slack with a webhook that it finds; its patterns alone call nobody."""

    def refuse(*_: object) -> None:
        raise AssertionError("redaction reaches for the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    assert find(" ".join(SECRETS.values()))


@given(st.text(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_text_can_be_redacted(text: str) -> None:
    """No text breaks the search; what is outside the findings stays, and clean text stays whole."""
    found = find(text)
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(first.end <= second.start for first, second in pairwise(found))
    if not found:
        assert Redaction().redact(text) == text


@pytest.mark.parametrize(
    "text", ["", "  \n", "?!", "half \ufffd a sign", "a\x00b", "so<|im_end|>", "[INST] hi", "ha" * 40]
)
def test_what_nobody_meant_is_not_learned(text: str) -> None:
    """Empty, damaged and endless texts, and pieces of a chat template, have a reason why not."""
    assert find_fault(text)


def _draw(signs: str, count: int) -> str:
    """Return signs drawn by chance, which no packing makes much shorter."""
    return "".join(random.Random(count).choices(signs, k=count))


@pytest.mark.parametrize(
    "text",
    [
        "12" + _draw(" \n\t", 3000) + "x",
        "12" + _draw(" \n\t", 1500) + "ab" + _draw(" \n\t", 1501),
        " ".join("12" + _draw(" \n,", count) for count in range(10, 160)),
        f"12{_draw(' ,', 3000)}x",
        f"key {_draw('abcdefghij', 20_000)}",
        f"@ {_draw('abcdefghij', 20_000)}",
        f"password {_draw('*_~` ', 9000)}" + f"password: {_draw('*_~` ', 9000)}x",
        "".join(f"password{_draw('*_ ', count)}is" for count in range(10, 160)),
        f"key{_draw(' |', 19_000)}x",
        f"{_draw('abcdefghij', 1900)} password{' ' * 1000}x",
        f"{_draw('abcdefghij', 9000)} token{' ' * 9000}x",
        "".join(f"//{_draw('abcdefghij', count % 7)}" for count in range(4000)),
        "".join(f"sk-{_draw('abcdefghij', 21 + count % 3)}" for count in range(800)),
        f"身份证 SSN NINO {_draw('0123456789', 19_000)}",
        f"身份证 SSN NINO {'1   ' * 4000}x",
        f"身份证 SSN NINO {_draw('OoIl1 |-', 19_000)}1234567",
        "key " + "-".join(f"eyJ{_draw('abcdefghij', 9)}" for _ in range(1600)),
    ],
)
def test_nobody_can_write_what_takes_long_to_search(text: str) -> None:
    """A reviewer's look and every night search what people wrote, and nobody is heard while a pattern is tried."""
    began = time.thread_time()
    find(text)
    assert time.thread_time() - began < 2


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"a   b    cl_key :      {'ab12' * 16}   c", "a   b    [secret 1]   c"),
        ("//a.io/:_authToken=0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0 x", "//a.io/:[secret 1] x"),
        (f"//registry.npmjs.org/:_authToken=npm_{'aB3' * 12} x", "//registry.npmjs.org/:_authToken=[secret 1] x"),
        (f"my key sk-{'aB3' * 7}T3BlbkFJ{'cD4' * 7} x", "my key [secret 1] x"),
    ],
)
def test_what_is_searched_in_another_way_is_found_all_the_same(text: str, clean: str) -> None:
    """Behind many blanks, and without the patterns that took long."""
    assert Redaction().redact(text) == clean


def test_what_is_far_too_long_is_not_searched() -> None:
    """It would not be learned anyhow."""
    assert find_fault(_draw("abcdefghij ", 20_001)) == "longer than what is trained on"


@pytest.mark.parametrize(
    ("told", "said", "clean"),
    [
        ("password: Quokka%81z", "Is quokka%81z right?", "Is [secret 1] right?"),
        (
            "The password: hunter22. It fails.",
            "hunter22, `hunter22`, _hunter22_!",
            "[secret 1], `[secret 1]`, _[secret 1]_!",
        ),
        ("密码是Sommer2026，别告诉别人", "用Sommer2026登录", "用[secret 1]登录"),
        ("密码：hunter22", "ｈｕｎｔｅｒ２２ or hun\u200bter22", "[secret 1] or [secret 1]"),
        ("curl https://x.example/?api_key=Wombat77Tree93&a=1", "Wombat77Tree93", "[secret 1]"),
        ("password: **Tr0ub4dor&3**", "Tr0ub4dor&3, not Tr0ub4dor", "[secret 1], not [secret 1]"),
        ("https://owen:rzPsJKVib0oFE@watkins.biz/x", "Type rzPsJKVib0oFE.", "Type [e-mail 1]."),
        ("access_token=yeLBr2rrH9qYx11sF326", "yeLBr2rrH9qYx11sF326 it is", "[secret 1] it is"),
        ("my pin: 4711", "Is 4711 the one?", "Is [secret 1] the one?"),
        ("password: correct-horse-battery", "correct-horse-battery it is", "[secret 1] it is"),
        ("call me: 5550132", "Is 555-0132 yours?", "Is [phone 1] yours?"),
        ("I was born on 1980-05-03", "Is it 1980-05-03?", "Is it [birth 1]?"),
        ("passport C1234567", "C1234567, is it?", "[identity 1], is it?"),
    ],
)
def test_what_is_known_for_what_it_is_elsewhere_is_replaced(told: str, said: str, clean: str) -> None:
    """A value that only the words around it give away, in one of the texts of an example, goes from all of them."""
    redaction = Redaction([said, told])

    assert redaction.redact(said) == clean
    assert "1]" in redaction.redact(told)
    assert redaction.counts.total() == 1


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("password: required", "It is required, as admin."),
        ("password: admin", "The admin knows."),
        ("postgres://bot:secret@db/x", "It is no secret."),
        ("pass: 10am", "We meet at 10am."),
        ("my pin: 2026", "On 2026-11-30, at 1.2026, in v20261 and 12026."),
        ("password: hunter22", "The hunter223 and xhunter22 are others."),
        ("ping 1.1.1.1", "Version v1.1.1.1, step 1.1.1.1.1."),
    ],
)
def test_words_and_numbers_stay_that_a_secret_is_like(told: str, said: str) -> None:
    """What is short or a word may mean something else, and a part of a longer word or number does."""
    assert Redaction([told, said]).redact(said) == said
