"""The table of jobs: its recipes, functions and commands belong together, and nothing is known twice."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from tests.conftest import Command
from weightgen.commands.of_jobs import command_of
from weightgen.commands.table import COMMANDS
from weightgen.console import SILENT
from weightgen.errors import UsageError
from weightgen.jobs.table import JOBS


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_whole(name: str) -> None:
    job = JOBS[name]
    assert job.recipe_class.model_fields["stage"].default == name
    module, _, function = job.function.partition(":")
    found = inspect.signature(getattr(import_module(f"weightgen.jobs.{module}"), function)).parameters
    assert list(found)[:2] == ["recipe", "out"]
    assert ("force" in found) == job.forces
    assert "reporter" in found
    assert hasattr(import_module(f"weightgen.jobs.{module}"), "plan") == job.plans
    assert job.help == COMMANDS[name].help


@pytest.mark.parametrize("name", JOBS)
def test_its_command_takes_every_field_of_its_recipe(name: str, command: Command) -> None:
    parameters = inspect.signature(command_of(JOBS[name])).parameters
    assert ("dry_run" in parameters) == JOBS[name].plans
    assert ("show_list" in parameters) == bool(JOBS[name].catalogue)
    told = command(name, "--help").out
    for field in set(JOBS[name].recipe_class.model_fields) - {"stage"}:
        option = f"--{field.replace('_', '-')}"
        assert option in told or f" {field.upper()}" in told, option
    assert JOBS[name].help.split()[0] in told


def test_only_plans_are_shown_without_being_carried_out() -> None:
    job = JOBS["average"]
    with pytest.raises(UsageError, match="this is a average recipe"):
        job.plan(job.recipe_class.model_validate({}), reporter=SILENT)
