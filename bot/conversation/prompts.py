"""The prompts: one Markdown file each, with front matter; a file's version is the hash of its content."""

import hashlib
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bot.errors import PromptError

FENCE = "---\n"
TAG = re.compile(r"</?([a-z]+)\b")  # what a template puts around what it quotes


@dataclass(frozen=True)
class Prompt:
    """A prompt ready to be filled in; *version* changes with every change of the file.

    *declared* are the variables that its front matter names: what whoever uses the prompt fills in.
    """

    name: str
    purpose: str
    variables: frozenset[str]
    version: str
    template: str
    declared: frozenset[str] = frozenset()

    def render(self, **values: str) -> str:
        """Fill in the placeholders; raise *PromptError* when one has no value.

        No value can end or begin a quotation: a tag of the template that stands in one becomes ordinary text.
        """
        tags = "|".join(sorted(set(TAG.findall(self.template))))
        if tags:
            border = re.compile(rf"<(?=\s*(?:/\s*)?(?:{tags})\b)", re.IGNORECASE)
            values = {
                name: border.sub("‹", value) if isinstance(value, str) else value for name, value in values.items()
            }
        try:
            return _environment().from_string(self.template).render(values).strip()
        except Exception as error:  # a template computes what it likes: a division by nothing, a text plus a number
            raise PromptError(f"prompts/{self.name}.md cannot be filled in: {_why(error)}.") from error


def render_day(day: date) -> str:
    """Write a day as prompts say it."""
    return f"{day:%A, %-d %B %Y}"


def render_system(prompt: Prompt, day: date) -> str:
    """Return the assistant's own prompt as it stands on a day."""
    return prompt.render(today=render_day(day))


def load_prompt(folder: Path, name: str, *, variables: frozenset[str]) -> Prompt:
    """Read `<name>.md`; raise *PromptError* when it is missing or uses a placeholder that nobody fills in."""
    return read_prompt(folder / f"{name}.md", name, variables=variables)


def read_prompt(path: Path, name: str, *, variables: frozenset[str] | None = None) -> Prompt:
    """Read a prompt's file; without *variables* it may use those that its own front matter declares.

    It is filled in once on trial, so that a mistake in it is found now and not in somebody's answer.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"{path} cannot be read ({error}).") from error
    head, template = _split(content, path)
    try:
        used = meta.find_undeclared_variables(_environment().parse(template))
    except (TemplateError, RecursionError) as error:
        raise PromptError(f"{path} is not a valid template: {error}.") from error
    declared = _words(head.get("variables", ""))
    known = declared if variables is None else variables
    unknown = (used | declared) - known
    if unknown:
        raise PromptError(
            f"{path} uses {', '.join(sorted(unknown))}; known here: {', '.join(sorted(known)) or 'nothing'}."
        )
    if not template.strip():
        raise PromptError(f"{path} says nothing below its front matter.")
    version = hashlib.sha256(content.encode()).hexdigest()[:12]
    try:
        _environment().from_string(template).render(dict.fromkeys(known, "something"))
    except Exception as error:
        raise PromptError(f"{path} cannot be filled in: {_why(error)}.") from error
    return Prompt(name, head.get("purpose", ""), frozenset(used), version, template, declared)


def _why(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _split(content: str, path: Path) -> tuple[dict[str, str], str]:
    """Part the front matter (`key: value` lines) from the template."""
    if not content.startswith(FENCE):
        raise PromptError(f"{path} has no front matter: it must start with a line '---'.")
    head, fence, template = content.removeprefix(FENCE).partition(FENCE)
    if not fence:
        raise PromptError(f"{path}: the front matter has no closing line '---'.")
    pairs = (line.partition(":") for line in head.splitlines() if line.strip())
    return {key.strip(): value.strip() for key, _, value in pairs}, template


def _words(text: str) -> frozenset[str]:
    return frozenset(text.replace(",", " ").split())


def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
