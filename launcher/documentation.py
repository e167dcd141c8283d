"""Where the documentation of this version is read: on the web, or in a clone."""

from functools import cache
from importlib.metadata import PackageNotFoundError, metadata

from launcher.reasons import NEED_NOTHING, Reason

PAGES = "docs/failures"
"""The folder with a page for each reason that somebody can do something about."""

_LABEL = "documentation"
"""Of the URL among the package's own (`[project.urls]`) that has the folder above `PAGES`."""


def failure_page(reason: Reason, base: str | None = None) -> str:
    """URL of the page about a reason, or its path in a clone; empty for a reason that needs nothing.

    Args:
        reason: The reason.
        base: URL of the folder above `PAGES`, with a slash at its end; that of the package if None.
    """
    if reason in NEED_NOTHING:
        return ""
    return f"{_base() if base is None else base}{PAGES}/{reason}.md"


@cache
def _base() -> str:
    try:
        urls = metadata("perdure").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    named = (url.partition(", ") for url in urls)
    found = next((url for label, _, url in named if label.lower() == _LABEL), "")
    return f"{found.rstrip('/')}/" if found else ""
