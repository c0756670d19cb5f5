"""YAML as users write it: plain values, no larger than they look."""

from __future__ import annotations

from typing import Any

import yaml

MAX_NODES = 20_000  # ten times the longest recipe; anchors can stand for far more than is written
FAILURES = (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What PyYAML lets through of dates, numbers and tags that are none."""


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text; raises ValueError for what is none, and for anchors that expand too far."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None and _size(root, {}, frozenset()) > MAX_NODES:
            raise ValueError("its anchors stand for more than a recipe can hold")
        return yaml.safe_load(text)
    except FAILURES as error:
        raise ValueError(str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def _size(node: yaml.Node, known: dict[int, int], above: frozenset[int]) -> int:
    """Return how many values a node stands for, those behind its anchors counted each time."""
    if id(node) in above:
        raise ValueError("an anchor stands for itself")
    if id(node) not in known:
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            parts = list(node.value)
        elif isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        inside = above | {id(node)}
        known[id(node)] = 1 + sum(_size(part, known, inside) for part in parts)
    return known[id(node)]
