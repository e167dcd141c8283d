"""Metrics of plain `model.fit`, read over HTTP while it trains."""

import urllib.request
from typing import Any

import keras
import numpy as np
import pytest

from tests.trainer.supervisor.exposition import Exposition
from trainer import fit
from trainer.callbacks import MetricsExporter

X = np.linspace(-1, 1, 40, dtype="float32").reshape(20, 2)
Y = X.sum(axis=1, keepdims=True)


def model(**options: Any) -> keras.Model:
    built = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    built.compile("sgd", "mse", metrics=["mae"], **options)
    return built


def read(exporter: MetricsExporter) -> Exposition:
    with urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}/metrics", timeout=10) as answer:
        return Exposition(answer.read().decode())


@pytest.fixture
def exporter() -> Any:
    made = MetricsExporter(0, run="mine")
    yield made
    made.close()


def test_it_tells_each_epochs_metrics_while_training_goes_on(exporter: MetricsExporter) -> None:
    told = []

    class Reader(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            told.append((dict(logs), read(exporter)))

    model().fit(
        X, Y, batch_size=5, epochs=3, verbose=0, callbacks=[exporter, Reader()], validation_data=(X, Y)
    )
    for epoch, (logs, found) in enumerate(told):
        assert found.by("perdure_run_metric", "metric") == {
            name: float(value) for name, value in logs.items()
        }
        assert found.value("perdure_run_epochs_finished", run="mine") == epoch + 1
        assert found.value("perdure_run_epochs") == 3
        assert found.value("perdure_run_learning_rate") == pytest.approx(0.01)
        assert found.value("perdure_worker_steps_total") == 4 * (epoch + 1)
        assert found.value("perdure_worker_step_duration_seconds_count") == 4 * (epoch + 1)
        assert found.value("perdure_run_epoch_seconds") > 0


def test_steps_of_one_execution_are_counted_and_a_loss_that_is_not_finite(exporter: MetricsExporter) -> None:
    model(steps_per_execution=3).fit(
        X * np.float32("nan"), Y, batch_size=5, epochs=1, verbose=0, callbacks=[exporter]
    )
    found = read(exporter)
    assert found.value("perdure_worker_steps_total") == 4
    assert found.value("perdure_worker_step_duration_seconds_count") == 4
    assert found.value("perdure_worker_non_finite_total") == 2


def test_in_fit_it_asks_for_no_batch(exporter: MetricsExporter) -> None:
    fit(model(), X, Y, batch_size=5, epochs=2, verbose=0, callbacks=[exporter])
    found = read(exporter)
    assert found.value("perdure_run_epochs_finished") == 2
    assert found.value("perdure_worker_steps_total") == 0


def test_a_port_that_is_taken_is_told(exporter: MetricsExporter) -> None:
    exporter.set_params({})
    exporter.on_train_begin()
    with pytest.raises(OSError, match="in use"):
        MetricsExporter(exporter.port).on_train_begin()


@pytest.mark.parametrize("port", [-1, 65536, "9090", 1.0, True])
def test_a_port_that_does_not_exist_is_refused_before_training(port: Any) -> None:
    with pytest.raises(ValueError, match="port must be an integer from 0 to 65535"):
        MetricsExporter(port)


def test_what_is_no_number_ends_no_training(exporter: MetricsExporter) -> None:
    class Adds(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs.update(text="text", several=np.array([1.0, 2.0]), none=None, numeral="7")
            logs["scalar"] = np.array(3.0)
            logs["\ud800"] = 4.0

    model().fit(X, Y, batch_size=5, epochs=2, verbose=0, callbacks=[Adds(), exporter])
    found = read(exporter).by("perdure_run_metric", "metric")
    assert set(found) == {"loss", "mae", "scalar", "?"}
    assert (found["scalar"], found["?"]) == (3.0, 4.0)


def test_the_length_of_an_epoch_of_a_generator_is_known_after_the_first(exporter: MetricsExporter) -> None:
    def rows() -> Any:
        for first in range(0, len(X), 5):
            yield X[first : first + 5], Y[first : first + 5]

    model().fit(rows(), epochs=1, verbose=0, callbacks=[exporter])
    assert read(exporter).value("perdure_run_steps") == 4
