"""The contract on files opened for writing, checked with the others: `lint-imports` finds it by pyproject.toml."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

METHODS = {"write_text", "write_bytes", "savefig", "export", "save_pretrained"}
"""Methods whose receiver or argument is what they write to."""
FUNCTIONS = {"np.save", "torch.save", "shutil.copyfile", "shutil.copytree", "shutil.copy", "os.rename", "os.replace"}


class WritersContract(Contract):
    """Modules outside of `writers` write only below the directories that they are given, whose names are `scratch`."""

    type_name = "writers"
    writers = fields.ListField(subfield=fields.StringField())
    scratch = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        writers: Any = self.writers
        allowed: Any = self.scratch
        modules = [m for m in sorted(graph.modules) if m.split(".")[0] == "weightgen"]
        others = [m for m in modules if not any(m == w or m.startswith(f"{w}.") for w in writers)]
        found = [f"{file}:{line}: {text}" for m in others for file, line, text in _writes(m, set(allowed))]
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for line in check.metadata["found"]:
            output.print_error(f"- {line}", bold=False)


def _writes(module: str, allowed: set[str]) -> Iterator[tuple[str, int, str]]:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return
    for place in writes_in(Path(spec.origin).read_text(encoding="utf-8"), allowed):
        yield spec.origin, *place


def writes_in(source: str, allowed: set[str]) -> Iterator[tuple[int, str]]:
    """Yield line and text of each call that writes to a place which begins with another name than is allowed."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _writes_files(node):
            target = _target(node)
            if _first_name(target) not in allowed:
                yield node.lineno, ast.unparse(node)[:90]


def _writes_files(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    if name in FUNCTIONS:
        return True
    if name == "open" or name.endswith(".open"):
        modes = [a.value for a in [*call.args, *(k.value for k in call.keywords)] if isinstance(a, ast.Constant)]
        return any(isinstance(m, str) and len(m) <= 3 and set(m) & set("wxa+") for m in modes)
    return isinstance(call.func, ast.Attribute) and call.func.attr in METHODS


def _target(call: ast.Call) -> ast.expr:
    """Return what a call writes to: its last place for copies, its first for savers, else what it is called on."""
    name = ast.unparse(call.func)
    if name.startswith(("shutil.", "os.")):
        return call.args[-1]
    if name in FUNCTIONS or name.endswith((".save_pretrained", ".savefig", ".export")):
        at = 1 if name == "torch.save" else 0
        return call.args[at]
    assert isinstance(call.func, ast.Attribute | ast.Name)
    return call.func.value if isinstance(call.func, ast.Attribute) else call.args[0]


def _first_name(place: ast.expr) -> str:
    while not isinstance(place, ast.Name):
        inside = [n for n in ast.iter_child_nodes(place) if isinstance(n, ast.expr)]
        if not inside:
            return ""
        place = inside[0]
    return place.id
