"""Performs what the scheduler planned for the KV cache and for pictures, and notices when a saved state is not back."""

from collections.abc import Iterable

from bot.engine.batching.plan import Move, Piece
from bot.engine.llama.context import Context
from bot.engine.llama.mtmd import read_rows
from bot.errors import EngineError


def perform_moves(context: Context, moves: Iterable[Move]) -> set[int]:
    """Bring the KV cache into the planned state; return the slots that are not as planned, and must begin anew."""
    lost: set[int] = set()
    for move in moves:
        if move.kind == "save" and move.saved:
            move.saved.state = context.save(move.slot)
        elif move.kind == "load" and move.saved:
            if not context.load(move.slot, move.saved.state, length=move.length):
                lost.add(move.slot)
        elif move.kind == "copy":
            is_there = context.copy(move.source, move.slot, length=move.length)
            if not is_there or move.source in lost:
                lost.add(move.slot)
        elif not context.trim(move.slot, move.length) and move.slot not in lost:
            raise EngineError(f"llama.cpp could not trim slot {move.slot} to {move.length} tokens of the KV cache.")
    return lost


def read_picture(context: Context, piece: Piece) -> int:
    """Let a part of a picture be read in place of its tokens; return llama.cpp's code."""
    placed = piece.picture
    if placed is None:
        raise ValueError("the piece is no picture's")
    first = piece.start - placed.start
    return read_rows(context, piece.sequence.slot, placed.sight, first, piece.start, count=piece.count)
