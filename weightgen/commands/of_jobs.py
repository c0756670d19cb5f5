"""The commands of jobs, each made from its recipe when it is asked for, as `of_jobs.fit` is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from inspect import Signature
from typing import Annotated, Any, get_origin

from cyclopts import Parameter

from weightgen.commands.options import DryRun, Force, Json, PrintRecipe, Quiet
from weightgen.console import Console, remarks_to
from weightgen.errors import UsageError
from weightgen.jobs.table import JOBS, Job
from weightgen.recipe.base import Argument, Recipe, check_texts


def __getattr__(name: str) -> Callable[..., int]:
    """Make the command of a job."""
    job = JOBS.get(name.replace("_", "-"))
    if job is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return command_of(job)


def command_of(job: Job) -> Callable[..., int]:
    """Return a job's command: what its recipe marks as arguments, its other fields as options, and what all share."""
    kind = job.recipe_class
    arguments = [n for n, field in kind.model_fields.items() if any(isinstance(m, Argument) for m in field.metadata)]

    parameters = list(_parameters(job, kind, arguments))
    defaults = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}

    def command(*given: Any, **named: Any) -> int:
        options = defaults | named
        console = Console(options["json"], options["quiet"])
        if options.get("show_list"):
            console.result(*job.show_list())
            return 0
        recipe = options["recipe"]
        if recipe is None and any(field.is_required() for field in kind.model_fields.values()):
            raise UsageError(kind.missing)
        said = dict(zip(arguments, given, strict=False))  # of several, there may be none
        refuse_texts(said)
        recipe = (recipe or kind.model_validate({})).model_copy(update=said)
        if options["print_recipe"]:
            text = recipe.to_yaml()
            console.result({"recipe": text}, text.rstrip())
            return 0
        return carry_out(job, recipe, console, dry_run=options.get("dry_run", False), force=options.get("force", False))

    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": int}
    return command


def refuse_texts(said: Mapping[str, Any]) -> None:
    """Raise UsageError for what a recipe would refuse, where it is changed without being looked at again."""
    try:
        check_texts(said)
    except ValueError as error:
        raise UsageError(str(error)) from error


def carry_out(job: Job, recipe: Recipe, console: Console, *, dry_run: bool = False, force: bool = False) -> int:
    """Carry a recipe out, or only plan it, and say what was made and what to type next; return the exit code."""
    with remarks_to(console):
        if dry_run:
            made = job.plan(recipe, reporter=console)
        else:
            made = job.carry_out(recipe, recipe.place(), force=force, reporter=console)
    console.result(dict(made.data), made.text)
    return made.code


def _parameters(job: Job, kind: type[Recipe], arguments: list[str]) -> Iterator[inspect.Parameter]:
    for name in arguments:
        field = kind.model_fields[name]
        shown: Any = Annotated[str, Parameter(help=field.description)]
        if get_origin(field.annotation) is list:
            many = Parameter(help=field.description, consume_multiple=True, negative=())
            # One of several is named in the plural.
            shown, name = Annotated[list[str] | None, many], name if name.endswith("s") else f"{name}s"
            yield inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY, default=None, annotation=shown)
        else:
            yield inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY, annotation=shown)

    def option(name: str, annotation: Any, **default: Any) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, **default)

    if any(field.is_required() for field in kind.model_fields.values()) and not job.catalogue:
        yield option("recipe", Annotated[kind, Parameter(name="*")])
    else:
        yield option("recipe", Annotated[kind | None, Parameter(name="*")], default=None)
    if job.catalogue:
        listed = Parameter(name="--list", negative=(), help=job.listed)
        yield option("show_list", Annotated[bool, listed], default=False)
    if job.plans:
        yield option("dry_run", DryRun, default=False)
    yield option("print_recipe", PrintRecipe, default=False)
    if job.forces:
        yield option("force", Force, default=False)
    yield option("json", Json, default=False)
    yield option("quiet", Quiet, default=False)
