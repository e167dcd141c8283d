"""Reads a page as strictly as a browser never would: balanced elements, and whatever it points at."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

_EMPTY = {"meta", "link", "input", "br"}
_ADDRESSES = {"src", "href", "action", "srcset", "poster", "data", "xlink:href", "formaction", "ping"}


@dataclass
class Found:
    """What a page has.

    Attributes:
        elements: Name and attributes of each, in their order.
        addresses: Whatever could be fetched.
        text: All text outside of style and script.
        code: The text of each style and script.
    """

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    text: str = ""
    code: list[str] = field(default_factory=list)

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for each, attributes in self.elements if each == name]


def checked(document: str) -> Found:
    """What a page has; fails where it is not balanced."""
    reader = _Reader()
    assert document.startswith("<!DOCTYPE html>\n")
    reader.feed(document)
    reader.close()
    assert reader.open == []
    ids = Counter(attributes["id"] for _, attributes in reader.found.elements if "id" in attributes)
    assert [each for each, count in ids.items() if count > 1] == []
    for code in reader.found.code:
        reader.found.addresses += re.findall(r"url\(([^)]*)\)|@import ([^;]*)", code)
    return reader.found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.found = Found()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), attrs
        self.found.elements.append((tag, dict(attrs)))
        self.found.addresses += [str(value) for name, value in attrs if name in _ADDRESSES]
        assert not [name for name in names if name.startswith("on")], attrs
        for _, value in attrs:
            assert "url(" not in str(value)
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            self.found.code.append(data)
        else:
            self.found.text += data
