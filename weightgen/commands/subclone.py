"""`weightgen subclone`: flags to a recipe, a recipe to a plan, a plan to a checkpoint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from weightgen.console import Console
from weightgen.recipe import SubcloneRecipe, make_recipe

Flag = Annotated[bool, Parameter(negative=())]


def subclone(
    *,
    src: str,
    dst: str,
    out: Path | None = None,
    src_args: str | None = None,
    dst_args: str | None = None,
    src_weights: str | None = None,
    dst_tokenizer: str | None = None,
    method: str = "selection",
    choose: str | None = None,
    heads: str | None = None,
    depth: str | None = None,
    scale: str | None = None,
    importance: str | None = None,
    calibrate: str | None = None,
    calibrate_samples: int = 64,
    scores: str | None = None,
    save_scores: str | None = None,
    dtype: Literal["keep", "float32", "bfloat16", "float16"] = "keep",
    seed: int = 0,
    allow_pickle: Flag = False,
    dry_run: Flag = False,
    print_recipe: Flag = False,
    force: Flag = False,
    json: Flag = False,
    quiet: Flag = False,
) -> int:
    """Cut a small model's starting weights out of a larger pretrained one.

    Parameters
    ----------
    src
        Source: a preset (see: weightgen models), timm:NAME[.tag], hf:ORG/NAME[@revision], hf-hub:ORG/NAME, a directory,
        or package:NAME/path (a directory inside an installed Python package).
    dst
        Target: the same kinds of name, or 'same' for the source's own configuration with --dst-args.
    out
        Directory to write; named after source and target by default.
    src_args
        Overrides of the source's configuration: key=value,...
    dst_args
        Overrides of the target's configuration: key=value,...
    src_weights
        The source's weights: a file or directory, where --src only names the architecture.
    dst_tokenizer
        Directory with the target's tokenizer, to match vocabularies that differ.
    method
        selection, subcloning or minitron: a bundle of the four choices below.
    choose
        Which indices: uniform, consecutive, random or importance.
    heads
        whole: keep whole attention heads; flat: cut every axis as a plain one, as published.
    depth
        Which blocks: first, spread, ends, influence, or a list such as 0,2,5.
    scale
        none, or fan-in: multiply by sqrt(source fan-in / target fan-in).
    importance
        What importance is: magnitude (no data), activation or minitron (with --calibrate).
    calibrate
        Folder of images or text file to measure activations on.
    calibrate_samples
        How many images or text pieces to use.
    scores
        Use scores saved before instead of measuring.
    save_scores
        Save the scores to a file, for other target sizes.
    dtype
        Type of the weights written; the source's own by default.
    seed
        Seed of random choices and of what is initialised anew.
    allow_pickle
        Read a pickled weights file (tensors only).
    dry_run
        Show the plan and stop.
    print_recipe
        Print these options as a recipe and stop.
    force
        Replace an existing output directory.
    json
        Print one JSON object.
    quiet
        Print errors only.
    """
    from weightgen.models.names import parse_arguments

    data: dict[str, Any] = {
        "src": src,
        "dst": dst,
        "src_args": parse_arguments(src_args),
        "dst_args": parse_arguments(dst_args),
        "src_weights": src_weights,
        "dst_tokenizer": dst_tokenizer,
        "method": method,
        "choose": choose,
        "heads": heads,
        "depth": [int(b) for b in depth.split(",")] if depth and re.fullmatch(r"\d+(,\d+)*", depth) else depth,
        "scale": scale,
        "importance": importance,
        "calibrate": calibrate,
        "calibrate_samples": calibrate_samples,
        "scores": scores,
        "save_scores": save_scores,
        "dtype": dtype,
        "seed": seed,
        "allow_pickle": allow_pickle,
    }
    recipe = make_recipe({k: v for k, v in data.items() if v is not None}, "options")
    console = Console(json, quiet)
    if print_recipe:
        text = recipe.model_copy(update={"out": str(out)} if out else {}).to_yaml()
        console.result({"recipe": text}, text.rstrip())
        return 0
    return carry_out_recipe(recipe, out, console, dry_run, force)


def default_out(recipe: SubcloneRecipe) -> Path:
    """Return a directory name from source and target, in the current directory."""

    def short(text: str) -> str:
        return re.sub(r"[^\w.-]+", "-", text.rstrip("/").split("/")[-1].split(":")[-1]).strip("-.") or "model"

    made = short(recipe.dst) if recipe.dst != "same" else "small"
    return Path(f"{made}-from-{short(recipe.src)}")


def carry_out_recipe(recipe: SubcloneRecipe, out: Path | None, console: Console, dry_run: bool, force: bool) -> int:
    """Show the plan, write the checkpoint, say what was made and what to type next."""
    import time

    from weightgen.checkpoint import check_target
    from weightgen.commands.plan_text import plan_summary, plan_text
    from weightgen.console import human_bytes
    from weightgen.pipeline import carry_out, prepare

    directory = out or (Path(recipe.out) if recipe.out else default_out(recipe))
    if not dry_run:
        check_target(directory, force)
    started = time.monotonic()
    with console.progress("calibrating") as progress:
        prepared = prepare(recipe, progress)
    plan = prepared.plan
    for warning in plan.warnings:
        console.warn(warning)
    if dry_run:
        console.result(plan.to_json() | plan_summary(prepared), plan_text(prepared))
        return 0
    console.note(plan_text(prepared) + "\n")
    with console.progress("transferring") as progress:
        published = carry_out(prepared, directory, force, progress)
    if published.nonfinite:
        worst = next(iter(published.nonfinite))
        console.warn(
            f"{sum(published.nonfinite.values())} NaN or infinite values came from the source "
            f"({len(published.nonfinite)} tensors, first {worst})"
        )
    seconds = time.monotonic() - started
    load = (
        f'timm.create_model("local-dir:{directory}", pretrained=True)'
        if prepared.target.library == "timm"
        else f'transformers.{prepared.target.name}.from_pretrained("{directory}")'
    )
    data = {"directory": str(directory), "bytes": published.bytes, "load": load} | plan_summary(prepared)
    console.result(
        data | {"nonfinite": dict(published.nonfinite), "seconds": round(seconds, 2)},
        f"wrote {directory}/ ({human_bytes(published.bytes)}) in {seconds:.1f} s\n"
        f"load:   {load}\ncheck:  weightgen verify {directory}",
    )
    return 0
