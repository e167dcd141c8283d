"""What both dashboards have around their panels."""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as models

TAG = "perdure"

RUN_UID = "perdure-run"
"""Address of the dashboard of one run, for ever: links and bookmarks hold it."""
NAMESPACE_UID = "perdure-namespace"
"""Likewise of the dashboard of a namespace's runs."""


def dashboard(title: str, uid: str, description: str, time_from: str) -> build.Dashboard:
    """A dashboard without panels.

    Args:
        title: Above it.
        uid: Its address.
        description: What it shows.
        time_from: Where its range of time begins, as Grafana writes it.
    """
    return (
        build.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time(time_from, "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .editable()
    )


def filled(dashboard: build.Dashboard, sections: Mapping[str, Iterable[Any]]) -> build.Dashboard:
    """Puts panels onto a dashboard.

    Args:
        dashboard: The dashboard.
        sections: The panels below each heading.
    """
    numbers = count(1)
    for title, panels in sections.items():
        dashboard = dashboard.with_row(build.Row(title).id(next(numbers)))
        for panel in panels:
            dashboard = dashboard.with_panel(panel.id(next(numbers)))
    return dashboard


def link(title: str, uid: str) -> build.DashboardLink:
    """A link to another dashboard, which keeps the range of time and what was chosen."""
    return (
        build.DashboardLink(title)
        .type(models.DashboardLinkType.LINK)
        .url(f"/d/{uid}")
        .icon("dashboard")
        .placement("")
        .include_vars(True)
        .keep_time(True)
    )
