"""Whether training was lazy, the tangent kernel staying what it was, or rich.

Liu, Baratin, Cornford, Mihalas, Shea-Brown and Lajoie, "How connectivity structure shapes rich and lazy learning in
neural circuits", ICLR 2024, arXiv 2310.08513.
"""

from __future__ import annotations

from weightgen.diagnostics.kernel import HELD, ITEMS, kernel_alignment, sum_of_logits_kernel
from weightgen.diagnostics.measure import Measurement, Probe


def laziness(before: Probe, after: Probe) -> Measurement:
    """Return the cosine of the tangent kernels, by sums of logits, of a start and of what was trained from it.

    1: lazy, as if linear in its parameters; the lower, the richer. Raises UsageError for a kernel of zeros.
    """
    size = sum(t.numel() for t in before.parameters().values())
    count = max(2, min(ITEMS, HELD // max(size, 1)))
    one, other = (sum_of_logits_kernel(probe.take(count)) for probe in (before, after))
    found = kernel_alignment(one, other)
    grown = float(other.trace() / one.trace())
    return Measurement(
        "laziness",
        {"kernel_alignment": found, "kernel_growth": grown},
        f"the kernels have a cosine of {found:.3g}: training was {'lazy' if found > 0.9 else 'rich'}",
        f"{min(count, before.items)} of {before.items} items, outputs summed",
    )
