"""What a message wants, by its words alone: is it a question, a wish for quiet, a word to somebody by name?"""

import re
from collections.abc import Iterable

CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
QUOTE = re.compile(r"^(?:&gt;|>).*$", re.MULTILINE)
ANGLE = re.compile(r"<[^<>\n]*>")
ASKS = re.compile(r"[?？](?=[\s\"'”’)\]*_~!.,:;]|$)")
GREETING = r"(?:hi|hello|hey|all|folks|team|everyone|everybody|so|and|but|ok|okay|please|quick question)"
SOMEBODY = r"(?:anyone|anybody|someone|somebody|you|we|i)"
BEGINNINGS = (
    r"how (?:do|does|did|can|could|should|would|much|many|long|often|to)",
    r"what(?:'s|’s| is| are| was| were| does| do| did| if| about| time| would| should| can| could| happens| happened)",
    r"why (?:is|are|do|does|did|was|would|can)",
    r"where(?:'s|’s| is| are| do| does| can| did)",
    r"when (?:is|are|do|does|will)",
    r"who(?:'s|’s| is| are| can| knows| owns)",
    r"which",
    rf"(?:does|did|do|can|could|would|will) {SOMEBODY} \w+",
    r"is there|are there|any (?:idea|ideas|way)",
)
OPENING = re.compile(rf"(?:{GREETING}[\s,!:.—-]+)*(?:{'|'.join(BEGINNINGS)})\b", re.IGNORECASE)
CHINESE = re.compile(r"[吗呢么][。！!~～\s]*$|^(?:请问|谁知道|有谁|有没有人|怎么|如何|为什么|为何|什么|哪里|哪个|谁)")
REQUEST = re.compile(
    r"(?:(?:please|pls|now|and|ok|okay|so|then|instead)[\s,:]+)*"
    r"(?:make it|make that|show me|write|rewrite|rephrase|explain|translate|list|give (?:me|us)|tell (?:me|us)|shorten"
    r"|summari[sz]e|add|draft|compare|describe|continue|go on|repeat that|say (?:it|that)|format)\b",
    re.IGNORECASE,
)
REQUEST_CHINESE = re.compile(
    r"(?:请|麻烦|那就?|再|好的?[，,]?)*(?:帮我|帮忙|继续|翻译|总结|解释|改写|缩短|列出|写|给我|告诉我)"
)
HUSH = re.compile(
    r"(?:please |pls |ok |okay |just )*(?:be quiet|stay quiet|keep quiet|be silent|stay out(?: of (?:this|it|here))?"
    r"|stop (?:replying|answering|responding|talking)|shut up|mute(?: yourself)?|don'?t (?:reply|answer|respond))"
    r"(?: in (?:here|this thread)| here| now| please| for now| any ?more| in this thread)*[\s.!]*",
    re.IGNORECASE,
)
HUSH_CHINESE = re.compile(
    r"(?:请|麻烦|你)*(?:安静|闭嘴|别说(?:话)?了|(?:不要|别)(?:再)?(?:说话|回复|回答)了?)[一点下吧。！!\s]*"
)
VOCATIVE = re.compile(r"@?([^\s,:，：@<>`]{2,40}(?: [^\s,:，：@<>`]{2,40})?)\s?[,:，：—](?:\s|$|(?<=[，：]))")


def is_question(text: str) -> bool:
    """Return whether people would take *text* as a question; code and what is quoted ask nothing."""
    said = _prose(text)
    return bool(ASKS.search(said) or OPENING.match(said) or CHINESE.search(said))


def is_request(text: str) -> bool:
    """Return whether *text* tells somebody to write something, which people tell an assistant and not each other."""
    said = _prose(text)
    return bool(REQUEST.match(said) or REQUEST_CHINESE.match(said))


def wants_quiet(text: str) -> bool:
    """Return whether *text* asks the assistant to be quiet, and says nothing else."""
    said = _prose(text).strip(" ,.:;-—")
    return bool(HUSH.fullmatch(said) or HUSH_CHINESE.fullmatch(said))


def named_first(text: str) -> str:
    """Return the name that *text* may begin with, as in “Tom, have a look”; empty when it does not look like one."""
    found = VOCATIVE.match(_prose(text))
    return found[1] if found else ""


def is_one_of(name: str, names: Iterable[str]) -> bool:
    """Return whether *name* is one of *names*, or the first name of one."""
    known = [other.casefold() for other in names]
    return bool(name) and any(name.casefold() in {other, other.split(" ")[0]} for other in known)


def _prose(text: str) -> str:
    """Return what somebody says in their own words, without mentions and links."""
    return " ".join(ANGLE.sub(" ", QUOTE.sub(" ", CODE.sub(" ", text))).split())
