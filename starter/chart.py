"""Draw the loss curve of the card from the training's log."""

import argparse
import json
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, default=Path("build/starter/log.jsonl"))
    parser.add_argument("--out", type=Path, default=Path("starter/loss.png"))
    options = parser.parse_args()
    entries = [json.loads(line) for line in options.log.read_text(encoding="utf-8").splitlines()]
    checked = [entry for entry in entries if "held_out" in entry]
    figure, axes = plt.subplots(figsize=(7, 3.5), dpi=110)
    axes.plot([entry["tokens"] / 1e6 for entry in entries], [entry["loss"] for entry in entries], label="training")
    axes.plot(
        [entry["tokens"] / 1e6 for entry in checked],
        [entry["held_out"] for entry in checked],
        marker="o",
        label="held-out wordings and names",
    )
    axes.set(xlabel="million tokens", ylabel="loss per answer token (nats)", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.tight_layout()
    figure.savefig(options.out)


if __name__ == "__main__":
    main()
