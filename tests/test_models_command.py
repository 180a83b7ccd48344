"""`bot models` as somebody types it."""

import asyncio
import json
import re
import sys
from pathlib import Path

import gguf
import pytest
from click.testing import CliRunner, Result

from bot.cli import cli
from bot.cli_models import SAMPLE
from tests.engine.sparse_model import LLAMA_8B, Shape, write_sparse_model
from tests.engine.tiny_adapter import write_tiny_adapter
from tests.engine.tiny_model import write_tiny_model
from tests.model_hub import running_hub


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty DATA_DIR/models."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def models(*arguments: str) -> Result:
    """Run `bot models …` in this process; logging stays as the tests have it."""
    return CliRunner().invoke(cli, ["models", *arguments])


@pytest.fixture(autouse=True)
def _keep_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.logs.set_up_logging", lambda *_, **__: None)


def test_the_list_shows_what_is_here_and_what_is_served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The starter alone at first; then models, adapters, damaged files and parts, each with its type and origin."""
    lines = models("list").stdout.splitlines()
    assert len(lines) == 2
    assert re.match(r"\*  .*starter\.gguf +8\.7 MiB +F16 +2048 +[0-9a-f]{12}$", lines[1])

    write_tiny_model(folder / "tiny.gguf")
    write_tiny_adapter(folder / "lora.gguf")
    (folder / "broken.gguf").write_bytes(b"GGUF and then nothing")
    note = {"repo": "team/tiny", "file": "tiny.gguf", "revision": "", "size": 1, "sha256": "f" * 64}
    (folder / "tiny.gguf.origin.json").write_text(json.dumps(note))
    monkeypatch.setenv("MODEL_PATH", str(folder / "tiny.gguf"))
    output = models("list").stdout

    assert re.search(r"^\*  tiny\.gguf +0\.4 MiB +F32 +2048 +f{12} +team/tiny$", output, re.MULTILINE)
    assert re.search(r"^   lora\.gguf .* adapter ", output, re.MULTILINE)
    assert re.search(r"^   broken\.gguf .* damaged ", output, re.MULTILINE)
    assert output.count("*") == 1


def test_the_list_says_what_is_still_to_come(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is named but not downloaded, and a server that is not ours."""
    monkeypatch.setenv("MODEL_REPO", "team/model")
    monkeypatch.setenv("MODEL_FILE", "model.gguf")
    assert "is not here yet: `bot models pull team/model model.gguf`" in models("list").stdout

    monkeypatch.setenv("ENGINE_URL", "http://usr:hunter2@gpu:8000/v1")
    assert "http://***@gpu:8000/v1 serves its own model" in models("list").stdout


async def test_a_pulled_model_is_in_the_list(folder: Path) -> None:
    """Downloaded by its repository and name, and then one of them."""
    content = write_tiny_model(folder.parent / "m.gguf").read_bytes()
    async with running_hub() as hub:
        hub.files = {"Q8/m.gguf": content}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "models", "pull", "team/model", "Q8/m.gguf"),
            env={"HF_ENDPOINT": hub.address, "DATA_DIR": str(folder.parent), "PATH": ""},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()

    assert process.returncode == 0
    assert b"MODEL_REPO=team/model and MODEL_FILE=Q8/m.gguf" in output
    assert re.search(r"Q8/m\.gguf .* team/model$", models("list").stdout, re.MULTILINE)


def test_a_model_is_described_with_its_fit(folder: Path) -> None:
    """Shape, type, context, vocabulary, template, and what it would take here; found by its name alone."""
    write_sparse_model(folder / "big.gguf", LLAMA_8B)
    output = models("inspect", "big.gguf").stdout

    assert "4.2 GiB, 8.0 B parameters" in output
    assert "32 × 4096, 32 heads, 8 of them for keys and values" in output
    assert "131072 tokens" in output
    assert "128256 tokens (gpt2)" in output
    assert re.search(r"chat template +\d+ characters, renders; system prompt: yes", output)
    assert "On this machine:" in output


def test_an_adapter_is_described(folder: Path) -> None:
    """Rank, what it changes and the model below it."""
    write_tiny_adapter(folder / "lora.gguf", rank=4, metadata={"apprentice.base_sha256": "ab" * 32})
    output = models("inspect", "lora.gguf").stdout

    assert "an adapter (LoRA) of rank 4, alpha 4.0" in output
    assert f"the model with SHA-256 {'ab' * 32}" in output
    assert "attn_q.weight" in output


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (
            '{{ messages[0].content }}{% if tools %}<tool_call>{{ tools | tojson }}"arguments"{% endif %}',
            "tools +yes",
        ),
        ("<think></think>{% for m in messages %}{{ m.content }}{% endfor %}", "reasoning +yes, kept out"),
        ("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}", "system prompt: no"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "cannot be used here"),
        ("{% for i in range(10**9) %}{% for j in range(10**9) %}{% endfor %}{% endfor %}", "cannot be used here"),
    ],
)
def test_a_template_is_tried(folder: Path, template: str, said: str) -> None:
    """What it can do is seen by rendering it in the sandbox; a hostile one is said to be unusable."""
    shape = Shape(layers=1, width=256, hidden=256, heads=2, heads_kv=2, head=128, vocab=300, n_ctx=512)
    write_sparse_model(folder / "m.gguf", shape, template=template)

    assert re.search(said, models("inspect", "m.gguf").stdout)


def test_a_file_cannot_speak_to_the_terminal(folder: Path) -> None:
    """Control characters in a name or licence are shown as dots."""
    writer = gguf.GGUFWriter(folder / "evil.gguf", "llama")
    writer.add_type("adapter")
    writer.add_name("nice\x1b]0;owned\x07\x1b[2J\nname")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    output = models("inspect", "evil.gguf").stdout

    assert "\x1b" not in output
    assert "nice·]0;owned··[2J·name" in output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inspect", "nowhere.gguf"], "There is no file nowhere.gguf"),
        (["quantize", "tiny.gguf", "--to", "Q3_K"], "Q3_K is not one of Q8_0"),
        (["quantize", "tiny.gguf", "--to", ","], "nothing is not one of"),
        (["quantize", "tiny.gguf", "--text", "nowhere.txt"], "there is no file nowhere.txt"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, arguments: list[str], said: str) -> None:
    """One sentence that names the argument."""
    write_tiny_model(folder / "tiny.gguf")

    assert said in str(models(*arguments).exception)


def test_quantize_prints_a_table(folder: Path) -> None:
    """Sizes and the change of perplexity, and nothing but the table on standard output."""
    assert SAMPLE.stat().st_size > 10_000
    (folder.parent / "text.txt").write_text("the hello in on a user " * 200)
    write_tiny_model(folder / "tiny-F32.gguf", width=256)
    result = models("quantize", "tiny-F32.gguf", "--to", "q8_0", "--text", "text.txt")

    assert result.exit_code == 0, result.exception
    head, source, copy = result.stdout.splitlines()
    assert head.split() == ["FILE", "TYPE", "MIB", "OF", "SOURCE", "PERPLEXITY", "CHANGE"]
    assert source.startswith("tiny-F32.gguf")
    assert re.search(r"tiny-Q8_0\.gguf +Q8_0 +[\d.]+ +\d+ % +[\d,.]+ +[+-][\d.]+ % ± [\d.]+$", copy)
