"""Tiny models."""

from __future__ import annotations

from tests.zoo import Case

CASES: list[Case] = []
