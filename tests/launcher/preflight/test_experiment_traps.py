"""One test for each trap that an experiment file can hold, and each finding's place in the file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from launcher.preflight import Code, Severity, check_experiment
from launcher.preflight.measured import Measured
from tests.launcher.preflight.subjects import DATA, EXPERIMENT, MODEL, changed, line_of, subject

DIGITS = Path(__file__).parents[3] / "experiments" / "digits"


@dataclass(frozen=True)
class Trap:
    """`old` of the experiment becomes `new`, and `code` is found in the line that holds `at`."""

    code: Code
    old: str
    new: str
    at: str
    told: str
    more: dict[str, Any] = field(default_factory=dict)


END = "    image: registry.example/trainer:1\n"
VOLUME = "    volumes:\n      - {name: disk, mount_path: /disk, %s}\n  storage:\n    url: file:///disk/runs\n"
SPOT = f"{END}    node_selector: {{cloud.google.com/gke-spot: 'true'}}\n"
SPOT_BY_AFFINITY = f"""{END}    affinity: {{nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: {{
      nodeSelectorTerms: [{{matchExpressions: [
        {{key: eks.amazonaws.com/capacityType, operator: In, values: [SPOT]}}]}}]}}}}}}
  restart:
    notice: 10m
"""
TELLS = f"{END}  notifications:\n    - {{to: slack, when: "
WAITS = "      patience: 8\n"
STOPPING = f"{WAITS}    stopping:\n      any:\n        - val_loss > 9\n        - "
GROWTH = "    batch_size_changes: {on_plateau: {max_size: 240, patience: %s}}\n"
LARGE = Measured("earlier", 20 * 1024**3)

TRAPS = {
    "a monitor that the model has no metric for": Trap(
        Code.MONITOR_MISSING, "monitor: val_accuracy", "monitor: val_acc", "monitor: val_acc",
        "no metric gives val_acc: model.py:build compiles the model with loss, accuracy",
    ),
    "a monitor that is misspelt": Trap(
        Code.MONITOR_MISSING, "monitor: val_accuracy", "monitor: val_acuracy", "monitor: val_acuracy",
        "no metric gives val_acuracy",
    ),
    "no validation data": Trap(
        Code.MONITOR_WITHOUT_VALIDATION, "keep: 3", "keep: 3", "monitor: val_accuracy",
        "data.py:load returns None in place of validation data",
        {"data": DATA.replace("rows, rows", "rows, None")},
    ),
    "validation that never comes": Trap(
        Code.MONITOR_WITHOUT_VALIDATION, "epochs: 80", "epochs: 80\n    validation_freq: 100",
        "monitor: val_accuracy", "validation comes every 100 epochs, and there are 80",
    ),
    "a training metric": Trap(
        Code.MONITOR_OF_TRAINING, "monitor: val_accuracy", "monitor: accuracy", "monitor: accuracy",
        "accuracy is measured on the training data",
    ),
    "the best model by the largest loss": Trap(
        Code.DIRECTION_CONTRADICTS, "early_stopping:\n", "early_stopping:\n      mode: max\n", "mode: max",
        "mode is max, and val_loss is the better the smaller it is",
    ),
    "the best model by the smallest accuracy": Trap(
        Code.DIRECTION_CONTRADICTS, "keep: 3", "mode: min", "mode: min",
        "mode is min, and val_accuracy is the better the larger it is",
    ),
    "patience 0": Trap(
        Code.PATIENCE_ZERO, "patience: 3", "patience: 0", "patience: 0", "acts on the first epoch",
    ),
    "a patience as long as the run": Trap(
        Code.PATIENCE_TOO_LONG, "patience: 8", "patience: 79", "patience: 79",
        "a patience of 79 cannot end before the last of 80 epochs",
    ),
    "a patience that begins late": Trap(
        Code.PATIENCE_TOO_LONG, "patience: 8", "patience: 8\n      start_from_epoch: 71", "patience: 8",
        "a patience of 8, counted from epoch 71, cannot end",
    ),
    "a reducer that acts once": Trap(
        Code.REDUCES_TOO_LATE, "patience: 3", "patience: 4", "patience: 4",
        "after 4 and 8 epochs, and early stopping ends the run after 8: it acts once before",
    ),
    "a reducer that never acts": Trap(
        Code.REDUCES_TOO_LATE, "patience: 3", "patience: 9", "patience: 9", "it acts never before",
    ),
    "a reducer with a cooldown": Trap(
        Code.REDUCES_TOO_LATE, "patience: 3", "cooldown: 3", "reduce_lr_on_plateau:", "after 4 and 10 epochs",
    ),
    "a reducer that a condition is faster than": Trap(
        Code.REDUCES_TOO_LATE, WAITS, f"{STOPPING}val_loss plateaus 6\n",
        "patience: 3", "after 3 and 6 epochs, and stopping ends the run after 6: it acts once before",
    ),
    "a condition on what no metric gives": Trap(
        Code.MONITOR_MISSING, WAITS, f"{STOPPING}val_f1 > 0.9\n", "val_f1",
        "no metric gives val_f1",
    ),
    "a message about what no metric gives": Trap(
        Code.MONITOR_MISSING, END, f"{TELLS}val_f1 > 0.9}}\n", "val_f1",
        "no metric gives val_f1: model.py:build compiles",
    ),
    "one of several messages": Trap(
        Code.MONITOR_MISSING, END,
        f"{TELLS}[val_accuracy > 0.9,\n        loss < 1 and watchdog_alerts > 3]}}\n", "watchdog_alerts",
        "no metric gives watchdog_alerts",
    ),
    "a message about a validation that never comes": Trap(
        Code.MONITOR_WITHOUT_VALIDATION, END, f"{TELLS}val_accuracy > 0.9}}\n", "when: val_accuracy",
        "no epoch gives val_accuracy", {"data": DATA.replace("rows, rows", "rows, None")},
    ),
    "a condition on the training data": Trap(
        Code.MONITOR_OF_TRAINING, WAITS, f"{STOPPING}accuracy plateaus 9\n",
        "plateaus", "accuracy is measured on the training data",
    ),
    "a condition that takes the worst for the best": Trap(
        Code.DIRECTION_CONTRADICTS, WAITS, f"{STOPPING}val_loss plateaus 9 max\n",
        "plateaus", "mode is max, and val_loss is the better the smaller it is",
    ),
    "a condition as long as the run": Trap(
        Code.PATIENCE_TOO_LONG, WAITS, f"{STOPPING}val_loss plateaus 79\n",
        "plateaus", "'val_loss plateaus 79' cannot hold before the last of 80 epochs",
    ),
    "no restore of the best weights": Trap(
        Code.BEST_NOT_RESTORED, "patience: 8", "patience: 8\n      restore_best_weights: false",
        "restore_best_weights: false", "with the weights of the last epoch",
    ),
    "predictions of an epoch that never comes": Trap(
        Code.NEVER_ACTS, WAITS, f"{WAITS}    predictions: {{freq: 81}}\n", "freq: 81",
        "kept every 81 epochs, and the run has 80",
    ),
    "a warm-up as long as the run": Trap(
        Code.WARMUP_TOO_LONG, WAITS, f"{WAITS}    learning_rate: {{warmup_epochs: 80}}\n",
        "warmup_epochs: 80", "the warm-up lasts 80 epochs, and the run has 80",
    ),
    "a warm-up of as many steps as the run has": Trap(
        Code.WARMUP_TOO_LONG, WAITS, f"{WAITS}    learning_rate: {{warmup_steps: 800}}\n",
        "warmup_steps: 800", "the warm-up lasts 800 steps, and the run has 800",
        {"settings": ["training.steps_per_epoch=10"]},
    ),
    "a batch size of an epoch that never comes": Trap(
        Code.NEVER_ACTS, WAITS,
        f"{WAITS}    batch_size_changes:\n      schedule:\n        - {{epoch: 9, size: 120}}\n"
        "        - {epoch: 80, size: 240}\n",
        "epoch: 80", "a batch size of 240 holds from epoch 80 on, counted from 0, and the run has 80",
    ),
    "a batch that may not grow": Trap(
        Code.BATCH_CANNOT_GROW, WAITS, f"{WAITS}    batch_size_changes: {{on_plateau: {{max_size: 119}}}}\n",
        "max_size: 119", "a batch of 60 rows never grows: 2 times as many are more than 119",
    ),
    "a batch that grows at once": Trap(
        Code.PATIENCE_ZERO, WAITS, f"{WAITS}{GROWTH % 0}", "patience: 0", "acts on the first epoch",
    ),
    "a batch that grows when all is over": Trap(
        Code.PATIENCE_TOO_LONG, WAITS, f"{WAITS}{GROWTH % 79}", "patience: 79",
        "a patience of 79 cannot end before the last of 80 epochs",
    ),
    "a profile of a batch that never comes": Trap(
        Code.NEVER_ACTS, WAITS, f"{WAITS}    tensorboard: {{profile_batch: 801}}\n", "profile_batch: 801",
        "batch 801 is profiled, and the run has 800", {"settings": ["training.steps_per_epoch=10"]},
    ),
    "a profile of executions that never come": Trap(
        Code.NEVER_ACTS, WAITS, f"{WAITS}    tensorboard: {{profile_batch: [241, 250]}}\n",
        "profile_batch: [241", "batch 241 is profiled, and the run has 240 of 4 steps each",
        {"settings": ["training.steps_per_epoch=10", "training.steps_per_execution=4"]},
    ),
    "no checkpoint before the end": Trap(
        Code.CHECKPOINT_NEVER, END, f"{END}  checkpoint:\n    every: {{epochs: 100}}\n", "every:",
        "saved every 100 epochs, and the run has 80",
    ),
    "a batch that the GPUs do not divide": Trap(
        Code.BATCH_NOT_DIVISIBLE, END, f"{END}    resources: {{gpu: 4}}\n", "global_batch_size: 60",
        "60 rows are not divisible by 8: 2 workers of 4 GPUs each",
    ),
    "storage in the container": Trap(
        Code.STORAGE_IN_CONTAINER, END, f"{END}  storage:\n    url: ./runs\n", "url: ./runs",
        'a folder would be lost with its pod, received "./runs"',
    ),
    "storage on an emptyDir": Trap(
        Code.STORAGE_IN_CONTAINER, END, END + VOLUME % "emptyDir: {}",
        "url: file:///disk/runs", "would be lost",
    ),
    "storage that is mounted read-only": Trap(
        Code.STORAGE_READ_ONLY, END, END + VOLUME % "read_only: true, nfs: {server: s, path: /}",
        "url: file:///disk/runs", "lies on the volume disk, which is mounted read_only",
    ),
    "storage on a volume that ends with its pod": Trap(
        Code.STORAGE_IN_CONTAINER, END, END + VOLUME % "ephemeral: {}", "url: file:///disk/runs",
        "would be lost",
    ),
    "storage on a source that is read-only": Trap(
        Code.STORAGE_READ_ONLY, END, END + VOLUME % "nfs: {server: s, path: /, readOnly: true}",
        "url: file:///disk/runs", "which nobody can write",
    ),
    "storage on what is never written": Trap(
        Code.STORAGE_READ_ONLY, END, END + VOLUME % "configMap: {name: hosts}",
        "url: file:///disk/runs", "which nobody can write",
    ),
    "storage on a node's own disk": Trap(
        Code.STORAGE_ON_ONE_NODE, END, END + VOLUME % "hostPath: {path: /mnt}", "url: file:///disk/runs",
        "a folder of whatever node a pod is on",
    ),
    "weights elsewhere on this machine": Trap(
        Code.WEIGHTS_LEFT_BEHIND, "epochs: 80", "epochs: 80\n    initial_weights: ../start.weights.h5",
        "initial_weights:", "a file that does not travel", {"files": {"../start.weights.h5": ""}},
    ),
    "too much code": Trap(
        Code.CODE_TOO_LARGE, "  name: mine", "  name: mine", "apiVersion", "large.py (1000 KiB)",
        {"files": {"large.py": " " * 1000 * 1024}},
    ),
    "a patch that takes away what resume needs": Trap(
        Code.TEMPLATE_REFUSED, END, f"{END}    template:\n      spec:\n        hostname: x\n", "hostname: x",
        'spec.hostname: changed by the patch, received "x"',
    ),
    "a name that is cut": Trap(
        Code.NAME_TOO_LONG, "name: mine", "name: an-experiment-with-a-long-name", "name: an-experiment",
        "without the end of an-experiment-with-a-long-name",
        {"named": False, "name": "an-experiment-with-a-long-n-20270115-080000-0a1b"},
    ),
    "hardly any notice": Trap(
        Code.GRACE_TOO_SHORT, END, f"{END}  restart:\n    notice: 5s\n", "notice: 5s",
        "a notice of 5 s leaves 4 s to save",
    ),
    "a notice shorter than a save of what an earlier run saved": Trap(
        Code.GRACE_TOO_SHORT, END, f"{END}  restart:\n    notice: 2m\n", "notice: 2m",
        "is 20 GiB (in run earlier), which takes 215 s at 100 MB/s, and a notice of 120 s leaves 115 s",
        {"measured": LARGE},
    ),
    "spot machines that go sooner": Trap(
        Code.SPOT_NOTICE, END, SPOT, "spec:",
        "the notice is 120 s, and Spot VMs of Google Cloud give about 30 s",
    ),
    "spot machines by affinity": Trap(
        Code.SPOT_NOTICE, END, SPOT_BY_AFFINITY, "notice: 10m", "Spot Instances of AWS give about 120 s",
    ),
    "less memory than TensorFlow takes": Trap(
        Code.MEMORY_TOO_SMALL, END, f"{END}    resources:\n      memory: 512Mi\n", "memory: 512Mi",
        "they take at least 1 GiB",
    ),
    "less memory than the state of an earlier run takes": Trap(
        Code.MEMORY_TOO_SMALL, END, f"{END}    resources:\n      memory: 32Gi\n  restart: {{notice: 10m}}\n",
        "memory: 32Gi", "at least 41 GiB, 20 GiB of them a checkpoint's content (in run earlier)",
        {"measured": LARGE},
    ),
    "shared memory that takes all": Trap(
        Code.MEMORY_TOO_SMALL, END, f"{END}    shm_size: 8Gi\n    resources:\n      memory: 8Gi\n",
        "memory: 8Gi", "shared memory counts as the pod's, and may hold 8Gi of 8Gi",
    ),
    "an image that moves": Trap(
        Code.IMAGE_NOT_FIXED, "trainer:1", "trainer:latest", "trainer:latest", "is whatever was pushed last",
    ),
    "an image without a tag": Trap(
        Code.IMAGE_NOT_FIXED, "registry.example/trainer:1", "registry.example:5000/trainer",
        "registry.example:5000", "has no tag",
    ),
    "a queue of Kueue": Trap(
        Code.QUEUE_OF_SEVERAL_JOBS, END, f"{END}    labels:\n      kueue.x-k8s.io/queue-name: gpus\n",
        "kueue.x-k8s.io", "on the pods of a run of 2 Jobs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("trap", [pytest.param(trap, id=name) for name, trap in TRAPS.items()])
def test_a_trap_is_found_in_its_line(trap: Trap, tmp_path: Path) -> None:
    experiment = changed(trap.old, trap.new)
    folder = tmp_path / "mine"
    folder.mkdir()
    place = (str(folder / "experiment.yaml"), line_of(trap.at, experiment))
    more = dict(trap.more)
    every = check_experiment(subject(folder, experiment, *more.pop("settings", ()), **more))
    (found,) = [each for each in every if each.code is trap.code and (each.file, each.line) == place]
    assert trap.told in found.what
    text = str(found)
    assert text.startswith(f"{folder}/experiment.yaml:{found.line}: {found.severity}: ")
    assert all(part in text for part in (found.why, found.fix, f"docs/preflight.md#{trap.code}"))


def test_what_has_no_trap_has_no_finding(tmp_path: Path) -> None:
    assert check_experiment(subject(tmp_path)) == []
    # The default notice is the same on machines that give as long.
    assert check_experiment(subject(tmp_path, changed(END, SPOT), "restart.notice=30")) == []


def test_what_comes_just_in_time_is_no_trap(tmp_path: Path) -> None:
    keys = "learning_rate: {warmup_steps: 799}", "tensorboard: {profile_batch: [800, 900]}"
    experiment = changed(WAITS, WAITS + GROWTH % 78 + "".join(f"    {key}\n" for key in keys))
    assert check_experiment(subject(tmp_path, experiment, "training.steps_per_epoch=10")) == []
    # Only the data tell then how many steps there are.
    assert check_experiment(subject(tmp_path, experiment.replace("799", "1000000"))) == []


def test_every_code_of_an_experiment_has_its_trap() -> None:
    cluster = list(Code)[list(Code).index(Code.SPACE_TOO_SMALL) :]
    assert {trap.code for trap in TRAPS.values()} == set(Code) - set(cluster)


def test_what_the_command_line_sets_is_found_there(tmp_path: Path) -> None:
    (found,) = check_experiment(subject(tmp_path, EXPERIMENT, "callbacks.early_stopping.patience=0"))[:1]
    assert (found.file, found.line) == ("from --set", None)


def test_a_default_that_the_file_does_not_mention_is_no_trap(tmp_path: Path) -> None:
    head, _, rest = EXPERIMENT.partition("  callbacks:\n")
    bare = head + rest[rest.index("  pod:") :]
    assert check_experiment(subject(tmp_path, bare, "training.epochs=5")) == []
    without = DATA.replace("rows, rows", "rows, None")
    assert check_experiment(subject(tmp_path, bare, data=without)) == []


def test_the_defaults_are_no_trap_to_each_other(tmp_path: Path) -> None:
    head, _, rest = EXPERIMENT.partition("  callbacks:\n")
    switches = "  callbacks: {early_stopping: true, reduce_lr_on_plateau: true, best_models: true}\n"
    assert check_experiment(subject(tmp_path, head + switches + rest[rest.index("  pod:") :])) == []


def test_a_training_metric_is_right_where_there_is_no_validation(tmp_path: Path) -> None:
    experiment = EXPERIMENT.replace("val_", "")
    assert (
        check_experiment(subject(tmp_path, experiment, data=DATA.replace("rows, rows", "rows, None"))) == []
    )


def test_custom_callbacks_may_give_metrics_of_their_own(tmp_path: Path) -> None:
    experiment = changed("monitor: val_accuracy", "monitor: val_f1").replace(
        "    best_models", "    custom: [more.py:make]\n    best_models"
    )
    assert check_experiment(subject(tmp_path, experiment, files={"more.py": "def make(): ...\n"})) == []


def test_a_metric_of_custom_callbacks_may_be_of_whatever_data(tmp_path: Path) -> None:
    experiment = changed("    best_models", "    custom: [more.py:make]\n    best_models")
    files = {"more.py": "def make(): ...\n"}
    bleu = experiment.replace("val_accuracy", "bleu")
    assert check_experiment(subject(tmp_path, bleu, files=files)) == []
    loss = experiment.replace("val_accuracy", "loss")
    (found,) = check_experiment(subject(tmp_path, loss, files=files))
    assert found.code is Code.MONITOR_OF_TRAINING


def test_metrics_that_callbacks_add_can_be_waited_for(tmp_path: Path) -> None:
    conditions = "[watchdog_alerts > 3, gradient_norm > 9, learning_rate < 0.001, batch_size > 60]"
    experiment = changed(END, f"{TELLS}{conditions}}}\n").replace(
        WAITS,
        f"{STOPPING}gradient_norm_max > 1000\n    watchdog: true\n    gradient_monitor: true\n"
        "    batch_size_changes: {schedule: [{epoch: 9, size: 120}]}\n",
    )
    assert Code.MONITOR_MISSING not in [each.code for each in check_experiment(subject(tmp_path, experiment))]


def test_a_folder_of_the_one_node_of_all_pods_is_no_trap(tmp_path: Path) -> None:
    tied = f"{END}    node_selector: {{kubernetes.io/hostname: n1}}\n"
    experiment = changed(END, tied + VOLUME % "hostPath: {path: /mnt}")
    assert check_experiment(subject(tmp_path, experiment)) == []


@pytest.mark.filterwarnings("error")
def test_what_python_would_warn_of_in_code_is_not_told(tmp_path: Path) -> None:
    assert check_experiment(subject(tmp_path, model=f'"\\d"\n{MODEL}', data=f'"\\d"\n{DATA}')) == []


def test_a_training_metric_is_right_where_validation_never_comes(tmp_path: Path) -> None:
    experiment = EXPERIMENT.replace("val_", "")
    assert check_experiment(subject(tmp_path, experiment, "training.validation_freq=100")) == []


def test_a_name_that_turns_a_metric_round_tells_no_direction(tmp_path: Path) -> None:
    experiment = changed("monitor: val_accuracy", "monitor: val_neg_mse\n        mode: max")
    model = MODEL.replace('["accuracy"]', "[neg_mse]")
    assert check_experiment(subject(tmp_path, experiment, model=model)) == []


@pytest.mark.parametrize(
    "model",
    [
        MODEL.replace("import keras", "import keras\nfrom . import helpers"),
        MODEL.replace("import keras", "import keras\nimport other_package"),
        MODEL + "\nclass Mine(keras.Model): ...\n",
        MODEL.replace("keras.Sequential", "make"),
        MODEL.replace('metrics=["accuracy"]', "metrics=METRICS"),
        MODEL.replace('metrics=["accuracy"]', "metrics=[f1]"),
        MODEL.replace('metrics=["accuracy"]', "**parameters"),
        MODEL.replace('metrics=["accuracy"]', 'metrics={"a": ["accuracy"]}'),
        MODEL.replace("    return", "    model.train_step = None\n    return"),
        MODEL.replace("    return", "    model.compile()\n    return"),
        MODEL.replace("def build", "@cached\ndef build"),
        MODEL.replace("model.compile", "make().compile"),
        MODEL.replace("return model", "return wrapped(model)"),
        MODEL.replace("    model.compile", "    model, _ = wrapped(model)\n    model.compile"),
        MODEL.replace("    model.compile", "    for model in many():\n        pass\n    model.compile"),
    ],
)
def test_metrics_that_cannot_be_told_for_certain_are_no_trap(model: str, tmp_path: Path) -> None:
    experiment = changed("monitor: val_accuracy", "monitor: val_f1")
    codes = [each.code for each in check_experiment(subject(tmp_path, experiment, model=model))]
    assert Code.MONITOR_MISSING not in codes


@pytest.mark.parametrize(
    ("metrics", "given", "missing"),
    [
        ('["acc"]', "val_acc", "val_accuracy"),
        ("[keras.metrics.AUC()]", "val_auc_1", "val_area"),
        ('[keras.metrics.AUC(name="area")]', "val_area", "val_auc"),
        ('["accuracy"]', "val_digit_accuracy", "val_accuracy_digit"),
        ("[]", "digit_loss", "accuracy"),
        ("None", "val_loss", "val_mse"),
    ],
)
def test_names_of_metrics_are_keras_own(metrics: str, given: str, missing: str, tmp_path: Path) -> None:
    model = MODEL.replace('["accuracy"]', metrics)

    def codes(monitor: str) -> list[Code]:
        experiment = changed("monitor: val_accuracy", f"monitor: {monitor}")
        return [each.code for each in check_experiment(subject(tmp_path, experiment, model=model))]

    assert Code.MONITOR_MISSING not in codes(given)
    assert Code.MONITOR_MISSING in codes(missing)


def test_severities_are_told_in_words() -> None:
    assert [str(each) for each in Severity] == ["error", "warning", "note"]


@pytest.mark.parametrize(
    ("condition", "is_too_late"),
    [
        ("val_loss plateaus 7", False),
        ("val_loss plateaus 6", True),
        ("val_accuracy plateaus 2", False),
        ("val_loss plateaus 3 or val_accuracy plateaus 9", True),
        # The longest of what has to hold together is waited for.
        ("val_loss plateaus 3 and val_loss plateaus 9 within 0.1", False),
        ("val_loss plateaus 3 and val_accuracy plateaus 9", True),
    ],
)
def test_a_condition_may_be_faster_than_the_reducer(
    tmp_path: Path, condition: str, is_too_late: bool
) -> None:
    text = changed("      patience: 8\n", f"      patience: 8\n    stopping:\n      when: {condition}\n")
    codes = [finding.code for finding in check_experiment(subject(tmp_path, text))]
    assert (Code.REDUCES_TOO_LATE in codes) is is_too_late
