"""The model's file: where it lies, or how it gets there."""

import logging
from pathlib import Path

from bot.errors import ConfigError

log = logging.getLogger(__name__)


def resolve_model(*, path: Path, repo: str, file: str, folder: Path) -> Path:
    """Return the GGUF to serve, downloaded once to *folder* when a repository is named."""
    if not repo:
        if not path.is_file():
            raise ConfigError(f"MODEL_PATH: there is no file {path}. Give the path of a GGUF, or leave it empty.")
        return path
    kept = folder / file
    if kept.is_file():
        return kept
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    log.info("model: downloading %s from %s", file, repo)
    try:
        return Path(hf_hub_download(repo, file, local_dir=folder))
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"MODEL_REPO/MODEL_FILE: {file} could not be downloaded from {repo} ({reason}). Check both names and the "
            "network, or download the file yourself and set MODEL_PATH."
        ) from error
