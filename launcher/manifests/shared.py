"""Parts that many objects of a run have in common: made once, and written once.

The Jobs of a thousand workers differ in a few lines of two hundred.
"""

from collections.abc import Mapping
from typing import Any


class Shared(dict[str, Any]):
    """A mapping in many objects that nobody changes; its text is kept. A copy of it is a plain mapping.

    Attributes:
        text: The indentation that it was last written with, and its lines; None until then.
    """

    __slots__ = ("text",)

    def __init__(self, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        self.text: tuple[str, str] | None = None

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        # Whoever copies it may change the copy, which then must not keep this text.
        return dict, (dict(self),)


def share(value: Any) -> Any:
    """Plain data with its outermost mappings `Shared`."""
    if isinstance(value, Mapping):
        return Shared(value)
    return [share(item) for item in value] if isinstance(value, list | tuple) else value
