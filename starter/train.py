"""Train the starter model: one flat loop, on the processor, from one seed; a second start goes on.

From scratch, or with `--base` from another file of this recipe: then at a lower rate, and without practice in copying.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F  # noqa: N812
from tokenizers import Tokenizer

from starter.corpus import build_chats
from starter.export import read_gguf, write_gguf
from starter.model import Shape, build_weights, hidden_states
from starter.muon import Muon
from starter.tokenizer import encode_chat, load_tokenizer, train_tokenizer

Encoded = tuple[list[int], list[bool]]
CHUNK = 3000  # chats that are sorted by length together, so that batches hold little padding
PHASES = (
    ("copy", 0.07),
    ("short", 0.15),
    ("main", 0.85),
    ("long", 1.0),
)  # each with the share of all steps at which it ends
LATER = (("main", 0.9), ("long", 1.0))  # of a training that goes on from a file


def encode_chunk(tokenizer: Tokenizer, seed: int, phase: str, context: int) -> list[Encoded]:
    encoded = (encode_chat(tokenizer, chat) for chat in islice(build_chats(seed, "train", phase), CHUNK))
    return [(ids[:context], spoken[:context]) for ids, spoken in encoded]


def build_batches(tokenizer: Tokenizer, seed: int, phase: str, *, tokens: int, context: int) -> Iterator[list[Encoded]]:
    """Batches of about `tokens` tokens, each of chats of like length, for ever."""
    rng = Random(f"{seed}/{phase}")
    for chunk in range(10**6):
        chats = sorted(encode_chunk(tokenizer, seed * 10_000 + chunk, phase, context), key=lambda chat: len(chat[0]))
        batches: list[list[Encoded]] = [[]]
        for chat in chats:
            if (len(batches[-1]) + 1) * len(chat[0]) > tokens:
                batches.append([])
            batches[-1].append(chat)
        rng.shuffle(batches)
        yield from batches


def to_tensors(batch: list[Encoded]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, the token that follows each, and whether the assistant says it; short chats are padded at the end."""
    length = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([row + [0] * (length - len(row)) for row, _ in batch])
    spoken = torch.tensor([row + [False] * (length - len(row)) for _, row in batch])
    return ids[:, :-1], ids[:, 1:], spoken[:, 1:]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, help="a GGUF of this recipe whose weights and tokens are trained on")
    parser.add_argument("--rate", type=float, default=1.0, help="times the rates of a training from scratch")
    parser.add_argument("--out", type=Path, default=Path("bot/models/starter.gguf"))
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="checkpoint, tokenizer and log")
    parser.add_argument("--steps", type=int, default=3400)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end the schedule earlier than --steps")
    parser.add_argument("--tokens", type=int, default=6144, help="tokens of one step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16", help="of the matrix products")
    options = parser.parse_args(arguments)

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    dtype = getattr(torch, options.dtype)
    options.work.mkdir(parents=True, exist_ok=True)
    vocabulary, checkpoint, log = (options.work / name for name in ("tokenizer.json", "checkpoint.pt", "log.jsonl"))
    known, tokenizer = read_gguf(options.base, Shape.heads) if options.base else ({}, None)
    if not vocabulary.exists():
        (tokenizer or train_tokenizer(options.seed)).save(str(vocabulary))
    tokenizer = load_tokenizer(vocabulary)
    shape = Shape(vocabulary=tokenizer.get_vocab_size())
    weights = build_weights(shape, options.seed)
    for name, weight in known.items():
        weights[name].data.copy_(weight)
    hidden = [weight for name, weight in weights.items() if weight.ndim == 2 and name != "token_embd"]
    others = [weight for name, weight in weights.items() if weight.ndim == 1 or name == "token_embd"]
    muon = Muon(hidden)
    adam = torch.optim.AdamW(others, lr=2e-3, betas=(0.9, 0.95), weight_decay=0.0)
    print(f"{sum(weight.numel() for weight in weights.values()):,} parameters, {asdict(shape)}")

    step, seen, seconds = 0, 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        step, seen, seconds = state["step"], state["seen"], state["seconds"]
        adam.load_state_dict(state["adam"])
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(state["weights"][name])
            for buffer, saved in zip(muon.buffers, state["muon"], strict=True):
                buffer.copy_(saved)

    held_out = [encode_chat(tokenizer, chat) for chat in islice(build_chats(options.seed, "held-out"), 60)]
    batches: Iterator[list[Encoded]] = iter(())
    phase = ""
    started = saved_at = time.monotonic()
    progress = step / options.steps
    while progress < 1:
        now = next(name for name, end in (LATER if known else PHASES) if progress < end)
        if now != phase:
            phase = now
            seed = options.seed * 1000 + step  # a second start draws new chats, never the same ones again
            batches = build_batches(tokenizer, seed, phase, tokens=options.tokens, context=shape.context)
        rate = options.rate * min((step + 1) / 50, 1.0, (1 - progress) / 0.6)
        inputs, targets, spoken = to_tensors(next(batches))
        weighted = spoken
        if progress < 0.5 and not known:  # early on, some of what people say helps to learn the language
            weighted = spoken | ((torch.rand(spoken.shape) < 0.15) & (targets != 0))
        states = hidden_states(weights, shape, inputs, dtype)[weighted]
        logits = F.linear(states, weights["token_embd"].to(dtype)).float()
        loss = F.cross_entropy(logits, targets[weighted])
        loss.backward()
        muon.step(0.008 * rate, dtype)
        for group in adam.param_groups:
            group["lr"] = 2e-3 * rate
        adam.step()
        adam.zero_grad(set_to_none=True)
        step += 1
        seen += inputs.numel()
        spent = seconds + time.monotonic() - started
        progress = max(step / options.steps, spent / 60 / options.minutes)

        last = progress >= 1
        if step % 50 == 0 or last:
            entry = {"step": step, "tokens": seen, "seconds": round(spent), "loss": round(loss.item(), 4)}
            if step % 200 == 0 or last:
                entry["held_out"] = round(held_out_loss(weights, shape, held_out, dtype), 4)
            print(json.dumps(entry), flush=True)
            with log.open("a") as file:
                file.write(json.dumps(entry) + "\n")
        if last or time.monotonic() - saved_at > 60:
            saved_at = time.monotonic()
            state = {"step": step, "seen": seen, "seconds": spent, "adam": adam.state_dict()}
            state |= {"weights": {name: weight.data for name, weight in weights.items()}, "muon": muon.buffers}
            torch.save(state, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").replace(checkpoint)
    write_gguf(options.out, weights, shape, tokenizer)
    print(f"wrote {options.out}, {options.out.stat().st_size / 1e6:.2f} MB")


def held_out_loss(
    weights: dict[str, torch.nn.Parameter], shape: Shape, chats: list[Encoded], dtype: torch.dtype
) -> float:
    """Loss per token of the answers in chats whose wordings and names do not occur in training."""
    total, count = 0.0, 0
    for chat in chats:
        inputs, targets, spoken = to_tensors([chat])
        with torch.no_grad():
            states = hidden_states(weights, shape, inputs, dtype)[spoken]
            logits = F.linear(states, weights["token_embd"].to(dtype)).float()
        total += F.cross_entropy(logits, targets[spoken], reduction="sum").item()
        count += int(spoken.sum())
    return total / count


if __name__ == "__main__":
    main()
