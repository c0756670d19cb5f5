"""A plan of an initialisation, and the list of initialisers, as people read them: 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from weightgen.console import human_count, table
from weightgen.errors import printable
from weightgen.inits.initialiser import Initialiser
from weightgen.inits.plan import InitPlan
from weightgen.inits.registry import INITIALISERS
from weightgen.models.tensor_names import block_pattern, shortened

NAME_WIDTH, RULE_WIDTH, WHY_WIDTH = 32, 18, 19
COLUMNS = 80


def init_summary(plan: InitPlan) -> dict[str, Any]:
    """Return the plan's totals."""
    return {
        "model": plan.model,
        "method": plan.method,
        "plan_hash": plan.hash,
        "parameters": plan.parameters,
        "branches": plan.roles.branches,
        "written": len(plan.written),
        "left": len(plan.assignments) - len(plan.written),
    }


def init_text(plan: InitPlan) -> str:
    """Lay a plan out for a terminal of 80 columns: one row for the tensors of all blocks that get the same."""
    options = "".join(f", {k}={v}" for k, v in plan.options.items())
    title = f"{printable(plan.model)}: {plan.method}{options}, seed {plan.seed}"
    branches = f"{plan.roles.branches} residual branches" if plan.roles.structured else "structure not known"
    head = [
        *textwrap.wrap(title, COLUMNS, subsequent_indent="  "),
        f"{human_count(plan.parameters)} parameters, {branches}    plan {plan.hash[:12]}",
        "",
    ]
    groups: dict[tuple[str, str, str], int] = {}
    for assignment in plan.assignments:
        rule = assignment.rule if assignment.fill is not None else "left alone"
        key = (block_pattern(assignment.tensor), rule, assignment.why)
        groups[key] = groups.get(key, 0) + 1
    rows = [
        (shortened(name, NAME_WIDTH), str(count), printable(rule, RULE_WIDTH), printable(why, WHY_WIDTH))
        for (name, rule, why), count in groups.items()
    ]
    return "\n".join([*head, table(rows, ("tensors", "count", "gets", "because"), right=(1,))])


def list_text(initialisers: Mapping[str, Initialiser]) -> str:
    """Lay out name, paper, needs, options and advice of every initialiser."""
    lines = []
    for name, initialiser in initialisers.items():
        lines.append(f"{name:14}  {initialiser.paper}")
        facts = [initialiser.advice, f"Needs {initialiser.needs}."]
        options = initialiser.options.model_fields
        if options:
            facts.append("Takes " + ", ".join(f"{k}={field.default}" for k, field in options.items()) + ".")
        for fact in facts:
            lines += textwrap.wrap(fact, COLUMNS, initial_indent=" " * 16, subsequent_indent=" " * 16)
    return "\n".join(lines)


def list_data(initialisers: Mapping[str, Initialiser]) -> dict[str, Any]:
    """Return the same as plain data."""
    return {
        name: {
            "paper": found.paper,
            "needs": found.needs,
            "advice": found.advice,
            "options": {
                k: {"default": field.default, "is": field.description}
                for k, field in found.options.model_fields.items()
            },
        }
        for name, found in initialisers.items()
    }


def catalogue() -> tuple[dict[str, Any], str]:
    """Return the initialisers that there are, as data and as text."""
    return {"methods": list_data(INITIALISERS)}, list_text(INITIALISERS)
