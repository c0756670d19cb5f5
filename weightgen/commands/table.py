"""The table of commands: those of jobs, and the few that carry out no recipe. Each is imported when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from weightgen.jobs.table import FIELDS, JOBS, PROVE, REST

OWN = {"compare": "weightgen.commands.compare:compare"}
"""Jobs whose commands have words or options of their own."""


@dataclass(frozen=True)
class Command:
    """A command, before it is imported."""

    path: str
    """module:function."""
    group: str
    help: str


COMMANDS: dict[str, Command] = {
    **{
        name: Command(OWN.get(name, f"weightgen.commands.of_jobs:{name.replace('-', '_')}"), job.group, job.help)
        for name, job in JOBS.items()
    },
    "render": Command("weightgen.commands.render:render", FIELDS, "Draw a fitted field: a picture, a sound, a mesh."),
    "apply": Command("weightgen.commands.apply:apply", REST, "Run a start over an image, before fine-tuning or after."),
    "report": Command(
        "weightgen.commands.report:report",
        PROVE,
        "Put the results of races into one report: report.html, report.md and curves.png.",
    ),
    "verify": Command(
        "weightgen.commands.verify:verify",
        PROVE,
        "Check every file of a checkpoint against its manifest; exit 1 names what was changed.",
    ),
    "run": Command("weightgen.commands.run:run", REST, "Carry out a recipe (one YAML file is one reproducible run)."),
    "models": Command(
        "weightgen.commands.models:models",
        REST,
        "List the presets that --src and --dst take, and what each stands for.",
    ),
}
