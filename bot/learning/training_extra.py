"""Whether the packages that only a training needs are installed; asked before a trainer process is started."""

from importlib.util import find_spec

from bot.errors import LearningError

PACKAGES = ("accelerate", "gguf", "peft", "safetensors", "torch", "transformers", "trl")


def check_training_extra() -> None:
    """Raise *LearningError* that says what to install if a package is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise LearningError(
            f"Training needs packages that are not installed ({', '.join(missing)}): "
            "run pip install 'apprentice[train]' in the bot's environment."
        )
