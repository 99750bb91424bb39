"""What can be measured, one module each: `NAME` and `measure`."""

from __future__ import annotations

from collections.abc import Callable

from ..bench import Bench
from ..rounds import Result
from . import iris_1

# In the order in which they are measured.
ITEMS: dict[str, Callable[[Bench], list[Result]]] = {module.NAME: module.measure for module in (iris_1,)}
