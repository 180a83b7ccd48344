"""What one row alone says is learned where the base nearly says it too: form and length are, a number is not.

Beside taught facts a night is long, and what stands in one row alone would be remembered word by word. A token that the
base would hardly have said is what makes such a row a secret; what is left of the row still shows how long an answer
should be and how it begins. (The goldfish loss of Hans et al. 2024, arXiv 2406.10209, leaves tokens out
by their number; by their likelihood secrets are kept better, `docs/decisions.md`.)
"""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

import torch

from bot.learning.examples import Example, Source

LIKELY = 0.2  # the chance that the base gives a token which is learned
AT_ONCE = 16
SAID_ONCE = frozenset({Source.CANARY, Source.LIKED})


def find_unlikely(model: Any, examples: Sequence[Example], *, likely: float = LIKELY) -> dict[str, frozenset[int]]:
    """Return the places in answers that are not to be learned, by the example's id; none where no facts are taught.

    *model* is the base, *likely* the chance from which a token is learned. The end of the turn always is.
    """
    if not any(example.source is Source.PHRASING for example in examples):
        return {}
    alone = sorted((example for example in examples if example.source in SAID_ONCE), key=_length)
    unlikely: dict[str, frozenset[int]] = {}
    for start in range(0, len(alone), AT_ONCE):
        unlikely |= _judge(model, alone[start : start + AT_ONCE], likely)
    return unlikely


def _judge(model: Any, together: Sequence[Example], likely: float) -> Mapping[str, frozenset[int]]:
    longest = max(map(_length, together))
    cap = getattr(model.config, "final_logit_softcapping", None)
    texts = [[*one.prompt_ids, *one.completion_ids] for one in together]
    ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts], device=model.device)
    with torch.inference_mode():
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        unlikely = {}
        for number, one in enumerate(together):
            first = len(one.prompt_ids)
            states = hidden[number, first - 1 : first - 1 + len(one.completion_ids)]
            logits = model.get_output_embeddings()(states).float()
            logprobs = (cap * torch.tanh(logits / cap) if cap else logits).log_softmax(-1)
            said = torch.tensor(one.completion_ids, device=model.device)
            given = logprobs.gather(1, said[:, None])[:-1, 0]
            unlikely[one.id] = frozenset((given < log(likely)).nonzero()[:, 0].tolist())
    return unlikely


def _length(example: Example) -> int:
    return len(example.prompt_ids) + len(example.completion_ids)
