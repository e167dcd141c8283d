"""Which charts a report has: of one run each metric with its validation, of several each by itself; pure."""

from collections.abc import Sequence

from launcher.html_report.charts import MOST_BUCKETS, MOST_ROWS, Chart, Detail, Series
from launcher.html_report.curves import EPOCH_SECONDS, VALIDATION
from launcher.html_report.marks import Mark, best_marks, marks
from launcher.html_report.reading import ReadRun

_BATCH_SIZE = "batch_size"
_BUCKETS_OF_A_RUN = 12_000
_ROWS_OF_A_RUN = 5_000
_RATIO_OF_RATES = 20.0


def of_one(run: ReadRun) -> tuple[list[Chart], list[Chart]]:
    """The charts of a run alone: those of its metrics, and those of its speed."""
    found = marks(run)
    charts = [_pair(run, name, found) for name in _bases(run.curves.metrics)]
    charts += [
        Chart(
            name.replace("_", " "),
            "learning rate",
            (Series("learning rate", run.curves.points(name), 0),),
            found,
            _RATIO_OF_RATES,
            stepped=True,
        )
        for name in run.curves.learning_rates
    ]
    return charts, _speed([run], [""], found)


def of_several(runs: Sequence[ReadRun], labels: Sequence[str]) -> tuple[list[Chart], list[Chart]]:
    """The charts of several runs over each other."""
    metrics = list(dict.fromkeys(name for run in runs for name in run.curves.metrics))
    rates = list(dict.fromkeys(name for run in runs for name in run.curves.learning_rates))
    every = [each for base in _bases(metrics) for each in (base, f"{VALIDATION}{base}") if each in metrics]
    charts = [Chart(name, name, _over_each_other(runs, labels, name), names_all=True) for name in every]
    charts += [
        Chart(
            name.replace("_", " "),
            "learning rate",
            _over_each_other(runs, labels, name),
            ratio=_RATIO_OF_RATES,
            stepped=True,
            names_all=True,
        )
        for name in rates
    ]
    return charts, _speed(runs, labels, ())


def detail_for(charts: Sequence[Chart], runs: int) -> Detail:
    """How much of each curve there is room for."""
    curves = max(1, sum(len(chart.series) for chart in charts))
    return Detail(
        min(MOST_BUCKETS, max(20, _BUCKETS_OF_A_RUN * runs // curves)),
        min(MOST_ROWS, max(10, _ROWS_OF_A_RUN * runs // curves)),
    )


def examples_per_second(run: ReadRun) -> list[tuple[float, float | None]]:
    """Of each epoch, validation and callbacks included; none where its length is not known."""
    fixed = run.setting("training", "steps_per_epoch")
    steps, batch = fixed or run.steps_per_epoch, run.setting("training", "global_batch_size")
    sizes = dict(run.curves.finite(_BATCH_SIZE))
    # Where the batch changes, a walk through the data has other steps in every epoch.
    if (
        not isinstance(steps, int)
        or not isinstance(batch, int)
        or (len(set(sizes.values())) > 1 and not fixed)
    ):
        return []
    seconds = run.curves.finite(EPOCH_SECONDS)
    return [(float(at), steps * sizes.get(at, batch) / value) for at, value in seconds if value > 0]


def _over_each_other(runs: Sequence[ReadRun], labels: Sequence[str], name: str) -> list[Series]:
    return [
        Series(label, run.curves.points(name), n, _best(best_marks(marks(run)), name))
        for n, (run, label) in enumerate(zip(runs, labels, strict=True))
        if name in run.curves.columns
    ]


def _pair(run: ReadRun, base: str, found: Sequence[Mark]) -> Chart:
    best = best_marks(found)
    named = (("training", base, 0), ("validation", f"{VALIDATION}{base}", 1))
    series = [
        Series(label, run.curves.points(name), style, _best(best, name))
        for label, name, style in named
        if name in run.curves.columns
    ]
    return Chart(base, base, series, found)


def _speed(runs: Sequence[ReadRun], labels: Sequence[str], found: Sequence[Mark]) -> list[Chart]:
    named = list(enumerate(zip(runs, labels, strict=True)))
    seconds = [
        Series(label or "seconds", run.curves.points(EPOCH_SECONDS), n)
        for n, (run, label) in named
        if EPOCH_SECONDS in run.curves.columns
    ]
    speeds = [
        Series(label or "examples per second", points, n)
        for n, (run, label) in named
        if (points := examples_per_second(run))
    ]
    charts = []
    if seconds:
        told = "The first epoch holds the tracing of the steps."
        charts.append(
            Chart(
                "Seconds per epoch",
                "seconds",
                seconds,
                found,
                from_zero=True,
                note=told,
                names_all=len(runs) > 1,
            )
        )
    if speeds:
        told = "Validation and callbacks included; a smaller last batch counts as a whole one."
        charts.append(
            Chart(
                "Throughput",
                "examples per second",
                speeds,
                found,
                from_zero=True,
                note=told,
                names_all=len(runs) > 1,
            )
        )
    return charts


def _bases(metrics: Sequence[str]) -> list[str]:
    """Metrics without those that are the validation of another, the loss first."""
    bases = dict.fromkeys(name.removeprefix(VALIDATION) for name in metrics)
    return sorted(bases, key=lambda name: name != "loss")


def _best(best: dict[str, Mark], name: str) -> tuple[float, float] | None:
    mark = best.get(name)
    return None if mark is None or mark.epoch is None or mark.value is None else (mark.epoch, mark.value)
