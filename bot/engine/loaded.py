"""Loads a model by the plan that fits this machine, or by a smaller one when the plan took too much for granted.

The last stop before llama.cpp; knows no requests and no HTTP.
"""

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from bot.engine.chat.prompt import PromptEncoder
from bot.engine.chat.template import CHATML, ChatTemplate, TemplateFailure
from bot.engine.files.checksum import check_gguf, check_pinned
from bot.engine.files.gguf_check import check_header
from bot.engine.files.gguf_header import Header, list_shards, read_header
from bot.engine.files.mmproj import check_mmproj, is_mmproj
from bot.engine.llama.adapter import Adapter
from bot.engine.llama.context import Context
from bot.engine.llama.model import GGML, MemoryLacking, Model, start_backend
from bot.engine.llama.mtmd import Eyes, PlacedContext
from bot.engine.llama.sampler import SamplerChain
from bot.engine.machine.devices import list_devices
from bot.engine.machine.eyes import EyesFit, place_eyes
from bot.engine.machine.fit import Fit, Machine, choose_fit, choose_layout
from bot.engine.machine.fit_report import explain_lack, render_fit
from bot.engine.machine.footprint import Footprint, measure
from bot.engine.machine.hardware import count_usable_cores, read_free_memory
from bot.engine.sampling import build_stages
from bot.engine.sight.trial import measure as measure_picture
from bot.engine.sight.trial import show_grey, try_mmproj
from bot.engine.types import EngineOptions, ModelFacts, SamplingParams
from bot.errors import ModelFileError

log = logging.getLogger(__name__)

RETRIES = 6
RETRY_SHARE = 0.75
PICTURES_PER_CONTEXT, LEAST_PICTURE = 4, 256  # what a model with pictures of any size may make of one


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model would be served on this machine, before anything of it is loaded."""

    options: EngineOptions
    header: Header
    footprint: Footprint
    machine: Machine
    fit: Fit
    eyes: EyesFit | None = None

    def render(self) -> str:
        """Return the block that says what is used and why."""
        block = render_fit(
            self.fit, header=self.header, footprint=self.footprint, machine=self.machine, options=self.options
        )
        return f"{block}\n  {'pictures':<14} {self.eyes.render(self.machine, self.fit)}" if self.eyes else block

    def explain_lack(self) -> str:
        """Return why the model does not fit and what to do, empty when it fits."""
        if not self.fit.missing:
            return ""
        return explain_lack(
            self.fit, header=self.header, footprint=self.footprint, machine=self.machine, options=self.options
        )

    def shrink(self) -> "Plan":
        """Return a plan for three quarters of the memory that this one takes, where it takes the most."""
        *gpus, host = self.fit.needs
        free = [int(need.total * RETRY_SHARE) + need.margin for need in gpus]
        devices = tuple(
            replace(device, free=min(device.free, left))
            for device, left in zip(self.machine.devices, free, strict=False)
        )
        machine = replace(self.machine, devices=devices or self.machine.devices)
        if not self.fit.gpu_layers:
            less = replace(machine, memory=int(host.total * RETRY_SHARE))
            machine = replace(less, memory=less.memory + less.margin)
        return replace(self, machine=machine, fit=choose_fit(self.footprint, machine, self.options))


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to decode, and what it turned out to be."""

    options: EngineOptions
    fit: Fit
    model: Model
    context: Context
    encoder: PromptEncoder
    facts: ModelFacts
    eyes: Eyes | None = None

    def build_context(self, adapter: Adapter) -> Context:
        """Return a further context for an adapter, of the same size as the model's own.

        It is warm: whatever llama.cpp still had to prepare would hold up the engine's thread.
        """
        context = build_context(self.options, self.model, fit=self.fit, eyes=self.eyes)
        context.attach(adapter)
        warm_up(self.model, context)
        return context

    def close(self) -> None:
        """Free everything, the context before the weights."""
        if self.eyes:
            self.eyes.close()
        self.context.close()
        self.model.close()


def plan_model(options: EngineOptions) -> Plan:
    """Return how the model would be served; *ModelFileError* if its file is none."""
    check_gguf(options.model_path, "MODEL_PATH")
    check_pinned(list_shards(options.model_path), options.pinned)
    start_backend()
    header = read_header(options.model_path)
    if header.is_adapter:
        raise ModelFileError(f"{header.path} is an adapter, not a model: MODEL_PATH must name the model below it.")
    if is_mmproj(header):
        raise ModelFileError(
            f"{header.path} is an mmproj, not a model: set MODEL_MMPROJ to it, MODEL_PATH to its model."
        )
    check_header(header)
    footprint = measure(header)
    machine = Machine(list_devices(GGML), read_free_memory(), count_usable_cores())
    eyes = None
    if options.mmproj_path:
        check_pinned([options.mmproj_path], options.pinned)
        eyes, machine = place_eyes(check_mmproj(options.mmproj_path), machine, options)
    options = choose_layout(footprint, machine, options)
    return Plan(options, header, footprint, machine, choose_fit(footprint, machine, options), eyes)


def load_model(options: EngineOptions) -> LoadedModel:
    """Load what *options* name, raising *ModelFileError* that names the file if it cannot be served."""
    plan = plan_model(options)
    lack = plan.explain_lack()
    if lack and options.n_gpu_layers < 0:
        raise ModelFileError(lack)
    if lack:
        log.warning("%s", lack)
    if options.mmproj_path:
        try_mmproj(options.model_path, options.mmproj_path)
    for _ in range(RETRIES - 1):
        try:
            return _open(plan)
        except MemoryLacking as error:
            log.warning("%s A smaller plan is tried.", error)
            plan = plan.shrink()
    return _open(plan)


def _open(plan: Plan) -> LoadedModel:
    """Load by the plan, leaving nothing behind when there is not enough memory after all."""
    options, fit = plan.options, plan.fit
    handles = [device.handle for device in plan.machine.devices]
    split = [(handle, layers) for handle, layers in zip(handles, fit.split, strict=False) if layers]
    model = Model(options.model_path, n_gpu_layers=fit.gpu_layers, split=split)
    with ExitStack() as undo:
        undo.callback(model.close)
        eyes = open_eyes(plan, model)
        if eyes:
            undo.callback(eyes.close)
        context = build_context(options, model, fit=fit, eyes=eyes)
        undo.callback(context.close)
        warm_up(model, context)
        undo.pop_all()
    log.info("The engine serves:\n%s", plan.render())
    facts = _describe(options, model, context, fit=fit)
    if eyes:
        facts = replace(facts, mmproj=eyes.path.name, picture_tokens=measure_picture(eyes)[0])
    return LoadedModel(options, fit, model, context, build_encoder(model), facts, eyes)


def open_eyes(plan: Plan, model: Model) -> Eyes | None:
    """Load what the model sees by, if it was given something; no picture may take most of a conversation."""
    if not plan.eyes:
        return None
    path, threads = plan.eyes.header.path, plan.eyes.count_threads(plan.machine, plan.fit)
    eyes = Eyes(model, path, threads=threads, use_gpu=bool(plan.eyes.device))
    most = max(LEAST_PICTURE, plan.fit.room.n_ctx // PICTURES_PER_CONTEXT)
    if measure_picture(eyes)[1] > most:
        eyes.close()
        eyes = Eyes(model, path, threads=threads, use_gpu=bool(plan.eyes.device), most_tokens=most)
    show_grey(eyes)
    return eyes


def warm_up(model: Model, context: Context) -> None:
    """Take every step of an answer once: what ends the process over a damaged file ends it now, while that is plain."""
    model.tokenize("".join(map(chr, range(1, 256))), add_special=True, parse_special=True)
    if not context.can_answer:
        return
    chain = SamplerChain(model, build_stages(SamplingParams(temperature=0)))
    is_decoded = context.decode([(0, np.zeros(1, dtype=np.int32), 0, 1)]) == 0
    if is_decoded and context.sample(chain, 0) < 0:
        raise ModelFileError(f"{model.path} cannot be served: it computes no numbers (NaN). Download it again.")
    context.trim(0, 0)
    chain.close()


def build_context(options: EngineOptions, model: Model, *, fit: Fit, eyes: Eyes | None = None) -> Context:
    """Return a KV cache of the planned size."""
    kind = PlacedContext if eyes and eyes.has_places else Context
    return kind(
        model,
        n_cells=fit.room.n_cells,
        n_slots=fit.slots,
        n_batch=fit.batch,
        kv_unified=bool(options.kv_unified),
        threads=fit.threads,
        kv_type=options.kv_type,
        flash_attention=options.flash_attention,
    )


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


def _describe(options: EngineOptions, model: Model, context: Context, *, fit: Fit) -> ModelFacts:
    return ModelFacts(
        name=options.model_path.stem,
        path=options.model_path,
        description=model.description,
        size=model.size,
        n_params=model.n_params,
        n_vocab=model.n_vocab,
        n_layer=model.n_layer,
        n_ctx_train=model.n_ctx_train,
        n_ctx=min(fit.room.n_ctx, context.n_ctx_slot),
        n_cells=context.n_cells,
        n_batch=context.n_batch,
        max_sequences=options.max_sequences,
        n_slots=context.n_slots,
        gpu_layers=model.gpu_layers,
        threads=fit.threads,
        kv_unified=bool(options.kv_unified),
        kv_type=options.kv_type,
        has_template=bool(model.chat_template),
        answers=context.can_answer,
        embeds=model.embeds,
    )
