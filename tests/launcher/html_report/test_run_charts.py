import pytest

from launcher.html_report.reading import read_run
from launcher.html_report.run_charts import examples_per_second
from tests.launcher.html_report.sample_runs import csv, make


def read(tmp_path, head, *rows, **training):
    spec = {"spec": {"training": {"global_batch_size": 8, **training}}}
    files = {"logs/training.csv": csv(*rows, head=head), "experiment.yaml": spec}
    return read_run(str(make(tmp_path / "x" / "a", files)))


def test_rows_a_second_of_each_epoch(tmp_path) -> None:
    run = read(tmp_path, "epoch,epoch_seconds", "0,2", "1,0", "2,4", steps_per_epoch=10)
    assert examples_per_second(run) == [(1.0, 40.0), (3.0, 20.0)]


@pytest.mark.parametrize(
    ("case", "training", "expected"),
    [
        (
            "a batch that changes, in epochs of so many steps",
            {"steps_per_epoch": 10},
            [(1.0, 40.0), (2.0, 80.0)],
        ),
        ("a batch that changes, in epochs that are passes", {}, []),
    ],
)
def test_where_the_batch_changes(case, training, expected, tmp_path) -> None:
    run = read(tmp_path, "epoch,batch_size,epoch_seconds", "0,8,2", "1,16,2", **training)
    assert examples_per_second(run) == expected, case
