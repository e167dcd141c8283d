"""Builds HTML and SVG: elements of text, every bit of which is escaped unless it is markup already."""

from collections.abc import Iterable
from html import escape

from launcher.plain_text import plain

_EMPTY = frozenset({"br", "input", "link", "meta"})
"""Elements that have neither content nor an end."""


class Markup(str):
    """Text that is HTML already; only this module and files of this package make it."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Anything as text of a page: escaped, without control characters, and encodable."""
    # Half a surrogate pair can come out of JSON, but cannot be written as UTF-8.
    shown = str(value).encode("utf-8", "replace").decode()
    return Markup(escape(plain(shown)))


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element.

    Args:
        name: Its name.
        children: What it holds; all that is no `Markup` is escaped.
        attributes: `class_` stands for `class`, and other underscores for hyphens; None leaves one out, and
            True gives one without a value.
    """
    head = "".join([name, *(_attribute(key, value) for key, value in attributes.items())])
    if name in _EMPTY:
        return Markup(f"<{head}>")
    return Markup(f"<{head}>{joined(children)}</{name}>")


def joined(parts: Iterable[object]) -> Markup:
    """Parts behind each other; all that is no `Markup` is escaped."""
    return Markup("".join(part if isinstance(part, Markup) else text(part) for part in parts))


def table(
    caption: object, head: Iterable[object], rows: Iterable[Iterable[object]], class_: str = ""
) -> Markup:
    """A table that scrolls within its own box; the first cell of a row is its heading.

    Args:
        caption: What the table shows, for those who hear it; it is not drawn.
        head: The columns' headings.
        rows: The rows.
        class_: A class of the table.
    """
    heads = [element("th", each, scope="col") for each in head]
    lines = [element("tr", *_cells(row)) for row in rows]
    whole = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", *lines),
        class_=class_ or None,
    )
    # What scrolls has to be reachable by keyboard.
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _cells(row: Iterable[object]) -> list[Markup]:
    first, *others = row
    return [element("th", first, scope="row"), *(element("td", each) for each in others)]


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(value)}"'
