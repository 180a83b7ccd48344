"""From what people said to a run folder that a trainer learns from; every step streams, and says how far it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from bot.engine.client import EngineClient
from bot.learning.data.basket import Basket
from bot.learning.data.drafts import Draft, System
from bot.learning.data.gathering import Harvest, Say, look, read_drafts
from bot.learning.data.making import Maker
from bot.learning.data.manifest import Tally, write_manifest
from bot.learning.data.picture import draw
from bot.learning.data.points import check_enough
from bot.learning.data.policy import DataPolicy
from bot.learning.data.report import PICTURE, DataReport
from bot.learning.data.splitting import place
from bot.learning.data.spool import Spool
from bot.learning.data.tokens import TOO_LONG, DraftTokens, Tokenizer, open_tokenizer
from bot.learning.examples import Source, Split, write_examples
from bot.learning.plan import EXAMPLES
from bot.storage.db import Database

AT_ONCE = 16  # drafts that are tokenized together


async def build_dataset(
    database: Database,
    client: EngineClient,
    folder: Path,
    *,
    policy: DataPolicy,
    base_model: str,
    seed: int,
    system: System,
    say: Say,
    since: datetime | None = None,
) -> DataReport:
    """Write `examples.jsonl`, its manifest, report, card and picture into *folder*.

    *system* is the system prompt of a day, *base_model* what the engine serves without an adapter. Raise
    *NotEnoughSignal* with what is missing before the engine is asked for anything long.
    """
    tokenizer = await open_tokenizer(client, base_model)
    say("choosing", 0, 1)
    harvest = await look(database, policy=policy, system=system, since=since)
    with ExitStack() as stack:
        said, made = (stack.enter_context(Spool(folder, name)) for name in ("said", "made"))
        basket = Basket(policy, harvest.choice.person_weights, said)
        async for draft, name, tokens in _tokenize(read_drafts(database, harvest, say=say), tokenizer, harvest):
            basket.keep(draft, name, tokens)
        _check(basket, harvest)
        items = [replace(item, like=harvest.likeness.group(item.like)) for item in basket.items]
        placed = await asyncio.to_thread(place, items, policy)
        maker = Maker(made, tokenizer, policy=policy, system=system, model=base_model, seed=seed, say=say)
        lack = await maker.rehearse(basket, taught=await maker.teach(basket), liked=basket.count_liked(placed))
        await maker.plant(basket)
        harvest.left_out.update({TOO_LONG: maker.too_long} if maker.too_long else {})
        say("writing", 0, said.count + made.count)
        tally = Tally()
        examples = tally.count(chain(made.read(), basket.take_out(placed)))
        await asyncio.to_thread(write_examples, folder / EXAMPLES, examples)
    report = _report(
        basket,
        harvest,
        tally,
        seed=seed,
        base_model=base_model,
        base_sha256=tokenizer.base_sha256,
        template_sha256=tokenizer.template_sha256,
        dataset_sha256=await asyncio.to_thread(write_manifest, folder, basket.owners),
        warnings=tuple(filter(None, (*harvest.choice.notes, *placed.notes, lack, *_warn(basket, tally, policy)))),
    )
    await asyncio.to_thread(draw, report, folder / PICTURE)
    report.write(folder)
    say("writing", tally.examples, tally.examples)
    return report


async def _tokenize(
    drafts: AsyncIterator[tuple[Draft, str]], tokenizer: Tokenizer, harvest: Harvest
) -> AsyncIterator[tuple[Draft, str, DraftTokens]]:
    """Yield drafts with their tokens in the same order; several are with the engine at once."""
    lot: list[tuple[Draft, str]] = []
    async for one in drafts:
        lot.append(one)
        if len(lot) == AT_ONCE:
            for done in await _tokenize_lot(lot, tokenizer, harvest):
                yield done
            lot = []
    for done in await _tokenize_lot(lot, tokenizer, harvest):
        yield done


async def _tokenize_lot(
    lot: list[tuple[Draft, str]], tokenizer: Tokenizer, harvest: Harvest
) -> list[tuple[Draft, str, DraftTokens]]:
    policy = harvest.policy
    found = await asyncio.gather(*(tokenizer.draft(one, checks_served=policy.checks_served) for one, _ in lot))
    good = []
    for (draft, name), tokens in zip(lot, found, strict=True):
        if fault := tokenizer.find_fault(tokens, most=policy.most_tokens):
            harvest.left_out[fault] += 1
        else:
            good.append((draft, name, tokens))
    return good


def _check(basket: Basket, harvest: Harvest) -> None:
    likes, dislikes = basket.signals[Source.LIKED], basket.signals[Source.DISLIKED]
    check_enough(
        basket.points,
        len(basket.people),
        people_used=harvest.people_used,
        policy=harvest.policy,
        likes=likes,
        dislikes=dislikes,
        others=basket.signals.total() - likes - dislikes - basket.signals[Source.IMPLICIT],
    )


def _warn(basket: Basket, tally: Tally, policy: DataPolicy) -> list[str]:
    """Return what a reader of the report has to know about the data."""
    warnings = []
    likes, dislikes = basket.signals[Source.LIKED], basket.signals[Source.DISLIKED]
    if likes + dislikes and min(likes, dislikes) < policy.least_votes_each:
        warnings.append(
            f"The votes are one-sided: {likes} 👍 and {dislikes} 👎. With fewer than {policy.least_votes_each} of each "
            "they say little about taste."
        )
    if not tally.splits()[Split.TEST]:
        warnings.append("Nothing is held out to test on.")
    return warnings


def _count_others_pairs(tally: Tally, policy: DataPolicy, *, people: int) -> int:
    """Return how many pairs there are, without those of whoever gave most where one of many must not decide."""
    given = tally.pairs_by_person
    is_many = policy.trust is not None and people >= policy.trust.enough_people
    return given.total() - (max(given.values(), default=0) if is_many else 0)


def _report(basket: Basket, harvest: Harvest, tally: Tally, **known: Any) -> DataReport:
    return DataReport(
        examples=tally.examples,
        uses=dict(tally.uses),
        sources={source: splits.total() for source, splits in tally.sources.items()},
        splits=dict(tally.splits()),
        splits_by_source={source: dict(splits) for source, splits in tally.sources.items()},
        left_out=dict(harvest.left_out),
        redacted=dict(harvest.redacted),
        signals=dict(basket.signals),
        points=basket.points,
        points_needed=harvest.policy.least_points,
        people=len(basket.people),
        channels=len(basket.channels),
        tokens=tally.tokens,
        rendered=basket.rendered,
        since=harvest.since.isoformat(),
        others_pairs=_count_others_pairs(tally, harvest.policy, people=len(basket.people)),
        policy=asdict(harvest.policy) | {"audiences": sorted(harvest.policy.audiences)},
        **known,
    )
