"""How far the axis tables reach: source/target pairs of timm and transformers, planned and counted.

    python benchmarks/coverage.py --out benchmarks/coverage.md

timm: every architecture against the next smaller one of its class and module. transformers: model types with
a tiny configuration against half its width and depth. No weights are read: plans need shapes only. Pairs of
classes without a table are derived, the smallest pair of each class, since a derivation runs the real networks.
Without --all, modules other than those of MAIN are represented by a few of their architectures.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import multiprocessing
import platform
import re
import signal
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TYPES = re.findall(
    r"\S+",
    """
albert apertus arcee bamba bart bert bert-generation big_bird bigbird_pegasus biogpt bitnet blenderbot bloom
camembert canine clip clip_text_model clip_vision_model codegen cohere cohere2 convbert convnext convnextv2 cpmant
ctrl cvt data2vec-text data2vec-vision dbrx deberta deberta-v2 deepseek_v2 deepseek_v3 deit diffllama dinov2
dinov2_with_registers distilbert doge dots1 electra ernie ernie4_5 esm exaone4 falcon falcon_h1 falcon_mamba
flaubert fnet focalnet fsmt funnel gemma gemma2 gemma3_text glm glm4 gpt2 gpt_bigcode gpt_neo gpt_neox
gpt_neox_japanese gpt_oss gptj granite granitemoe helium hgnet_v2 hiera hunyuan_v1_dense ibert ijepa imagegpt jamba
jetmoe layoutlm led levit lfm2 llama longformer longt5 luke m2m_100 mamba mamba2 marian mbart megatron-bert minimax
ministral mistral mixtral mobilebert mobilenet_v1 mobilenet_v2 mobilevit mobilevitv2 modernbert mpnet mpt mra mt5
mvp nemotron nllb-moe nystromformer olmo olmo2 olmo3 olmoe opt pegasus pegasus_x persimmon phi phi3 phimoe plbart
poolformer prophetnet pvt pvt_v2 qwen2 qwen2_moe qwen3 qwen3_moe qwen3_next recurrent_gemma regnet rembert resnet
roberta roberta-prelayernorm roc_bert roformer rwkv seed_oss segformer siglip siglip_text_model siglip_vision_model
smollm3 splinter squeezebert stablelm starcoder2 swiftformer swin swinv2 switch_transformers t5 t5gemma umt5 vit
vit_mae vit_msn vitdet wav2vec2 whisper xglm xlm xlm-roberta xlm-roberta-xl xlnet xmod yolos yoso zamba zamba2
""",
)
SIZES = {"hidden_size": 64, "d_model": 64, "n_embd": 64, "dim": 64, "emb_dim": 64, "embed_dim": 64, "d_kv": 16}
HALVED = {**SIZES, "intermediate_size": 128, "ffn_dim": 128, "n_inner": 128, "d_ff": 128, "hidden_dim": 128}
HALVED |= {"encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "ffn_hidden_size": 128, "moe_intermediate_size": 64}
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads")
GROUPS = ("num_key_value_heads",)
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers")
MAIN = ("vision_transformer", "convnext", "resnet")
PER_MODULE = 4
RESULTS = ("table", "derived", "shape", "refused", "out of time", "not built")


Job = tuple[str, str, str, str, bool, float]
"""Library, class or model type, larger, smaller, whether to derive axes, seconds."""


@dataclass(frozen=True)
class Outcome:
    """What became of one pair."""

    library: str
    kind: str
    pair: str
    result: str
    why: str = ""


def plan_pair(source: Any, target: Any, derive: bool) -> tuple[str, str]:
    """Return how a pair was planned, and why not better; raises what the planner raises."""
    from weightgen.models.derive import derive_pair
    from weightgen.models.source import Source
    from weightgen.recipe import SubcloneRecipe, make_recipe
    from weightgen.subcloning.by_shape import plan_by_shape
    from weightgen.subcloning.methods import resolve_method
    from weightgen.subcloning.planner import build_plan

    recipe = make_recipe(SubcloneRecipe, {"src": "memory", "dst": "memory"})
    method = resolve_method(
        recipe.method, recipe.choose, recipe.heads, recipe.depth, recipe.scale, recipe.importance, calibrated=False
    )
    weights = _shapes_only(source.shapes)
    opened = Source(None, source, weights, {n: n for n in source.shapes}, (), None)
    layouts, result, why = None, "table", ""
    if has_table(source):
        from weightgen.errors import CoverageError

        try:
            layouts = source.layout(), target.layout()
        except CoverageError as error:
            why = str(error)
    if layouts is None:
        if derive and (layouts := derive_pair(source, target)) is not None:
            result = "derived"
        else:
            why = why or ("no table, and no axes could be proven" if derive else "no table (derivation not tried)")
    if layouts is not None:
        plan = build_plan(opened, target, layouts, method)
    else:
        result, plan = "shape", plan_by_shape(opened, target, method, 0, None)
    missing = [t.name for t in plan.tensors if t.action == "initialised"]
    if missing:
        why = f"{why}; " * bool(why) + f"{len(missing)} of {len(plan.tensors)} tensors left at init"
    return result, why


def has_table(architecture: Any) -> bool:
    """Tell whether there is a table for an architecture."""
    from weightgen.models.families import find_family

    return find_family(architecture.library, architecture.kind) is not None


def _shapes_only(shapes: Any) -> Any:
    import torch

    from weightgen.models.weights import MemoryWeights

    # Zeros of one element seen as whole tensors: shapes and dtypes without memory.
    return MemoryWeights({n: torch.zeros(()).expand(s) for n, s in shapes.items()})


class _TimeUp(BaseException):
    """Not an Exception, so that no broad handler on the way swallows it."""


def _alarm(*_: Any) -> None:
    raise _TimeUp


def measure(name: str) -> tuple[str, str, str, int]:
    """Return (architecture, class, module, parameters); the class is empty where it cannot be built."""
    import timm
    import torch

    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    try:
        with torch.device("meta"):
            model = timm.create_model(name, pretrained=False)
    except Exception:  # those that need values while they are built are tried again, on the CPU, when planned
        return name, "", "", 0
    count = sum(p.numel() for p in model.parameters())
    return name, type(model).__name__, type(model).__module__.rpartition(".")[2], count


def architectures(everything: bool) -> list[str]:
    """Return timm's architectures, or those that stand for their module."""
    import timm

    chosen = []
    for module in timm.list_modules():
        names = timm.list_models(module=module)
        step = 1 if everything or module in MAIN else max(1, len(names) // PER_MODULE)
        chosen += names[::step]
    return chosen


def timm_pairs(pool: Any, most: float, everything: bool) -> Iterator[tuple[str, str, str, str]]:
    """Yield (class, module, larger, next smaller) of timm's architectures up to `most` parameters."""
    groups: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for name, kind, module, count in pool.imap_unordered(measure, architectures(everything), chunksize=4):
        if not kind:
            print(f"{name}: not built on the meta device, left out", file=sys.stderr)
        elif count <= most:
            groups[kind, module].append((count, name))
    for (kind, module), members in sorted(groups.items()):
        members.sort()
        for (n, small), (m, large) in itertools.pairwise(members):
            if n < m:
                yield kind, module, large, small


def transformers_config(kind: str, half: bool) -> Any:
    """Return a tiny configuration of a model type, or its half."""
    from transformers import AutoConfig

    config = AutoConfig.for_model(kind)
    for part in (config, *(getattr(config, n, None) for n in ("text_config", "vision_config"))):
        if part is None:
            continue
        divisor = 2 if half else 1
        wanted: dict[str, int] = {k: v // divisor for k, v in HALVED.items()}
        wanted |= dict.fromkeys((*HEADS, *LAYERS), 4 // divisor) | dict.fromkeys(GROUPS, 2 // divisor)
        wanted |= {"head_dim": 16, "vocab_size": 300, "num_local_experts": 4, "num_experts": 4, "n_routed_experts": 4}
        for key, value in wanted.items():
            if isinstance(getattr(part, key, None), int):
                setattr(part, key, value)
        if isinstance(getattr(part, "layer_types", None), list):
            part.layer_types = part.layer_types[: 4 // divisor]
        for key in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
            if isinstance(getattr(part, key, None), int):
                setattr(part, key, 1)
    return config


def work(job: Job) -> Outcome:
    """Plan one pair within its time."""
    from weightgen.models.architecture import build, build_transformers
    from weightgen.models.names import Reference

    library, kind, large, small, derive, timeout = job
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    pair = f"{large} → {small}" if library == "timm" else kind
    result, why = "not built", ""
    signal.signal(signal.SIGPROF, _alarm)
    signal.setitimer(signal.ITIMER_PROF, timeout)
    try:
        if library == "timm":
            source, target = (build(Reference(n, "timm", n), {}) for n in (large, small))
        else:
            source, target = (build_transformers(transformers_config(kind, half)) for half in (False, True))
        result = "refused"
        result, why = plan_pair(source, target, derive)
    except _TimeUp:
        result = "out of time"
        why = f"not done within {timeout:g} s of processor time"
    except Exception as error:  # whatever a model raises is a row of the table, never the end of the run
        why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:160]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return Outcome(library, kind, pair, result, why)


def jobs(options: argparse.Namespace, pool: Any) -> list[Job]:
    """Return the pairs, those with a table first: derivations take longest."""
    from weightgen.models.families import TIMM, TRANSFORMERS

    derive, seconds = not options.no_derive, options.timeout
    known: list[Job] = [("transformers", t, "", "", derive and t not in TRANSFORMERS, seconds) for t in TYPES]
    unknown: list[Job] = []
    seen: Counter[tuple[str, str]] = Counter()
    for kind, module, large, small in timm_pairs(pool, options.most * 1e6, options.all):
        seen[kind, module] += 1
        if kind in TIMM:
            known.append(("timm", kind, large, small, False, seconds))
        elif options.all or seen[kind, module] == 1:
            unknown.append(("timm", kind, large, small, derive, seconds))
    return sorted(known, key=lambda job: job[4]) + unknown


def report(outcomes: Iterable[Outcome], command: str, sampled: bool, unreached: int) -> str:
    """Write the table."""
    import timm
    import torch
    import transformers

    found = list(outcomes)
    versions = (
        f"torch {torch.__version__.partition('+')[0]}, timm {timm.__version__}, transformers {transformers.__version__}"
    )
    lines = ["# Coverage of the axis tables", "", f"    {command}", ""]
    lines.append(f"{versions}, Python {platform.python_version()}.")
    if sampled:
        lines.append(
            f"Sampled: all architectures of {', '.join(MAIN)}; of timm's other modules about {PER_MODULE} each, and of "
            "classes without a table only the smallest pair."
        )
    lines.append("The limit of time is this script's: the library itself has none, and might derive such a pair.")
    if unreached:
        lines.append(f"{unreached} pairs, all of classes without a table, were not reached within the time given.")
    lines += ["", "| library | pairs | " + " | ".join(RESULTS) + " |", "|---|" + "---|" * (len(RESULTS) + 1)]
    for library in ("timm", "transformers"):
        own = Counter(o.result for o in found if o.library == library)
        lines.append(f"| {library} | {own.total()} | " + " | ".join(str(own[r]) for r in RESULTS) + " |")
    lines += [
        "",
        "## By class",
        "",
        "| library | class | " + " | ".join(RESULTS) + " |",
        "|---|---|" + "---|" * len(RESULTS),
    ]
    classes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for outcome in found:
        classes[outcome.library, outcome.kind][outcome.result] += 1
    for (library, kind), own in sorted(classes.items()):
        lines.append(f"| {library} | {kind} | " + " | ".join(str(own[r] or "") for r in RESULTS) + " |")
    lines += ["", "## Why", "", "| pair | result | why |", "|---|---|---|"]
    for o in sorted(found, key=lambda o: (RESULTS.index(o.result), o.library, o.kind, o.pair)):
        if o.why:
            lines.append(f"| {o.pair} | {o.result} | {o.why.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the pairs in two processes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the table here instead of printing it")
    parser.add_argument("--limit", type=int, help="only so many pairs")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds of processor time per pair")
    parser.add_argument("--minutes", type=float, default=10.0, help="stop after so long")
    parser.add_argument("--most", type=float, default=700.0, help="largest architecture, in million parameters")
    parser.add_argument("--all", action="store_true", help="every pair of the classes without a table, too")
    parser.add_argument("--no-derive", action="store_true", help="do not derive axes")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    start, outcomes = time.monotonic(), []
    with multiprocessing.get_context("spawn").Pool(2, initializer=_one_thread) as pool:
        todo = list(jobs(options, pool))[: options.limit]
        for i, outcome in enumerate(pool.imap_unordered(work, todo), 1):
            outcomes.append(outcome)
            print(f"{i}/{len(todo)} {time.monotonic() - start:.0f}s {outcome}", file=sys.stderr, flush=True)
            if time.monotonic() - start > options.minutes * 60:
                break
    text = report(
        outcomes, "python benchmarks/coverage.py " + " ".join(sys.argv[1:]), not options.all, len(todo) - len(outcomes)
    )
    options.out.write_text(text, encoding="utf-8") if options.out else print(text)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


if __name__ == "__main__":
    main()
