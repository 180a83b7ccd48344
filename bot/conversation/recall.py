"""What people corrected before, shown to the model when somebody asks much the same: from the next message on.

Which corrections may be shown where is decided by the search in the database; here is chosen which of them help.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bot.conversation.draft import Question
from bot.conversation.history import Example
from bot.engine.client import EngineClient
from bot.engine.types import ModelInfo
from bot.errors import EngineError
from bot.storage.correction_index import save_vectors
from bot.storage.correction_search import (
    Asked,
    Found,
    find_by_ids,
    find_by_terms,
    find_without_vector,
    has_any,
    load_vectors,
)
from bot.storage.db import Database
from bot.storage.terms import find_terms, measure_likeness

LEAST_LIKENESS = 0.5  # of the terms: benchmarks/at_once.py says what other values would find
SAME = 0.85  # of two questions that are so much alike only the newer one's correction counts
LEAST_COSINE = 0.8
FEW_VECTORS, SURE_COSINE = 8, 0.9  # with so few nothing is known of how alike any two questions are
MOST_NEW_VECTORS = 32
NEAREST = 20
FUSION = 60  # how little the first places of a ranking count more than the next ones

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A correction that was found, with how alike its question is by its *terms* and by its vector."""

    found: Found
    terms: frozenset[str]
    likeness: float
    cosine: float = 0.0


class Recall:
    """Finds what people corrected before; *most* is how many corrections an answer may see.

    *needs_review* leaves out what no reviewer has approved.
    """

    def __init__(self, database: Database, engine: EngineClient, *, most: int, needs_review: bool = False) -> None:
        self._database = database
        self._engine = engine
        self._most = most
        self._needs_review = needs_review
        self._without_vectors: set[str] = set()  # the models that have none

    async def find(self, question: Question, *, is_ours: bool, model: ModelInfo) -> list[Example]:
        """Return the corrections that help with a question, the most alike first."""
        if not self._most:
            return []
        async with self._database.read() as session:
            if not await has_any(session):
                return []
        place = question.place
        asked = Asked(
            team_id=place.team_id,
            channel_id=place.channel_id,
            user_id=question.user_id,
            audience=question.audience,
            is_ours=is_ours,
            needs_review=self._needs_review,
        )
        whole = "\n".join(part.text for part in question.parts)
        cosines = await self._compare(whole, asked, model)
        async with self._database.read() as session:
            found = {one.correction_id: one for one in await find_by_terms(session, asked, find_terms(whole))}
            others = cosines.keys() - found.keys()
            found |= {one.correction_id: one for one in await find_by_ids(session, asked, others)} if others else {}
        asked_terms = _find_asked(question, whole)
        candidates = []
        for one in found.values():
            terms = find_terms(one.question)
            likeness = max(measure_likeness(own, terms) for own in asked_terms)
            candidates.append(Candidate(one, terms, likeness, cosines.get(one.correction_id, 0.0)))
            await asyncio.sleep(0)  # fifty long questions take half a second, in which everybody else must be heard
        return [
            Example(one.found.correction_id, one.found.question, one.found.text, max(one.likeness, one.cosine))
            for one in choose(candidates, most=self._most)
        ]

    async def _compare(self, text: str, asked: Asked, model: ModelInfo) -> Mapping[str, float]:
        """Return the corrections whose question means the same to a model with embeddings; nothing without one."""
        name = model.sha256 or model.id
        if name in self._without_vectors:
            return {}
        async with self._database.read() as session:
            ids, matrix = await load_vectors(session, asked, name)
            missing = await find_without_vector(session, asked, name, most=MOST_NEW_VECTORS)
        if not ids and not missing:
            return {}
        try:
            first, *others = await self._engine.embed([text, *missing.values()], model=model.id)
        except EngineError as error:
            log.info("recall: %s has no embeddings (%s)", model.id, type(error).__name__)
            self._without_vectors.add(name)
            return {}
        made = dict(zip(missing, others, strict=True))
        if made:
            async with self._database.begin() as session:
                await save_vectors(session, name, made)
        if others and (not ids or matrix.shape[1] == len(first)):
            matrix = np.vstack([matrix, np.asarray(others, dtype=np.float32)]) if ids else np.asarray(others)
            ids = [*ids, *made]
        return nearest(ids, matrix @ np.asarray(first, dtype=np.float32))


def _find_asked(question: Question, whole: str) -> Collection[frozenset[str]]:
    """Return the terms by which a known question can be like what is asked: of one of its messages, or of all."""
    return {find_terms(text) for text in (*(part.text for part in question.parts), whole)}


def nearest(ids: Sequence[str], cosines: Sequence[float] | np.ndarray) -> Mapping[str, float]:
    """Return what is near enough to mean the same: half as far as usual at most, as far as that is known.

    Models differ in how alike any two texts are to them, so that one number would not do for all.
    """
    values = np.asarray(cosines)
    least = max(LEAST_COSINE, (1 + float(np.median(values))) / 2) if len(values) >= FEW_VECTORS else SURE_COSINE
    best = np.argsort(-values, kind="stable")[:NEAREST]
    return {ids[index]: float(values[index]) for index in best if values[index] >= least}


def choose(candidates: Sequence[Candidate], *, most: int) -> list[Candidate]:
    """Return what is alike enough, of each question the newest, ordered by both rankings together.

    What a reviewer has approved is newer than what nobody has looked at.
    """
    alike = [one for one in candidates if one.likeness >= LEAST_LIKENESS or one.cosine > 0]
    newest: list[Candidate] = []
    for one in sorted(alike, key=lambda one: (one.found.is_approved, one.found.correction_id), reverse=True):
        if all(measure_likeness(one.terms, other.terms) < SAME for other in newest):
            newest.append(one)
    by_terms = sorted((one for one in newest if one.likeness), key=lambda one: -one.likeness)
    by_vector = sorted((one for one in newest if one.cosine), key=lambda one: -one.cosine)
    places = {id(one): 0.0 for one in newest}
    for ranking in (by_terms, by_vector):
        for place, one in enumerate(ranking, start=1):
            places[id(one)] += 1 / (FUSION + place)
    return sorted(newest, key=lambda one: -places[id(one)])[:most]
