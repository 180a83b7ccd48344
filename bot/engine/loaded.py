"""Loads a model and sizes its context: how many tokens a conversation has, and how many cells all share.

The last stop before llama.cpp; knows no requests and no HTTP.
"""

import logging
from dataclasses import dataclass

from bot.engine.hardware import count_usable_cores
from bot.engine.llama import Adapter, Context, Model, start_backend
from bot.engine.prompt import PromptEncoder
from bot.engine.template import CHATML, ChatTemplate, TemplateFailure
from bot.engine.types import EngineOptions, ModelFacts
from bot.errors import ModelFileError

log = logging.getLogger(__name__)

DEFAULT_N_CTX = 8192
MAX_SLOTS = 256
CACHED_PER_RUNNING = 4
BYTES_PER_THREAD = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to decode, and what it turned out to be."""

    options: EngineOptions
    model: Model
    context: Context
    encoder: PromptEncoder
    facts: ModelFacts

    def build_context(self, adapter: Adapter) -> Context:
        """Return a further context for an adapter, of the same size as the model's own."""
        context = build_context(self.options, self.model, n_ctx=self.facts.n_ctx, threads=self.facts.threads)
        context.attach(adapter)
        return context

    def close(self) -> None:
        """Free everything, the context before the weights."""
        self.context.close()
        self.model.close()


def load_model(options: EngineOptions) -> LoadedModel:
    """Load what *options* name, raising *ModelFileError* that names the file if it cannot be served."""
    start_backend()
    model = Model(options.model_path, n_gpu_layers=options.n_gpu_layers)
    threads = options.threads or choose_threads(model.size, cores=count_usable_cores())
    n_ctx = options.n_ctx or min(model.n_ctx_train, DEFAULT_N_CTX)
    context = build_context(options, model, n_ctx=n_ctx, threads=threads)
    facts = _describe(options, model, context, n_ctx=min(n_ctx, context.n_ctx_slot), threads=threads)
    _report(facts)
    return LoadedModel(options, model, context, build_encoder(model), facts)


def build_context(options: EngineOptions, model: Model, *, n_ctx: int, threads: int) -> Context:
    """Return a KV cache for conversations of *n_ctx* tokens."""
    return Context(
        model,
        n_cells=choose_cells(options, n_ctx=n_ctx),
        n_slots=choose_slots(options),
        n_batch=max(options.n_batch, options.max_sequences),
        kv_unified=options.kv_unified,
        threads=threads,
        kv_type=options.kv_type,
        flash_attention=options.flash_attention,
    )


def choose_cells(options: EngineOptions, *, n_ctx: int) -> int:
    """Return the size of the KV cache: every conversation's full context when split, half of that when shared.

    Conversations rarely fill their context at the same time; when they do, the youngest waits.
    """
    if not options.kv_unified:
        return n_ctx * options.max_sequences
    return max(n_ctx, options.kv_cells or n_ctx * options.max_sequences // 2)


def choose_threads(weights: int, *, cores: int) -> int:
    """Return how many threads compute: one core stays free, and a small model is computed by few.

    llama.cpp's threads wait for each other in a busy loop after every operation. One thread that has to share its
    core then holds up all the others: with as many threads as cores, a busy machine is a hundred times slower.
    """
    return max(1, min(cores - 1, 1 + weights // BYTES_PER_THREAD))


def choose_slots(options: EngineOptions) -> int:
    """Return how many sequences the cache can tell apart; idle ones cost nothing where the cells are shared."""
    slots = options.max_sequences * (CACHED_PER_RUNNING if options.kv_unified else 1)
    return min(MAX_SLOTS, max(slots, options.max_sequences))


def build_encoder(model: Model) -> PromptEncoder:
    """Return the way from messages to this model's tokens; a model without a template is spoken to in ChatML."""
    try:
        template = ChatTemplate(
            model.chat_template or CHATML, bos=model.token_text(model.bos), eos=model.token_text(model.eos)
        )
    except TemplateFailure as error:
        raise ModelFileError(f"{model.path} cannot be served: {error}. Choose another model.") from error
    return PromptEncoder(
        template,
        control=model.control_tokens(),
        tokenize=lambda text, parse: model.tokenize(text, add_special=False, parse_special=parse),
        leading=(model.bos,) if model.adds_bos else (),
    )


def _describe(options: EngineOptions, model: Model, context: Context, *, n_ctx: int, threads: int) -> ModelFacts:
    return ModelFacts(
        name=options.model_path.stem,
        path=options.model_path,
        description=model.description,
        size=model.size,
        n_params=model.n_params,
        n_vocab=model.n_vocab,
        n_layer=model.n_layer,
        n_ctx_train=model.n_ctx_train,
        n_ctx=n_ctx,
        n_cells=context.n_cells,
        n_batch=context.n_batch,
        max_sequences=options.max_sequences,
        n_slots=context.n_slots,
        gpu_layers=model.gpu_layers,
        threads=threads,
        kv_unified=options.kv_unified,
        kv_type=options.kv_type,
        has_template=bool(model.chat_template),
    )


def _report(facts: ModelFacts) -> None:
    """Say in one block what is used."""
    where = f"{facts.gpu_layers} of {facts.n_layer + 1} layers" if facts.gpu_layers else "none, the processor computes"
    shared = "shared by all" if facts.kv_unified else "split between them"
    lines = [
        f"model          {facts.name}: {facts.description}, {facts.n_params / 1e6:,.1f} M parameters",
        f"file           {facts.path}, {facts.size / 2**20:,.1f} MiB of weights",
        f"context        {facts.n_ctx} tokens for a conversation (trained on {facts.n_ctx_train})",
        f"conversations  {facts.max_sequences} at once, {facts.n_slots} remembered",
        f"KV cache       {facts.n_cells} cells of {facts.kv_type}, {shared}",
        f"GPU            {where}",
        f"threads        {facts.threads}, at most {facts.n_batch} tokens in a step",
        f"chat template  {'from the file' if facts.has_template else 'none in the file: ChatML'}",
    ]
    log.info("The engine serves:\n%s", "\n".join(f"  {line}" for line in lines))
