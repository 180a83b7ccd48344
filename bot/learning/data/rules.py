"""What secrets and personal data look like, in English and Chinese. Pure: nothing is called, verified or logged.

A pattern's group `v` is the part that nobody may learn; without one it is the whole. Names of people are none of it:
who does what is what a team teaches. A postal address counts when it is whole, with its place.

People write what is searched: a pattern that can read the same blanks in many ways would hold up everybody for hours.
"""

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

SECRET = "secret"  # noqa: S105 - a name, not one
NAMED = ["pass", "pwd", "pw", "kennwort", "key", "secret", "token", "pin", "credential", "basic"]
NAMED += ["密码", "口令", "密钥", "令牌", "私钥", "秘钥", "密碼", "密鑰", "金鑰", "私鑰", "權杖"]
PLACED = ["省", "市", "区", "县"]
PERSONS = ["passport", "护照", "born", "birth", "dob", "出生", "生日"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern of one kind; a text without the trait *needs* has none, *is_one* looks closer at a match."""

    kind: str
    pattern: re.Pattern[str]
    needs: str
    is_one: Callable[[str], bool] = bool


def _is_random(word: str) -> bool:
    """Return whether a long word looks drawn by chance."""
    if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", word):  # names a thing, and opens nothing
        return False
    if re.fullmatch(r"[0-9a-fA-F-]+", word):
        return len(word) >= 32 and sum(letter.isdigit() for letter in word) >= 6
    kinds = (str.isupper, str.islower, str.isdigit)
    counts = Counter(word)
    entropy = -sum(count / len(word) * math.log2(count / len(word)) for count in counts.values())
    return entropy > 3.8 and all(any(kind(letter) for letter in word) for kind in kinds)


def is_drawn(word: str) -> bool:
    """Return whether what stands behind a name like `api_key` is no word of a language and no plain number."""
    has_digit, has_letter = any(map(str.isdigit, word)), any(map(str.isalpha, word))
    return (has_digit and has_letter) or bool(re.search(r"[a-z][A-Z]|[A-Za-z][!@#$%^&*+=]", word))


def _is_card(number: str) -> bool:
    digits = [int(digit) for digit in number if digit.isdigit()]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + doubled) % 10 == 0


def _is_iban(number: str) -> bool:
    plain = number.replace(" ", "").upper()
    return 15 <= len(plain) <= 34 and int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def _is_phone(number: str) -> bool:
    is_date = re.fullmatch(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}", number.strip())
    return sum(sign.isdigit() for sign in number) >= 7 and not is_date


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _rule(kind: str, needs: str, pattern: str, is_one: Callable[[str], bool] = bool) -> Rule:
    return Rule(kind, re.compile(pattern, re.DOTALL | re.ASCII), needs, is_one)


HAN = "[\u4e00-\u9fff]"
VALUE = r"[^\s\"'`,;<>\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"
# Not behind what says that it is a checksum.
UNNAMED = r"(?<!sha1:)(?<!sha256:)(?<!sha512:)(?<!commit )(?<!Commit )(?<!md5 )(?<!提交)(?<![\w/.@#])"
PASSWORD = r"(?:pass(?:word|wort|phrase|code)?|passwd|pwd|\bpw|kennwort|pin|密码|密碼|口令)"  # noqa: S105
KEY = (
    r"(?:[\w.-]{0,40}(?:key|secret|token|credential|passw(?:or)?d|pwd)(?:_?(?:id|key))?"
    r"|api[ _-]?key|密钥|秘钥|私钥|令牌|密鑰|金鑰|私鑰|權杖)"
)
MARKS = r"[\"'`*_~]{0,8}"  # of Markdown, around a name
OPENING = r"(?:[*_~]{1,3}(?=\s))?\s*[\"'`「『【《]{0,8}"  # in front of a value, and no part of it
PLACEHOLDER = r"\[[A-Za-z-]{4,8} \d"
EQUALS = rf"{MARKS}\s*(?:=>|:=|[:=]){OPENING}"
WORDS = rf"\s*(?:is|was|are|ist|lautet|now|changed|set|to|>|(?<=\s)(?:->|→|-|\|)(?=\s)|{HAN}{{1,6}})"
SAYS = rf"{MARKS}(?:{WORDS}){{1,3}}{OPENING}"
PROVINCES = (
    "北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南"
    "|陕西|甘肃|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门"
)
MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
DAY = (
    r"(?:\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}"
    rf"|\d{{1,2}}\.? {MONTH} \d{{4}}|{MONTH} \d{{1,2}},? \d{{4}})"
)

RULES = (
    _rule(SECRET, "named", r"-----BEGIN[A-Z0-9 ]* PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END[A-Z0-9 ]*-----|\Z)"),
    _rule(SECRET, "named", rf"(?i){PASSWORD}{EQUALS}(?P<v>(?!{PLACEHOLDER}){VALUE}{{4,}})"),
    _rule(
        SECRET,
        "named",
        rf"(?i){PASSWORD}(?:{SAYS}|{MARKS}(?=[\s「『【]){OPENING})(?P<v>(?!{PLACEHOLDER}){VALUE}{{6,}})",
        is_drawn,
    ),
    _rule(SECRET, "named", rf"(?:密码|密碼|口令)\(?{OPENING}(?P<v>(?=[A-Za-z0-9]){VALUE}{{6,}})", is_drawn),
    _rule(SECRET, "named", rf"(?i){KEY}(?:{EQUALS}|{SAYS})(?P<v>(?!{PLACEHOLDER}){VALUE}{{8,}})", is_drawn),
    _rule(SECRET, "named", r"(?i)\bbasic\s+(?P<v>[A-Za-z0-9+/]{12,}={0,2})", is_drawn),
    _rule(SECRET, ":", r"://[^\s:/@]{0,64}:(?P<v>[^\s/@]{3,})@"),
    _rule(SECRET, "long", r"discord(?:app)?\.com/api/webhooks/\d+/(?P<v>[\w-]+)"),
    _rule(SECRET, "long", r"\bxox[a-z](?:[.-][A-Za-z0-9]+)+|\bxapp-[A-Za-z0-9-]{10,}"),
    _rule(SECRET, "long", r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"),
    _rule(SECRET, "long", r"(?i)\bbearer\s+(?P<v>[\w.~+/=-]{16,})"),
    _rule(
        SECRET,
        "long",
        r"\b(?:github_pat_\w{22,}|sk-[\w-]{20,}|AIza[\w-]{35}|ya29\.[\w-]{20,}|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}"
        r"|(?:[rsp]k_(?:live|test)_|whsec_)\w{16,}|dop_v1_[0-9a-f]{64}|AGE-SECRET-KEY-1[A-Z0-9]{50,}|hv[sbr]\.[\w-]{20,}"
        r"|\w{14}\.atlasv1\.[\w-]{40,}|dapi[0-9a-f]{32}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|key-[0-9a-f]{32}"
        r"|NRAK-[A-Z0-9]{27}|PMAK-[0-9a-f-]{40,}|gl(?:pat|dt|rt)-[\w-]{20,}|figd_[\w-]{30,}|lin_api_\w{30,}|ntn_\w{30,}"
        r"|GOCSPX-[\w-]{20,})",
    ),
    _rule(SECRET, "long", UNNAMED + r"[A-Za-z0-9+/_=-]{24,}", _is_random),
    _rule("e-mail", "@", r"[\w.+%\u00c0-\u024f-]{1,200}@[\w\u00c0-\u024f-]+(?:[.\u3002][\w-]+)+"),
    _rule(
        "IBAN",
        "number",
        r"\b(?:[A-Za-z]{2}\d{2}[A-Za-z0-9]{11,30}|[A-Z]{2}\d{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?)\b",
        _is_iban,
    ),
    _rule("identity", "person", r"(?i)(?:passport|护照)[^\d\n]{0,16}?(?P<v>[A-Z]{0,2}\d{6,9})\b"),
    _rule("birth", "person", rf"(?i)(?:\bborn\b|birth|\bdob\b|出生|生日)[^\d\n]{{0,12}}?(?P<v>{DAY})"),
    _rule("card", "number", r"(?<![\d.])(?=[2-6]|1800)\d(?:[ -]?\d){11,18}(?!\d)", _is_card),
    _rule("card", "number", r"(?<![\w.])[2-6]\d{3}([._·/\n]|  )\d{4}\1\d{4}\1\d{4}(?![\w])", _is_card),
    _rule("phone", "number", r"(?<![\w.])(?:\+?86[ -]?)?1[3-9]\d(?:\d{8}|[ -]\d{4}[ -]\d{4})(?!\w)"),
    _rule(
        "phone",
        "number",
        r"(?<![\w.])(?:(?:\+|00)\d[\d ()/.-]{5,18}\d|0\d{9,13}"
        r"|(?:\(0\d{1,4}\)|0\d{1,4}[ /.-])[ /.-]{0,2}\d[\d /.-]{4,12}\d"
        r"|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-]{1,2})\d{3}[ .-]\d{4})(?: ?(?:x|ext\.? ?)\d{1,6})?(?![\w])",
        _is_phone,
    ),
    _rule(
        "phone",
        "number",
        r"(?i)(?:phone|mobile|\bcell|\btel\b|\bcall|\bring|reach|\bfax|电话|手机|联系)[^\d\n]{0,16}?"
        r"(?P<v>[(+]?\d[\d ().-]{5,18}\d(?: ?x\d{1,6})?)(?!\w)",
        _is_phone,
    ),
    _rule("address", "dotted", r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)", _is_address),
    _rule(
        "address", ":", r"(?<!\w)(?<![\w:]:)[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?!\w|:[0-9A-Fa-f:])", _is_address
    ),
    _rule("address", ":-", r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b"),
    _rule(
        "home",
        "digits",
        r"\b(?:(?:Flat|Studio|Unit|PSC) \d{1,6}[A-Za-z]?|(?:USS|USNS|USNV|USCGC) \w+|\d{1,6}[A-Za-z]?)"
        r"(?:[ ,]+[^\s,][^\n,]{1,39})?(?:[,\n]\s*[^\s,][^\n,]{1,39}){0,3}?[,\n]\s*(?:[^\s,][^\n,]{1,29} )?"
        r"(?:[A-Z]{2} \d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]?[A-Z]? \d[A-Z]{2})\b",
    ),
    _rule(
        "home",
        "placed",
        rf"(?:(?:{PROVINCES}){HAN}{{0,24}}?|{HAN}{{2,4}}[市区县]{HAN}{{1,16}}?)(?:路|街|道|巷|弄)\s?[A-Za-z0-9]{{1,6}}(?:号|座|栋|室|楼|弄)"
        r"(?:\s?\d{6}(?!\d))?",
    ),
    _rule("person", "<", r"<@[UW][A-Z0-9]+(?:\|[^<>\n]*)?>"),
    _rule("channel", "<", r"<#C[A-Z0-9]+(?:\|[^<>\n]*)?>|<!subteam\^[A-Z0-9]+(?:\|[^<>\n]*)?>"),
    _rule("link", ":", r"<(?:https?://|mailto:|tel:)[^<>\s|]+(?:\|[^<>\n]*)?>"),
    _rule("link", ":", r"https?://[\w-]+(?:\.enterprise)?\.slack\.com/\S+"),
)
