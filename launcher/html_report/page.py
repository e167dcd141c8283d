"""The whole page: its head, its sections in their order, its style and script inside of it."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from importlib.resources import files

from launcher.html_report import run_charts, sections
from launcher.html_report.figures import moment
from launcher.html_report.markup import Markup, element, joined
from launcher.html_report.reading import ReadRun

GENERATOR = "perdure report"
"""What a report calls itself, so that it is known for one before it is written anew."""

_NO_CURVES = "No epoch has ended yet, or none was logged: there are no curves."
_NO_SPEED = "The run's log keeps no times of epochs."


def page(runs: Sequence[ReadRun], made: float, version: str) -> str:
    """The report as a document of HTML.

    Args:
        runs: At least one.
        made: When it is made, in seconds since 1970.
        version: Perdure's.
    """
    labels = names(runs)
    title = f"{', '.join(labels)} \u2013 Perdure report"
    body = [_header(runs, labels), element("main", *_sections(runs, labels)), _footer(runs, made, version)]
    script = _asset("script.js")
    document = element(
        "html",
        element("head", *_head(title, version, script)),
        element("body", *body, element("script", Markup(script))),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{document}\n"


def names(runs: Sequence[ReadRun]) -> list[str]:
    """What to call each run: as shortly as tells them apart."""
    for name in (
        lambda run: run.name,
        lambda run: f"{run.experiment_name}/{run.name}",
        lambda run: run.directory,
    ):
        found = [name(run) for run in runs]
        if len(set(found)) == len(runs):
            break
    return found


def is_report(begin: bytes) -> bool:
    """Tells whether a file that begins so is a report of Perdure."""
    return begin.startswith(b"<!DOCTYPE html>") and f'content="{GENERATOR}'.encode() in begin


def _head(title: str, version: str, script: str) -> Iterator[Markup]:
    # A browser that is given this fetches nothing, and runs no script but ours, whatever a run's texts hold.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    yield element("meta", charset="utf-8")
    yield element("meta", name="generator", content=f"{GENERATOR} {version}")
    yield element("meta", http_equiv="Content-Security-Policy", content=policy)
    yield element("meta", name="viewport", content="width=device-width, initial-scale=1")
    yield element("title", title)
    yield element("link", rel="icon", href="data:,")
    yield element("style", Markup(_asset("style.css")))


def _header(runs: Sequence[ReadRun], labels: Sequence[str]) -> Markup:
    experiments = list(dict.fromkeys(run.experiment_name for run in runs))
    heading = labels[0] if len(runs) == 1 else f"{len(runs)} runs compared"
    kind = "Experiment" if len(experiments) == 1 else "Experiments"
    return element(
        "header",
        element(
            "div",
            element("p", f"{kind} {', '.join(experiments)}", class_="eyebrow"),
            element("h1", heading),
        ),
        _themes(),
    )


def _themes() -> Markup:
    choices = [
        element("label", element("input", type="radio", name="theme", id=f"theme-{value}", checked=on), name)
        for value, name, on in (("auto", "Auto", True), ("light", "Light", None), ("dark", "Dark", None))
    ]
    return element("fieldset", element("legend", "Colours"), *choices, class_="themes")


def _sections(runs: Sequence[ReadRun], labels: Sequence[str]) -> Iterator[Markup]:
    if len(runs) == 1:
        yield from _of_one(runs[0])
        return
    charts, speed = run_charts.of_several(runs, labels)
    detail = run_charts.detail_for([*charts, *speed], len(runs))
    yield _section("The runs", sections.overview(runs, labels))
    yield _section("What differs", sections.differences(runs, labels))
    yield _section("Curves", sections.curves(charts, detail, "curve", _NO_CURVES))
    yield _section("Speed", sections.curves(speed, detail, "speed", _NO_SPEED))
    for number, (run, label) in enumerate(zip(runs, labels, strict=True), 1):
        yield _section(
            joined([sections.run_key(number - 1), " ", label]),
            sections.summary(run),
            *_details(run, f"run-{number}", "h3"),
            key=f"run-{number}",
        )


def _of_one(run: ReadRun) -> Iterator[Markup]:
    charts, speed = run_charts.of_one(run)
    detail = run_charts.detail_for([*charts, *speed], 1)
    yield element("section", sections.summary(run), aria_label="Summary")
    yield _section("Curves", sections.curves(charts, detail, "curve", _NO_CURVES))
    yield _section("Speed", sections.curves(speed, detail, "speed", _NO_SPEED), sections.speed_notes(run))
    yield from _details(run, "run", "h2")


def _details(run: ReadRun, key: str, level: str) -> list[Markup]:
    parts = [
        ("Time and events", sections.time_and_events(run, f"{key}-time")),
        ("GPU-hours", sections.gpus(run)),
        ("Experiment", sections.experiment(run)),
        ("Environment", sections.environment(run)),
    ]
    if level == "h2":
        return [_section(title, content) for title, content in parts]
    return [element("div", element(level, title), content, class_="part") for title, content in parts]


def _section(title: object, *content: Markup, key: str | None = None) -> Markup:
    return element("section", element("h2", title), *content, id=key)


def _footer(runs: Sequence[ReadRun], made: float, version: str) -> Markup:
    places = [element("li", element("code", run.directory)) for run in runs]
    return element(
        "footer",
        element("p", f"Made by Perdure {version} on {moment(made)}; all times are UTC. From:"),
        element("ul", *places),
    )


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
