"""A conversation with its files within the token budget: the question first, then files, then what was said before."""

from collections.abc import Awaitable, Callable, Sequence

from bot.conversation.draft import Draft
from bot.conversation.excerpts import HISTORY_SHARE, Excerpt, choose_excerpts, is_unknown, place_excerpts, quote
from bot.conversation.history import ChatMessage, Fitted, fit_history
from bot.conversation.pictures import MOST_SHOWN
from bot.conversation.prompt_book import PromptBook
from bot.storage.threads import Said

IMAGE = "image"
Build = Callable[[Sequence[Said], Said], list[ChatMessage]]
Count = Callable[[list[ChatMessage]], Awaitable[int]]


async def fit_with_files(
    history: Sequence[Said],
    asked: Said,
    draft: Draft,
    build: Build,
    *,
    prompts: PromptBook,
    count: Count,
    budget: int,
) -> Fitted | int:
    """Choose what the model reads of *history* and of the draft's files; note in the draft what of the files it is.

    Return the tokens of the bare question when not even that fits.
    """
    if not draft.files:
        draft.excerpts = []
        return await fit_history(history, lambda kept: build(kept, asked), count=count, budget=budget)
    pictures = min(MOST_SHOWN, sum(_is_picture(draft, file.row.kind) for file in draft.files))
    budget -= min(draft.picture_tokens * pictures, budget // 2)
    names = [file.row.name for file in draft.files if is_unknown(file) and not _is_picture(draft, file.row.kind)]
    unread = [prompts.get("unread").render(name=name) for name in names]

    def render(excerpt: Excerpt) -> str:
        part = "all of it" if excerpt.is_whole else f"{excerpt.part} of {excerpt.of}"
        return prompts.get("file").render(name=excerpt.row.name, part=part, text=quote(excerpt.text))

    def build_with(kept: Sequence[Said], excerpts: Sequence[Excerpt]) -> list[ChatMessage]:
        return build(*place_excerpts(kept, asked, excerpts, render=render, unread=unread))

    async def count_excerpts(excerpts: Sequence[Excerpt]) -> int:
        return await count(build_with([], excerpts))

    own = {part.ts for part in draft.question.parts}
    bare = await count_excerpts([])
    free = max(0, int((budget - bare) * (1 - HISTORY_SHARE if history else 1)))
    draft.excerpts = await choose_excerpts(
        draft.files, asked.text, own=own, count=count_excerpts, room=bare + free, free=free
    )
    return await fit_history(history, lambda kept: build_with(kept, draft.excerpts), count=count, budget=budget)


def _is_picture(draft: Draft, kind: str) -> bool:
    return draft.sees and kind == IMAGE
