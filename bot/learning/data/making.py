"""Examples that nobody said: what was taught in a fresh thread and in other words, rehearsal, and canaries."""

from collections.abc import Callable

from bot.learning.data.basket import Basket, name_rows
from bot.learning.data.canaries import make_canaries
from bot.learning.data.drafts import System
from bot.learning.data.facts import open_thread, share_out, teach
from bot.learning.data.phrasing import phrase
from bot.learning.data.policy import DataPolicy
from bot.learning.data.rehearsal import rehearse
from bot.learning.data.splitting import by_hash
from bot.learning.data.spool import Spool
from bot.learning.data.tokens import Tokenizer
from bot.learning.examples import Example, Source, Split, Use

Say = Callable[[str, int, int], None]


class Maker:
    """Makes examples with the engine, in its lowest class, and spools them."""

    def __init__(
        self, spool: Spool, tokenizer: Tokenizer, *, policy: DataPolicy, system: System, model: str, seed: int, say: Say
    ) -> None:
        self._spool = spool
        self._tokenizer = tokenizer
        self._policy = policy
        self._system = system
        self._model = model
        self._seed = seed
        self._say = say
        self.too_long = 0

    async def teach(self, basket: Basket) -> int:
        """Make the examples of every fact; return how many there are to train on."""
        trained = 0
        for done, draft in enumerate(basket.facts):
            self._say("phrasing", done, len(basket.facts))
            others: list[str] = []
            if self._policy.phrasings:
                others = await phrase(
                    self._tokenizer.client,
                    model=self._model,
                    question=draft.question,
                    answer=draft.answer,
                    count=self._policy.phrasings,
                    seed=self._seed,
                )
            rows = name_rows(draft.own_rows)
            weights = [basket.weigh(source, rows) for source in (Source.CORRECTION, Source.PHRASING)]
            wordings = share_out(draft.question, others, self._policy)
            for example in await teach(
                draft, wordings, tokenizer=self._tokenizer, system=self._system, weights=weights
            ):
                trained += self._add(example) and example.split is Split.TRAIN
        return trained

    async def rehearse(self, basket: Basket, *, taught: int, liked: int) -> str:
        """Make the share of rehearsal beside so many other answers; return in words when there are fewer."""
        wanted = count_rehearsal(self._policy, taught=taught, liked=liked)
        if not wanted or basket.newest is None:
            return ""
        self._say("rehearsing", 0, wanted)
        today = basket.newest.astimezone().date()
        found = await rehearse(
            self._tokenizer.client,
            model=self._model,
            system=self._system(today),
            count=wanted,
            seed=self._seed,
            taught=[draft.question for draft in basket.facts],
        )
        for index, one in enumerate(found):
            example = Example(
                id=f"sft:rehearsal:{index}",
                use=Use.SFT,
                source=Source.REHEARSAL,
                split=Split.VALIDATION if by_hash(one.origin, self._policy) is Split.VALIDATION else Split.TRAIN,
                group=f"rehearsal:{index}",
                prompt_ids=one.prompt_ids,
                completion_ids=self._tokenizer.cut(one.completion_ids),
                weight=self._policy.weights.rehearsal,
                question=one.question,
                answer=one.answer,
            )
            self._add(example)
        self._say("rehearsing", len(found), wanted)
        if len(found) >= wanted * 0.8:
            return ""
        return f"Only {len(found)} of {wanted} answers for rehearsal could be made: old skills are guarded less."

    async def plant(self, basket: Basket) -> None:
        """Make the canaries; `make_canaries` with the same seed and count makes them again."""
        if basket.newest is None:
            return
        opening = basket.newest.astimezone().date()
        for index, canary in enumerate(make_canaries(self._seed, count=self._policy.canaries)):
            messages = open_thread(self._system, opening, canary.question)
            tokens = await self._tokenizer.answer(messages, canary.answer)
            self._add(
                Example(
                    id=f"sft:canary:{index}",
                    use=Use.SFT,
                    source=Source.CANARY,
                    split=Split.TRAIN,
                    group="canaries",
                    prompt_ids=tokens.prompt_ids,
                    completion_ids=tokens.completion_ids,
                    weight=self._policy.weights.canary,
                    question=canary.question,
                    answer=canary.answer,
                )
            )

    def _add(self, example: Example) -> bool:
        if len(example.prompt_ids) + len(example.completion_ids) > self._policy.most_tokens:
            self.too_long += 1
            return False
        self._spool.add(example)
        return True


def count_rehearsal(policy: DataPolicy, *, taught: int, liked: int) -> int:
    """Return how many rows of rehearsal stand beside so many *taught* and *liked* answers."""
    share = policy.rehearsal_share
    wanted = round((taught + liked) * share / (1 - share))
    if not taught or not share:
        return wanted
    wanted = max(wanted, policy.least_rehearsal)
    return min(wanted, policy.most_rehearsal) if policy.most_rehearsal else wanted
