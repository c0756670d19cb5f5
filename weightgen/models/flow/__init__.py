"""How the signal flows through a model: layers, activations, sums and products, whatever its modules are called."""

from __future__ import annotations

from weightgen.models.flow.find import find_flow
from weightgen.models.flow.graph import Flow, Step

__all__ = ["Flow", "Step", "find_flow"]
