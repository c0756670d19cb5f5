"""Overrides as users write them: `key=value,...`, with dots for fields of parts."""

from __future__ import annotations

from typing import Any

from weightgen.errors import UsageError, printable
from weightgen.recipe.yaml_values import parse_yaml


def parse_arguments(text: str | None) -> dict[str, Any]:
    """Parse `key=value,key=value` as YAML values; nested commas are allowed inside brackets."""
    if not text:
        return {}
    arguments: dict[str, Any] = {}
    for part in _split(text):
        key, equals, value = part.partition("=")
        if not equals or not all(word.isidentifier() for word in key.strip().split(".")):
            raise UsageError(f"'{printable(part)}' is not key=value")
        try:
            arguments[key.strip()] = parse_yaml(value)
        except ValueError as error:
            raise UsageError(f"'{printable(part)}': the value is not valid YAML") from error
    return arguments


def _split(text: str) -> list[str]:
    """Split at the commas that are in no bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
