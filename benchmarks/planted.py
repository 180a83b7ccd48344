"""A corpus of messages with secrets and personal data in them, all invented: what a redaction has to find.

Secrets are drawn after the formats that their services publish, personal data by faker, in English and in Chinese. Half
of the messages have nothing in them but what looks like it: dates, versions, checksums, numbers of tickets.
"""

import base64
import random
import string
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from faker import Faker

LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
SECRET, PERSONAL = "secret", "personal data"
ENGLISH, CHINESE = "English", "Chinese"
MARK = "\x00"  # around what is secret in a text that has more


@dataclass(frozen=True, slots=True)
class Sample:
    """A message; *planted* are its values that must go, each with its kind and its name."""

    text: str
    language: str
    planted: tuple[tuple[str, str, str], ...] = ()


def make_corpus(seed: int, *, count: int) -> list[Sample]:
    """Return *count* messages, the same for the same seed: half of them with something planted."""
    rng = random.Random(f"planted/{seed}")
    fakers = {ENGLISH: [Faker("en_US"), Faker("en_GB")], CHINESE: [Faker("zh_CN")]}
    for number, faker in enumerate([*fakers[ENGLISH], *fakers[CHINESE]]):
        faker.seed_instance(f"{seed}/{number}")
    return [_make(rng, index, fakers) for index in range(count)]


def _make(rng: random.Random, index: int, fakers: dict[str, list[Faker]]) -> Sample:
    language = (ENGLISH, CHINESE)[index % 2]
    fake = rng.choice(fakers[language])
    filler = rng.choice(("，", "\n") if language == CHINESE else (" ", "\n"))
    before, after = (fake.sentence().replace(".", "。" if language == CHINESE else ".") for _ in range(2))
    if index % 4 >= 2:
        return Sample(filler.join([before, _ordinary(rng, language), after]), language)
    planted, parts = [], [before]
    for _ in range(rng.choice((1, 1, 1, 2))):
        is_secret = rng.random() < 0.5
        name, frames, shown = _draw_secret(rng, fake) if is_secret else _draw_personal(rng, fake, language)
        parts.append(rng.choice(frames[language]).replace("{}", shown.replace(MARK, "")))
        value = shown.split(MARK)[1] if MARK in shown else shown
        planted.append((SECRET if is_secret else PERSONAL, name, value))
    return Sample(filler.join([*parts, after]), language, tuple(planted))


Frames = dict[str, Sequence[str]]
BARE: Frames = {
    ENGLISH: ["{}", "Use {} for it.", "It was in the log: {}", "Somebody pasted ({}) here", "try `{}` please", '"{}"'],
    CHINESE: ["{}", "请用{}试一下。", "日志里有：{}", "有人贴了（{}）", "试试`{}`吧", "“{}”"],
}
LABELLED: Frames = {
    ENGLISH: ["{name}={}", "{name}: {}", 'export {name}="{}"', '"{name}": "{}"'],
    CHINESE: ["{name}={}", "{name}：{}", "把{name}设为{}", '"{name}": "{}"'],
}
PASSWORDS: Frames = {
    ENGLISH: [
        "password: {}",
        "The Wi-Fi password is {}",
        "pwd={}",
        "passphrase is {}",
        "PASSWORD={}",
        "my pin: {}",
        "login admin / password {}",
        "the admin password was changed to {}",
        "'db_password': '{}'",
    ],
    CHINESE: [
        "密码：{}",
        "密码是{}",
        "Wi-Fi密码为{}",
        "口令: {}",
        "管理员密码改成了{}",
        "password是{}",
        "登录密码 {}",
        "我的密码就是{}，别告诉别人",
        "密码={}",
    ],
}


def _draw(rng: random.Random, alphabet: str, length: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(length))


def _label(name: str) -> Frames:
    return {language: [frame.replace("{name}", name) for frame in frames] for language, frames in LABELLED.items()}


def _draw_secret(rng: random.Random, fake: Faker) -> tuple[str, Frames, str]:
    def some(length: int, alphabet: str = LETTERS) -> str:
        return _draw(rng, alphabet, length)

    def encoded(length: int) -> str:
        return base64.b64encode(rng.randbytes(length)).decode()

    upper, url = string.ascii_uppercase + string.digits, LETTERS + "-_"
    known: dict[str, Callable[[], str]] = {
        "AWS access key": lambda: rng.choice(("AKIA", "ASIA")) + some(16, string.ascii_uppercase + "234567"),
        "GitHub": lambda: rng.choice(("ghp_", "gho_", "ghs_", "ghu_", "ghr_")) + some(36),
        "GitHub fine-grained": lambda: f"github_pat_{some(22)}_{some(59)}",
        "GitLab": lambda: "glpat-" + some(20, url),
        "Slack bot": lambda: f"xoxb-{some(12, string.digits)}-{some(13, string.digits)}-{some(24)}",
        "Slack user": lambda: "xoxp-" + "-".join(some(12, string.digits) for _ in range(3)) + "-" + some(32, HEX),
        "Slack app": lambda: f"xapp-1-A{some(10, upper)}-{some(13, string.digits)}-{some(64, HEX)}",
        "Slack webhook": lambda: f"https://hooks.slack.com/services/T{some(10, upper)}/B{some(10, upper)}/{some(24)}",
        "Stripe": lambda: rng.choice(("sk_live_", "rk_live_", "sk_test_", "whsec_")) + some(rng.choice((24, 32, 99))),
        "OpenAI": lambda: f"sk-proj-{some(74, url)}T3BlbkFJ{some(74, url)}",
        "Anthropic": lambda: f"sk-ant-api03-{some(93, url)}AA",
        "Google API": lambda: "AIza" + some(35, url),
        "Google OAuth": lambda: "GOCSPX-" + some(28, url),
        "Google token": lambda: "ya29." + some(120, url),
        "Hugging Face": lambda: "hf_" + some(34, string.ascii_letters),
        "npm": lambda: "npm_" + some(36),
        "PyPI": lambda: "pypi-AgEIcHlwaS5vcmc" + some(150, url),
        "SendGrid": lambda: f"SG.{some(22, url)}.{some(43, url)}",
        "Twilio": lambda: rng.choice(("AC", "SK")) + some(32, HEX),
        "Mailgun": lambda: "key-" + some(32, HEX),
        "Telegram bot": lambda: f"{some(10, '123456789')}:AA{some(33, url)}",
        "Discord webhook": lambda: (
            f"https://discord.com/api/webhooks/{some(18, '123456789')}/{MARK}{some(68, url)}{MARK}"
        ),
        "DigitalOcean": lambda: "dop_v1_" + some(64, HEX),
        "Shopify": lambda: "shpat_" + some(32, HEX),
        "Databricks": lambda: "dapi" + some(32, HEX),
        "Vault": lambda: "hvs." + some(95, url),
        "Terraform": lambda: f"{some(14)}.atlasv1.{some(67, url)}",
        "Notion": lambda: "ntn_" + some(46),
        "Linear": lambda: "lin_api_" + some(40),
        "Figma": lambda: "figd_" + some(40, url),
        "Postman": lambda: f"PMAK-{some(24, HEX)}-{some(34, HEX)}",
        "New Relic": lambda: "NRAK-" + some(27, upper),
        "age": lambda: "AGE-SECRET-KEY-1" + some(58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"),
        "JWT": lambda: ".".join([_jwt_part(rng, '{"alg":"HS256"'), _jwt_part(rng, '{"sub":"1234"'), some(43, url)]),
        "private key": lambda: _private_key(rng),
        "basic auth": lambda: f"https://{fake.user_name()}:{MARK}{some(14)}{MARK}@{fake.domain_name()}/repo.git",
        "database": lambda: f"postgresql://app:{MARK}{some(16)}{MARK}@db-{rng.randint(1, 9)}:5432/app",
        "Bearer": lambda: f"Authorization: Bearer {MARK}{some(40, url)}",
        "Basic": lambda: f"Authorization: Basic {MARK}{encoded(24)}",
        "Azure": lambda: f"DefaultEndpointsProtocol=https;AccountName=app;AccountKey={MARK}{encoded(64)}",
        "random": lambda: some(40),
    }
    labelled: dict[str, Callable[[], str]] = {
        "AWS_SECRET_ACCESS_KEY": lambda: encoded(30),
        "DD_API_KEY": lambda: some(32, HEX),
        "client_secret": lambda: some(rng.choice((16, 20, 32))),
        "api_key": lambda: some(rng.choice((12, 20, 39))),
        "SLACK_SIGNING_SECRET": lambda: some(32, HEX),
        "access_token": lambda: some(rng.choice((20, 40))),
        "HEROKU_API_KEY": lambda: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "SECRET_KEY": lambda: some(50, string.ascii_letters + string.digits + "!@#$%^&*(-_=+)"),
    }
    roll = rng.random()
    if roll < 0.2:
        return "password", PASSWORDS, _password(rng, fake)
    if roll < 0.35:
        name = rng.choice(list(labelled))
        return name, _label(name), labelled[name]()
    name = rng.choice(list(known))
    return name, BARE, known[name]()


def _password(rng: random.Random, fake: Faker) -> str:
    word = rng.choice(WORDS)
    return rng.choice(
        [
            fake.password(length=rng.randint(8, 16), special_chars=False),
            fake.password(length=rng.randint(10, 16)).replace('"', "x").replace("'", "y").replace("`", "z"),
            f"{word.title()}{rng.randint(10, 9999)}",
            f"{word}-{rng.choice(WORDS)}-{rng.randint(10, 99)}",
            f"{word.title()}{rng.randint(1000, 2999)}!",
        ]
    )


WORDS = ("summer", "dragon", "winter", "orange", "monkey", "harbour", "falcon", "silver", "basket", "copper", "window")


def _jwt_part(rng: random.Random, start: str) -> str:
    text = start + f',"n":{rng.randint(1, 10**9)}' + "}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _private_key(rng: random.Random) -> str:
    kind = rng.choice(
        ("RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY", "PGP PRIVATE KEY BLOCK")
    )
    body = "\n".join(_draw(rng, LETTERS + "+/", 64) for _ in range(rng.randint(2, 8)))
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----"


PHONES: Frames = {
    ENGLISH: ["{}", "call me at {}", "phone: {}", "My mobile is {}.", "Tel. {}", "she can be reached on {} today"],
    CHINESE: ["{}", "请打{}", "电话：{}", "我的手机是{}。", "手机号{}，微信同号", "联系方式 {}"],
}
MAILS: Frames = {
    ENGLISH: ["{}", "write to {}", "e-mail: {}", "cc <{}> please", "{} has the file"],
    CHINESE: ["{}", "发到{}吧", "邮箱：{}", "抄送<{}>", "请联系{}。"],
}
ADDRESSES: Frames = {
    ENGLISH: ["Send it to {}", "she lives at {}", "Address: {}", "my home is {}, second floor"],
    CHINESE: ["寄到{}", "她住在{}", "地址：{}", "我家在{}，二楼"],
}
NATIONAL: Frames = {
    ENGLISH: ["SSN {}", "her social security number is {}", "ssn: {}", "{} is my social security number"],
    CHINESE: ["身份证号{}", "身份证：{}", "我的身份证是{}。", "{}是他的身份证号"],
}
INSURANCE: Frames = {
    ENGLISH: ["my NI number is {}", "National Insurance: {}", "NINO {}", "{}"],
    CHINESE: ["{}"],
}
ACCOUNTS: Frames = {
    ENGLISH: ["{}", "pay to {}", "account {}", "the card {} was refused"],
    CHINESE: ["{}", "打款到{}", "账号：{}", "卡号{}被拒了"],
}
MACHINES: Frames = {
    ENGLISH: ["{}", "he logs in from {}", "host {} is down", "client {}: refused"],
    CHINESE: ["{}", "他从{}登录", "主机{}挂了", "客户端：{}"],
}
BIRTHS: Frames = {
    ENGLISH: ["born on {}", "date of birth: {}", "DOB {}", "her birthday is {}"],
    CHINESE: ["出生于{}", "出生日期：{}", "生日是{}", "生日：{}"],
}
PASSPORTS: Frames = {
    ENGLISH: ["passport number {}", "passport: {}", "my passport is {}", "Passport no. {}"],
    CHINESE: ["护照号{}", "护照：{}", "护照号码是{}", "我的护照 {}"],
}


def _draw_personal(rng: random.Random, fake: Faker, language: str) -> tuple[str, Frames, str]:
    is_british = language == ENGLISH and "GB" in str(fake.current_country_code())
    born = fake.date_of_birth()
    forms = ["{0:%Y-%m-%d}", "{0.day} {0:%B} {0.year}", "{0:%m/%d/%Y}", "{0:%B} {0.day}, {0.year}"]
    if language == CHINESE:
        forms = ["{0:%Y-%m-%d}", "{0.year}年{0.month}月{0.day}日", "{0:%Y/%m/%d}"]
    kinds: dict[str, tuple[Frames, Callable[[], str]]] = {
        "e-mail": (MAILS, fake.email),
        "phone": (PHONES, lambda: _phone(rng, fake, language)),
        "postal address": (ADDRESSES, lambda: fake.address().replace("\n", rng.choice(("\n", ", ")))),
        "national number": (INSURANCE if is_british else NATIONAL, fake.ssn),
        "IBAN": (ACCOUNTS, lambda: _iban(rng, fake)),
        "card": (ACCOUNTS, lambda: _card(rng, fake)),
        "network address": (MACHINES, rng.choice((fake.ipv4, fake.ipv6, fake.mac_address))),
        "birth": (BIRTHS, lambda: rng.choice(forms).format(born)),
        "passport": (PASSPORTS, fake.passport_number),
    }
    name = rng.choice(list(kinds))
    frames, draw = kinds[name]
    return name, frames, draw()


def _phone(rng: random.Random, fake: Faker, language: str) -> str:
    number = str(fake.phone_number())
    if language != CHINESE:
        return number
    landline = f"0{rng.choice(('10', '21', '755', '571'))}-{rng.randint(20000000, 89999999)}"
    forms = [number, f"+86 {number}", f"+86{number}", f"{number[:3]}-{number[3:7]}-{number[7:]}", landline]
    return rng.choice([*forms, f"{number[:3]} {number[3:7]} {number[7:]}"])


def _iban(rng: random.Random, fake: Faker) -> str:
    number = str(fake.iban())
    return rng.choice([number, " ".join(number[at : at + 4] for at in range(0, len(number), 4))])


def _card(rng: random.Random, fake: Faker) -> str:
    number = str(fake.credit_card_number())
    if len(number) != 16:
        return number
    sign = rng.choice(("", " ", "-"))
    return sign.join(number[at : at + 4] for at in range(0, 16, 4))


def _ordinary(rng: random.Random, language: str) -> str:
    """Return a sentence with something that only looks like a secret or like personal data."""
    number, year = rng.randint(1000, 99999), rng.randint(2019, 2027)
    commit, identity = _draw(rng, HEX, 40), uuid.UUID(int=rng.getrandbits(128), version=4)
    version = f"{rng.randint(0, 9)}.{rng.randint(0, 40)}.{rng.randint(0, 90)}"
    english = [
        f"The release {version} is out since {year}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}.",
        f"Commit {commit} broke the build.",
        f"See commit {commit[:8]} and ticket OPS-{number}.",
        f"The request id is {identity}.",
        f"sha256:{_draw(rng, HEX, 64)} is the digest of the image.",
        f"The pod api-{_draw(rng, HEX, 10)}-{_draw(rng, string.ascii_lowercase, 5)} restarts.",
        f"We made {number:,} requests in {rng.randint(2, 90)} ms, that is {number / 7:.2f} a second.",
        f"Order {_draw(rng, '123456789', 8)} was shipped at {rng.randint(8, 18)}:{rng.randint(10, 59)}.",
        "What is the password policy? A password must have 12 characters.",
        "Where do I reset my password? The token expires after 30 days.",
        "The secret is to stay calm, and the key is under the mat.",
        "Is the API key rotated by hand or by the cron job?",
        f"https://example.com/docs/how-to/set-up-a-{rng.choice(WORDS)}-server?page={number}#section-{number % 90}",
        f"The function find_{rng.choice(WORDS)}_by_{rng.choice(WORDS)}_in_{rng.choice(WORDS)} takes {version}.",
        f"src/main/java/com/example/{rng.choice(WORDS)}/{rng.choice(WORDS).title()}ControllerFactoryTest.java",
        f"Epoch {rng.randint(1600000000, 1799999999)} is {year}; the run took {number} steps.",
        f"The meeting on {rng.randint(1, 28)} March {year} at 14:30 is in room 4.{rng.randint(10, 99)}.",
        f"The ISBN is 978-3-16-148410-{rng.randint(0, 9)}, page {number % 800}.",
        f"Set max_tokens={number} and api_version={year}-06-01.",
        "We moved to 12 Example Street in spring, the third floor is ours.",
        f"The port is {number % 9000 + 1000}, the timeout 30 s, and 10 of 24 hosts are up.",
        f"Invoice {year}-{number} over 1,{number % 900 + 100}.00 EUR is paid.",
    ]
    chinese = [
        f"{version}版本在{year}年{rng.randint(1, 12)}月{rng.randint(1, 28)}日发布。",
        f"提交{commit}把构建弄坏了。",
        f"请看提交{commit[:8]}和工单OPS-{number}。",
        f"请求编号是{identity}。",
        f"镜像的摘要是sha256:{_draw(rng, HEX, 64)}。",
        f"一共{number}个请求，用了{rng.randint(2, 90)}毫秒。",
        f"订单{_draw(rng, '123456789', 8)}已在{rng.randint(8, 18)}:{rng.randint(10, 59)}发货。",
        "密码规则是什么？密码必须有12个字符。",
        "在哪里重置密码？令牌三十天后过期。",
        "秘密就是保持冷静，钥匙在垫子下面。",
        "密钥是手动轮换还是由定时任务轮换？",
        f"文档在https://example.com/docs/{rng.choice(WORDS)}?page={number}。",
        f"函数find_{rng.choice(WORDS)}_by_{rng.choice(WORDS)}需要{version}。",
        f"会议在{rng.randint(1, 12)}月{rng.randint(1, 28)}日14:30，地点是4楼{number % 90 + 10}号会议室。",
        f"把max_tokens={number}改小一点。",
        "我们春天搬到了人民路，三楼是我们的。",
        f"端口是{number % 9000 + 1000}，超时30秒，24台里有10台正常。",
        f"发票{year}-{number}共1{number % 900 + 100}.00元已付。",
        f"时间戳{rng.randint(1600000000, 1799999999)}对应{year}年。",
        f"服务api-{_draw(rng, HEX, 10)}在重启。",
    ]
    return rng.choice(english if language == ENGLISH else chinese)
