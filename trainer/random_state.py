"""The random numbers that any code of a process may draw: noted at one moment, drawn again at another."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


class RandomState:
    """Python's and NumPy's global random states at the moment of its creation."""

    def __init__(self) -> None:
        """Notes them."""
        self._python = random.getstate()
        self._numpy: Any = np.random.get_state()

    @contextmanager
    def again(self) -> Iterator[None]:
        """Within, what is drawn is what was drawn from the noted moment on; behind it, nothing was drawn."""
        now = RandomState()
        self.bring_back()
        try:
            yield
        finally:
            now.bring_back()

    def bring_back(self) -> None:
        """Makes it the state of the process."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
