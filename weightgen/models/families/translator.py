"""weightgen's image translator: a chain of convolutions that sees the photo, and where in it a pixel lies."""

from __future__ import annotations

from weightgen.models.layout import Family

# Modules alternate: a convolution, an activation without parameters, the next convolution.
FAMILY = Family(
    name="weightgen translator",
    table={
        "net.{stage=0}.{weight,bias}": "mid[stage] <- channels+coordinates kernel kernel",
        "net.{stage=-1}.{weight,bias}": "channels <- mid[stage-2] kernel kernel",
        "net.{stage}.{weight,bias}": "mid[stage] <- mid[stage-2] kernel kernel",
    },
    sizes=lambda model: {"coordinates": model.config.channels - 3},
)
