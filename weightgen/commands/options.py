"""The options that commands share."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

Flag = Annotated[bool, Parameter(negative=())]
Json = Annotated[bool, Parameter(negative=(), help="Print one JSON object.")]
Quiet = Annotated[bool, Parameter(negative=(), help="Print errors only.")]
Force = Annotated[bool, Parameter(negative=(), help="Replace an existing output directory.")]
DryRun = Annotated[bool, Parameter(negative=(), help="Show the plan and stop.")]
PrintRecipe = Annotated[bool, Parameter(negative=(), help="Print these options as a recipe and stop.")]
