"""Sheltered LoRA: directions that ordinary text uses hardly change, and those that it leaves free learn fast.

The A matrix of an adapter is A = P M, and P is what is trained. M is the root of the inverse of what the inputs of that
matrix look like over rehearsal: in its coordinates ordinary text is white. PEFT's A stays an ordinary A: its gradient
becomes P's on the way back, and what AdamW does to P is done to A, so that checkpoints and export know nothing of it.
(MEMIT, CorDA and LoRA-Null keep to the same directions in other ways.)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from bot.learning.examples import Example
from bot.learning.proof.adapter_file import MOST_CHANGE

ROWS, AT_ONCE = 400, 16  # of rehearsal that are looked at
WIDEST = 2048  # inputs of a matrix; M is a full square of it for every matrix, too much for larger models
NEAR = 0.98  # of what P5 allows: what is served is rounded to half floats
Turns = Mapping[torch.nn.Parameter, torch.Tensor]


@dataclass(slots=True)
class Inputs:
    """What linear modules are given while a model reads: sums of squares, by which equal inputs are counted once."""

    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    leaders: dict[str, str] = field(default_factory=dict)  # of each module the one that is given the same
    tokens: int = 0
    _seen: tuple[str, Any] = ("", None)

    def watch(self, name: str) -> Callable[..., None]:
        """Return the hook that looks at what module *name* is given."""
        return partial(self._look, name)

    def _look(self, name: str, _module: Any, given: tuple[Any, ...]) -> None:
        leader, seen = self._seen
        if given[0] is not seen:
            leader, self._seen = name, (name, given[0])
            flat = given[0].flatten(0, -2).float()
            self.sums[name] = self.sums.get(name, 0) + (flat.T @ flat).double()
        self.leaders[name] = leader


def measure_inputs(model: Any, texts: Sequence[Sequence[int]], modules: Sequence[str]) -> Inputs:
    """Return what the base's linear *modules* are given when it reads *texts*, each cut to a like one's length."""
    inputs = Inputs()
    with ExitStack() as hooks, torch.no_grad():
        for name in modules:
            hook = model.get_submodule(name).register_forward_pre_hook(inputs.watch(name))
            hooks.callback(hook.remove)
        ordered = sorted(texts, key=len)
        for start in range(0, len(ordered), AT_ONCE):
            together = ordered[start : start + AT_ONCE]
            ids = torch.tensor([text[: len(together[0])] for text in together], device=model.device)
            model.base_model(input_ids=ids, use_cache=False)
            inputs.tokens += ids.numel()
    return inputs


def whiten(covariance: torch.Tensor, *, strength: float) -> torch.Tensor:
    """Return M: the inverse root of a covariance, its eigenvalues of rms 1; *strength* near 0 shelters the most."""
    values, vectors = torch.linalg.eigh(covariance / covariance.diagonal().mean())
    scales = (values.clamp(min=0) + strength).rsqrt()
    return ((vectors * (scales / scales.square().mean().sqrt())) @ vectors.T).float()


def measure_shelter(
    model: Any, rehearsal: Sequence[Example], modules: Sequence[str], *, strength: float
) -> tuple[dict[str, torch.Tensor], str]:
    """Return M of each module, the same for the same rows; none, with the reason, where there can be none."""
    widest = max(model.get_submodule(name).in_features for name in modules)
    if widest > WIDEST:
        return {}, f"Nothing was sheltered: this base has matrices with {widest} inputs, and {WIDEST} is the most."
    rows = rehearsal[:: max(1, len(rehearsal) // ROWS)][:ROWS]
    tokens = sum(len(row.prompt_ids) + len(row.completion_ids) for row in rows)
    if tokens < widest:
        return {}, f"Nothing was sheltered: rehearsal has {tokens} tokens only, and {widest} are needed."
    inputs = measure_inputs(model, [[*row.prompt_ids, *row.completion_ids] for row in rows], modules)
    turns = {name: whiten(total / inputs.tokens, strength=strength) for name, total in inputs.sums.items()}
    return {name: turns[inputs.leaders[name]] for name in modules}, ""


def shelter_adapter(adapted: Any, shelter: Mapping[str, torch.Tensor]) -> None:
    """Let a fresh adapter start in the sheltered coordinates, and its gradients be those of P from now on."""
    for weight, turn in find_turns(adapted, shelter).items():
        with torch.no_grad():
            weight.copy_(weight @ turn)
        weight.register_hook(partial(torch.matmul, other=turn))


def find_turns(adapted: Any, shelter: Mapping[str, torch.Tensor]) -> Turns:
    """Return M of each A matrix that is trained."""
    base = adapted.get_base_model()
    matrices = [(base.get_submodule(name).lora_A, turn) for name, turn in shelter.items()]
    found = [(layer.weight, turn) for layers, turn in matrices for layer in layers.values()]
    return {weight: turn for weight, turn in found if weight.requires_grad}


def find_limits(adapted: Any, names: Iterable[str]) -> Iterator[tuple[Any, Any, torch.Tensor]]:
    """Yield the A and B of each module that are trained, and how large B A may become."""
    for layer in map(adapted.get_base_model().get_submodule, names):
        size = layer.get_base_layer().weight.detach().float().norm()
        for key, a in layer.lora_A.items():
            if a.weight.requires_grad:
                yield a.weight, layer.lora_B[key].weight, NEAR * MOST_CHANGE * size / layer.scaling[key]


class ShelteredAdamW(torch.optim.AdamW):  # type: ignore[misc,unused-ignore]
    """AdamW on P, where the gradients are P's already and the weights are A = P M.

    P's high rates take weights further than P5 allows, so each change is held within that after every step.
    """

    def __init__(self, adapted: Any, shelter: Mapping[str, torch.Tensor], *, rate: float, decay: float) -> None:
        trained = [weight for weight in adapted.parameters() if weight.requires_grad]
        super().__init__(trained, lr=rate, weight_decay=decay)
        self._turns = find_turns(adapted, shelter)
        self._limits = list(find_limits(adapted, shelter))

    def step(self, closure: Any = None) -> Any:
        """Do to A what AdamW does to P: its decay is the same for both, and its step is turned."""
        with torch.no_grad():
            decayed = [(weight, weight * (1 - rate * decay)) for weight, rate, decay in self._sheltered()]
            loss = super().step(closure)
            for weight, before in decayed:
                weight.copy_(before + (weight - before) @ self._turns[weight])
            for a, b, most in self._limits:
                size = ((b.T @ b) * (a @ a.T)).sum().clamp(min=0).sqrt()
                b.mul_((most / size).clamp(max=1.0))
        return loss

    def _sheltered(self) -> Iterator[tuple[torch.nn.Parameter, float, float]]:
        for group in self.param_groups:
            for weight in group["params"]:
                if weight in self._turns and weight.grad is not None:
                    yield weight, group["lr"], group["weight_decay"]
