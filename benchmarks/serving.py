"""`make bench-serving`: the engine beside llama-server, other servers and a bare llama.cpp loop, in turns, in one run.

Prints each goal of the engine with what was measured; writes the table, a picture and all rows to the output folder.
"""

import argparse
import asyncio
import json
import os
import shlex
import shutil
import sys
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benchmarks.arms import Serving, missing_for_python_server
from benchmarks.bench import Bench, Plan, Results
from benchmarks.ceiling import start_ceiling
from benchmarks.picture import draw
from benchmarks.random_model import Shape, read_matrices, write_random_model
from benchmarks.report import render
from benchmarks.words import read_words

ROOT = Path(__file__).parent.parent
STARTER, RANDOM = "starter", "30x576"
WORKLOADS = {
    "gate": "gate",
    "W1": "decode",
    "W2": "mix",
    "W3": "threads",
    "W4": "long_prompt",
    "W5": "adapters",
    "W6": "pressure",
    "W7": "cancels",
}
# What --quick changes: under five minutes on two cores.
QUICK = {"widths": "1,4,16", "rounds": 2, "answer_tokens": 64, "long_prompt": 1024, "seconds": 4.0, "gate_prompts": 40}


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-serving ARGS=...", description=__doc__)
    add = parser.add_argument
    add("--models", default=f"{STARTER},{RANDOM}", help="starter, 30x576 (random weights) or paths of GGUFs")
    add("--kind", default="Q8_0", choices=("Q8_0", "F16"), help="weights of the random model")
    add("--workloads", default=",".join(WORKLOADS), help="some of %(default)s")
    add("--widths", default="1,2,4,8,16", help="answers at the same time in W1; with 32,64 on a GPU")
    add("--rounds", type=int, default=5, help="turns of each arm")
    add("--prompt-tokens", type=int, default=128, help="prompt of each answer in W1")
    add("--answer-tokens", type=int, default=256, help="length of each answer in W1")
    add("--long-prompt", type=int, default=4096, help="the long prompt of W4")
    add("--seconds", type=float, default=20.0, help="length of a turn in W2, W5 and W7")
    add("--gate-prompts", type=int, default=200, help="prompts of the correctness gate")
    add("--threads", type=int, default=max(1, (os.cpu_count() or 2) - 1), help="threads that compute, in every arm")
    add("--gpu-layers", type=int, default=0, help="layers on the GPU in every arm; -1: all")
    add("--llama-server", type=Path, help="a llama-server to start on the same file, of the same llama.cpp")
    add("--python-server", action="store_true", help="add python -m llama_cpp.server")
    add("--packages", type=Path, help="a folder with the packages that llama_cpp.server needs, if not installed")
    add("--peer", default="", help="URL of an OpenAI-compatible server that serves the same model already")
    add("--peer-key", default="", help="its API key")
    add("--quick", action="store_true", help="small numbers: under five minutes on two cores for the starter model")
    add("--out", type=Path, default=ROOT / "build" / "benchmarks", help="where results and the built model go")
    options = parser.parse_args(arguments)
    if options.quick:
        given = {word.partition("=")[0] for word in arguments}
        changed = {name: value for name, value in QUICK.items() if f"--{name.replace('_', '-')}" not in given}
        parser.set_defaults(**changed)
        options = parser.parse_args(arguments)
    unknown = set(options.workloads.split(",")) - set(WORKLOADS)
    if unknown:
        parser.error(f"--workloads: there is no {', '.join(sorted(unknown))}; choose from {', '.join(WORKLOADS)}")
    return options


def build_plan(options: argparse.Namespace) -> Plan:
    """Return the choices as plain data."""
    return Plan(
        models=tuple(options.models.split(",")),
        workloads=tuple(name for name in WORKLOADS if name in options.workloads.split(",")),
        widths=tuple(int(width) for width in str(options.widths).split(",")),
        rounds=options.rounds,
        prompt_tokens=options.prompt_tokens,
        answer_tokens=options.answer_tokens,
        long_prompt=options.long_prompt,
        seconds=options.seconds,
        gate_prompts=options.gate_prompts,
        threads=options.threads,
        gpu_layers=options.gpu_layers,
        model_kind=options.kind,
        llama_server=options.llama_server,
        python_server=options.python_server,
        packages=options.packages,
        peer=options.peer,
        peer_key=options.peer_key,
    )


def find_model(name: str, plan: Plan, out: Path) -> Path:
    """Return the file of a model, built first if it is the random one."""
    if name == STARTER:
        return ROOT / "bot" / "models" / "starter.gguf"
    if name == RANDOM:
        return write_random_model(out / f"random-{RANDOM}-{plan.model_kind}.gguf", shape=Shape(), kind=plan.model_kind)
    return Path(name).resolve()


async def measure(plan: Plan, out: Path, results: Results, *, command: str) -> None:
    """Run every workload on every model; what is known is written after each."""
    for name in plan.models:
        path = find_model(name, plan, out)
        matrices, layers = read_matrices(path)
        small = Serving(model=path, n_ctx=128, sequences=1, threads=plan.threads, gpu_layers=plan.gpu_layers)
        async with start_ceiling(small) as ceiling:
            facts = ceiling.facts
        system = f"llama.cpp: {facts['system'].strip()}"
        serving = Serving(
            model=path,
            n_ctx=512,
            sequences=8,
            threads=plan.threads,
            gpu_layers=plan.gpu_layers,
            end_tokens=tuple(facts["end_tokens"]),
        )
        label = name if name in {STARTER, RANDOM} else path.stem
        bench = Bench(label, plan, serving, read_words(path), facts["n_ctx_train"], matrices, layers, results)
        for workload in plan.workloads:
            if workload == "gate" and name == RANDOM:
                results.note(f"The gate needs a trained model; random weights ({label}) make no clear choices.")
            else:
                began = time.perf_counter()
                print(f"{workload} {label}", flush=True)
                await import_module(f"benchmarks.workloads.{WORKLOADS[workload]}").run(bench)
                print(f"  {workload} {label} took {time.perf_counter() - began:.0f} s", flush=True)
            write(results, plan, out, system=system, command=command)


def write(results: Results, plan: Plan, out: Path, *, system: str, command: str) -> None:
    """Write the table, all rows and the picture."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "serving.md").write_text(render(results, system=system, command=command))
    choices = {
        name: value for name, value in asdict(plan).items() if name not in {"peer_key", "llama_server", "packages"}
    }
    body = {"command": command, "system": system, "plan": choices, **results.to_json()}
    (out / "serving.json").write_text(json.dumps(body, indent=1, default=str))
    draw(results.rows, out / "serving.png")


def main() -> None:
    """Measure, print and write."""
    options = parse(sys.argv[1:])
    plan = build_plan(options)
    results = Results()
    missing = missing_for_python_server(plan.packages) if plan.python_server else []
    if missing:
        sys.exit(
            f"--python-server needs {', '.join(missing)}: .venv/bin/pip install -e '.[bench]', or --packages FOLDER."
        )
    if plan.llama_server and not shutil.which(plan.llama_server):
        sys.exit(f"--llama-server names {plan.llama_server}, which is no program here: build llama.cpp's llama-server.")
    if not plan.llama_server:
        results.note("llama-server was not measured: give its path by --llama-server.")
    command = shlex.join(["python", "-m", "benchmarks.serving", *hide_folders(sys.argv[1:])])
    asyncio.run(measure(plan, options.out, results, command=command))
    print(
        f"\n{(options.out / 'serving.md').read_text()}\nWritten to {options.out}: serving.md, serving.json, serving.png"
    )


def split_options(arguments: list[str]) -> list[str]:
    """Return `--name=value` as two words."""
    return [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]


def hide_folders(arguments: list[str]) -> list[str]:
    """Return the arguments with files by their names alone, and without keys."""
    shown = [Path(word).name if word.startswith("/") else word for word in split_options(arguments)]
    return ["KEY" if index and shown[index - 1] == "--peer-key" else word for index, word in enumerate(shown)]


if __name__ == "__main__":
    main()
