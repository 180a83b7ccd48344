"""Ask the GGUF held-out questions in llama.cpp, greedily, and print the share of right answers by kind as Markdown."""

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from llama_cpp import Llama

from starter.chats import END, START, Exchange, render
from starter.corpus import build_chats
from starter.wording import Split

LIKE = 0.8  # overlap of words from which an answer counts as the one that was wanted


@dataclass(frozen=True)
class Case:
    """A question in its thread, with what should be answered."""

    messages: tuple[dict[str, str], ...]
    exchange: Exchange


@dataclass(frozen=True)
class Result:
    case: Case
    answer: str
    is_right: bool


def build_cases(*, per_kind: int, seed: int, split: Split = "held-out", phase: str = "main") -> Iterator[Case]:
    """The last question of each chat, until every kind has its share of cases or is too rare."""
    counts: Counter[str] = Counter()
    for index, chat in enumerate(build_chats(seed, split, phase)):
        exchange = chat.exchanges[-1]
        if counts[exchange.kind] < per_kind:
            counts[exchange.kind] += 1
            yield Case(tuple(chat.messages()[:-1]), exchange)
        if index >= per_kind * 400 or (index > per_kind * 40 and min(counts.values()) >= per_kind):
            return


def is_right(answer: str, exchange: Exchange) -> bool:
    if exchange.expect:
        return all(part.casefold() in answer.casefold() for part in exchange.expect)
    return overlap(answer, exchange.answer) >= LIKE


def overlap(left: str, right: str) -> float:
    """F1 over words: 1 for the same words, 0 for none in common."""
    a, b = (Counter(re.findall(r"\w+|[^\w\s]", text.casefold())) for text in (left, right))
    common = (a & b).total()
    return 2 * common / (a.total() + b.total()) if common else 0.0


class Speaker:
    """The model in llama.cpp, asked greedily with the chat's own text."""

    def __init__(self, path: Path, *, threads: int = 1, context: int = 2048) -> None:
        self._model = Llama(str(path), n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False)
        self._end = self._model.tokenize(END.encode(), add_bos=False, special=True)[0]

    def answer(self, messages: tuple[dict[str, str], ...], *, limit: int = 320) -> str:
        prompt = render(list(messages)) + f"{START}assistant\n"
        ids = self._model.tokenize(prompt.encode(), add_bos=False, special=True)
        said: list[int] = []
        for token in self._model.generate(ids, temp=0.0, repeat_penalty=1.0):
            if token == self._end or len(said) == limit:
                break
            said.append(token)
        text: bytes = self._model.detokenize(said)
        return text.decode(errors="replace")

    def close(self) -> None:
        self._model.close()


def run_cases(speaker: Speaker, cases: Iterator[Case]) -> Iterator[Result]:
    for case in cases:
        answer = speaker.answer(case.messages)
        yield Result(case, answer, is_right(answer, case.exchange))


def render_table(results: list[Result]) -> str:
    by_kind: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_kind[result.case.exchange.kind].append(result)
    lines = ["| Kind of question | Asked | Right |", "|---|---:|---:|"]
    for kind, group in sorted(by_kind.items()):
        lines.append(f"| {kind} | {len(group)} | {share(group):.0%} |")
    lines.append(f"| **all** | {len(results)} | **{share(results):.0%}** |")
    return "\n".join(lines)


def share(results: list[Result]) -> float:
    return sum(result.is_right for result in results) / len(results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=Path("bot/models/starter.gguf"))
    parser.add_argument("--per-kind", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--split", choices=["train", "held-out"], default="held-out")
    parser.add_argument("--phase", choices=["main", "long"], default="main")
    parser.add_argument("--wrong", action="store_true", help="also print the answers that were not right")
    options = parser.parse_args()
    cases = build_cases(per_kind=options.per_kind, seed=options.seed, split=options.split, phase=options.phase)
    with closing(Speaker(options.model)) as speaker:
        results = list(run_cases(speaker, cases))
    print(render_table(results))
    for result in results:
        if options.wrong and not result.is_right:
            exchange = result.case.exchange
            print(f"\n[{exchange.kind}] {exchange.user!r}\n  want {exchange.answer!r}\n  got  {result.answer!r}")


if __name__ == "__main__":
    main()
