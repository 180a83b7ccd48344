"""What PEFT can do and a GGUF adapter cannot is refused before a night is spent on it."""

from collections.abc import Callable
from pathlib import Path

import peft
import pytest

from bot.engine.files.gguf_header import Header
from bot.errors import LearningError
from bot.learning.proof.export import export_adapter
from bot.learning.training.lora_rules import FREE, OWN_WORDS, check_lora
from tests.learning.conftest import change_config
from tests.learning.night import ORIGIN

FINE = [
    {},
    {"r": 32, "lora_alpha": 64, "lora_dropout": 0.1, "task_type": "CAUSAL_LM"},
    {"target_modules": "all-linear"},
    {"target_modules": ["q_proj", "v_proj"], "layers_to_transform": [0]},
    {"target_modules": r"model\.layers\.\d+\.self_attn\..*_proj"},
    {"rank_pattern": {"q_proj": 4}, "alpha_pattern": {"q_proj": 32}, "use_rslora": True},
    {"init_lora_weights": "gaussian"},
]
REFUSED = [
    ({"use_dora": True}, "DoRA"),
    ({"bias": "lora_only"}, "bias='lora_only'"),
    ({"lora_bias": True}, "lora_bias"),
    ({"modules_to_save": ["lm_head"]}, "whole layers"),
    ({"trainable_token_indices": [1, 2]}, "token embeddings"),
    ({"target_modules": ["q_proj", "embed_tokens"]}, "end the process"),
    ({"target_modules": ["lm_head"]}, "lm_head"),
    ({"target_modules": ["model.embed_tokens"]}, "embed_tokens"),
    ({"target_modules": ".*"}, "lm_head"),
    ({"init_lora_weights": "pissa"}, "base's own weights"),
    ({"init_lora_weights": "pissa_niter_4"}, "base's own weights"),
    ({"init_lora_weights": "olora"}, "base's own weights"),
    ({"layer_replication": [[0, 2], [1, 2]]}, "another model"),
    ({"target_parameters": ["experts.down_proj"]}, "other parameters"),
    ({"fan_in_fan_out": True}, "other way round"),
    ({"alora_invocation_tokens": [5]}, "by request"),
    ({"use_qalora": True}, "use_qalora (nobody has proven"),
    ({"an_option_of_next_year": True}, "an_option_of_next_year (nobody has proven"),
]


@pytest.mark.parametrize("options", FINE, ids=str)
def test_what_serves_as_it_was_trained_is_allowed(options: dict[str, object]) -> None:
    """The usual options pass, those that the export has to write right included."""
    check_lora(peft.LoraConfig(**options).to_dict())


@pytest.mark.parametrize(("options", "reason"), REFUSED, ids=str)
def test_what_would_not_serve_is_refused_with_its_reason(options: dict[str, object], reason: str) -> None:
    """The sentence says which option it is and why llama.cpp cannot do it."""
    with pytest.raises(LearningError) as refusal:
        check_lora({"peft_type": "LORA", **options})

    assert reason in str(refusal.value)


def test_every_reason_is_given_at_once() -> None:
    """Nobody has to try three times to hear of three options."""
    with pytest.raises(LearningError) as refusal:
        check_lora({"use_dora": True, "bias": "all", "target_modules": ["lm_head"]})

    assert all(word in str(refusal.value) for word in ("DoRA", "bias='all'", "lm_head"))


def test_every_option_of_this_peft_has_been_thought_of() -> None:
    """An option that is on by itself and that the rules do not know would forbid every adapter."""
    defaults = peft.LoraConfig().to_dict()

    assert {name for name, value in defaults.items() if value} <= FREE | OWN_WORDS
    assert set(defaults) >= FREE - {"runtime_config", "auto_mapping"}


def test_the_export_asks_the_rules_too(tmp_path: Path, base: Header, saved: Callable[..., Path]) -> None:
    """An adapter that came past the first check is refused before a file is written."""
    with pytest.raises(LearningError, match="pissa"):
        export_adapter(
            change_config(saved(), init_lora_weights="pissa"), tmp_path / "no.gguf", base=base, origin=ORIGIN
        )

    assert not (tmp_path / "no.gguf").exists()
