import json
import math

from trainer.result import finished, to_json


def test_a_result_is_json_whatever_the_values_are() -> None:
    content = finished(
        experiment_digest="of the experiment",
        stopped_by="epochs",
        epochs=2,
        epochs_asked=2,
        best=[{"monitor": "val_loss", "epoch": 1, "value": math.inf, "path": "x"}],
        weights_digest="digest",
        history={"loss": [math.nan, 0.5, -math.inf]},
        examples_per_second=1.0,
        seconds=2.0,
        stop_reason="val_loss was inf, > 3",
        gpu_seconds_used=20.0,
        gpu_seconds_saved=None,
    )

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    read = json.loads(to_json(content), parse_constant=refuse)
    assert (read["stop_reason"], read["gpu_seconds_used"]) == ("val_loss was inf, > 3", 20.0)
    assert read["gpu_seconds_saved"] is None
    assert read["history"] == {"loss": ["NaN", 0.5, "-Infinity"]}
    assert [float(value) for value in read["history"]["loss"]][1:] == [0.5, -math.inf]
    assert float(read["best"][0]["value"]) == math.inf
