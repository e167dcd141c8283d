"""Thousands of damaged copies of an experiment: no traceback, no value of a wrong type accepted.

What is accepted is held against two judges that share no code with the models: a table of types by key path,
written by hand, and a small evaluator of the published JSON Schema. Both see the file through a loader that
is not the one under test. Preflight then looks at it, with a cluster where every check has its subject.
"""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from ruamel.yaml import YAML

from launcher.cluster_plan import load_cluster_experiment, plan_cluster_run
from launcher.experiment import ExperimentErrors, load_experiment
from launcher.experiment_source import read_source
from launcher.preflight import Subject, check_cluster, check_experiment
from launcher.preflight.measured import Measured
from tests.launcher.cluster.fake_cluster import FakeCluster
from trainer.contract.training import ExperimentDocument, experiment_json_schema

DIGITS = Path(__file__).parents[2] / "experiments" / "digits"
EVERYTHING = Path(__file__).parents[1] / "fixtures" / "experiments" / "everything"
MUTATIONS_PER_SHARD = 500
SHARDS = [pytest.param(DIGITS, n, id=f"digits-{n}") for n in range(10)]
SHARDS += [pytest.param(EVERYTHING, n, id=f"everything-{n}") for n in range(5)]

# A mapping is a list of (key, value) pairs, so that it can hold a key twice; a scalar is its YAML text.
Tree: TypeAlias = str | list["Tree"] | list[tuple[str, "Tree"]]

TOKENS = [
    *(
        "5",
        "0",
        "-1",
        "5.0",
        "1e-3",
        "007",
        "0x10",
        "1_000",
        "99999999999999999999",
        "1e999",
        ".nan",
        "-.inf",
    ),
    *("true", "False", "yes", "null", "~", "", '""', '"5"', "text", "val_loss", "auto", "2024-01-01", "1:30"),
    *("{}", "[]", "[1, [2]]", "{a: {b: c}}", "!!str 5", "!!binary aGk=", "!!python/name:os.system ''"),
    *('"\\0"', '"\\ud800"', "é", "日本", '"\\u202e"', "'it''s'", "|\n  block\n", "gs://bucket/x", "a.b:c"),
    *("*x", "&x 1", "model.py:no"),
]
CHARACTERS = "\t\n\r \0\x07\x85\u2028\ufeff\U0001f600é{}[]:,&*!|>'\"%@`#?-<=~\\"


def to_tree(value: Any) -> Tree:
    if isinstance(value, dict):
        return [(key, to_tree(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [to_tree(item) for item in value]
    if isinstance(value, bool):
        return {True: "true", False: "false"}[value]
    # Text that would be read as something else, such as "1", stays text.
    return json.dumps(value) if isinstance(value, str) and not value[:1].isalpha() else str(value)


def emit(tree: Tree, indent: int = 0) -> str:
    if isinstance(tree, str):
        return f" {tree}\n"
    if not tree:
        return " []\n"
    pad = " " * indent
    lines = [
        f"{pad}{item[0]}:{emit(item[1], indent + 2)}"
        if isinstance(item, tuple)
        else f"{pad}-{emit(item, indent + 2)}"
        for item in tree
    ]
    return "\n" + "".join(lines)


def containers(tree: Tree) -> list[list[Any]]:
    if isinstance(tree, str):
        return []
    children = [item[1] if isinstance(item, tuple) else item for item in tree]
    return [tree, *(inner for child in children for inner in containers(child))] if tree else []


def mutate_tree(tree: Tree, rng: random.Random) -> None:
    every = containers(tree)
    container = rng.choice(every)
    index = rng.randrange(len(container))
    item = container[index]
    key, value = item if isinstance(item, tuple) else (None, item)

    def put(new: Tree) -> None:
        container[index] = new if key is None else (key, new)

    match rng.randrange(8):
        case 0:
            del container[index]
        case 1:
            container.insert(rng.randrange(len(container) + 1), item)
        case 2 if key is not None:
            position = rng.randrange(len(key) + 1)
            renamed = key[:position] + rng.choice("abx_é5") + key[position + rng.randrange(2) :]
            container[index] = (rng.choice([renamed, key.upper(), "5", "<<", "[a]", "null"]), value)
        case 3:
            other = rng.choice(every)
            taken = rng.choice(other)
            put(copied(taken[1] if isinstance(taken, tuple) else taken))
        case 4:
            put([copied(value)])
        case 5:
            put([("inner", copied(value))])
        case _:
            put(rng.choice(TOKENS))


def copied(tree: Tree) -> Tree:
    """A copy, so that no mapping is moved into itself."""
    if isinstance(tree, str):
        return tree
    return [(i[0], copied(i[1])) if isinstance(i, tuple) else copied(i) for i in tree]  # type: ignore[return-value]  # one kind


def mutate_text(text: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(text))
    match rng.randrange(5):
        case 0:
            return text[:at]
        case 1:
            return text[:at] + bytes([text[at] ^ (1 << rng.randrange(8))]) + text[at + 1 :]
        case 2:
            return text[:at] + rng.choice(CHARACTERS).encode() + text[at:]
        case 3:
            start = text.rfind(b"\n", 0, at) + 1
            return text[:start] + rng.choice([b" ", b"  ", b"\t", b"- "]) + text[start:]
        case _:
            end = at + rng.randrange(1, 12)
            return text[:at] + text[end:]


def mutation(rng: random.Random, whole: str, tree: Tree) -> bytes:
    text = whole.encode()
    if rng.random() < 0.6:
        tree = copied(tree)
        for _ in range(rng.randrange(1, 4)):
            if containers(tree):
                mutate_tree(tree, rng)
        text = emit(tree).encode()
    if rng.random() < 0.5 and text:
        text = mutate_text(text, rng)
    return text


def integer(value: object) -> bool:
    return type(value) is int


def number(value: object) -> bool:
    return type(value) in (int, float)


def flag(value: object) -> bool:
    return type(value) is bool


def words(value: object) -> bool:
    return type(value) is str


def mapping(value: object) -> bool:
    return isinstance(value, dict)


def sequence(value: object) -> bool:
    return isinstance(value, list)


def nothing(value: object) -> bool:
    return value is None


CALLBACKS = "spec.callbacks"
NAMES_IN_POD = ("image", "priority_class", "scheduler_name", "runtime_class", "service_account")
FREE = {
    "spec.training.parameters",
    "spec.pod.tolerations.*",
    "spec.pod.affinity",
    "spec.pod.topology_spread.*",
    "spec.pod.template",
    "spec.pod.volumes.*.*",
}
"""Mappings of whatever keys."""
NAMED = ("spec.pod.env", "spec.pod.labels", "spec.pod.annotations", "spec.pod.node_selector")
"""Mappings whose keys are names that a user gives."""
TYPES: dict[str, tuple[Callable[[object], bool], ...]] = {
    "": (mapping,),
    "apiVersion": (words,),
    "kind": (words,),
    "metadata": (mapping,),
    "metadata.name": (words,),
    "spec": (mapping,),
    "spec.workers": (integer,),
    "spec.training": (mapping,),
    "spec.training.model": (words,),
    "spec.training.data": (words,),
    "spec.training.parameters": (mapping,),
    "spec.training.epochs": (integer,),
    "spec.training.global_batch_size": (integer,),
    "spec.training.seed": (integer,),
    "spec.training.deterministic": (flag,),
    "spec.training.threads": (integer, words),
    "spec.training.initial_weights": (words, nothing),
    "spec.training.steps_per_epoch": (integer, nothing),
    "spec.training.steps_per_execution": (integer,),
    "spec.training.validation_steps": (integer, nothing),
    "spec.training.validation_freq": (integer,),
    "spec.training.shuffle": (flag,),
    "spec.storage": (mapping,),
    "spec.storage.create": (mapping, nothing),
    **{f"spec.storage.{key}": (words, nothing) for key in ("url", "claim", "path", "secret")},
    "spec.storage.create.storage_class": (words, nothing),
    **{f"spec.storage.create.{key}": (words,) for key in ("name", "size", "access_mode")},
    "spec.restart": (mapping,),
    "spec.restart.max_failures": (integer,),
    **{f"spec.restart.{key}": (integer, words) for key in ("group_wait", "node_lost_after", "notice")},
    "spec.disruption": (words,),
    "spec.deadline": (integer, words, nothing),
    "spec.ttl": (integer, words, nothing),
    "spec.metrics": (mapping,),
    "spec.metrics.enabled": (flag,),
    "spec.metrics.linger": (integer, words),
    "spec.metrics.from": (sequence, nothing),
    "spec.metrics.from.*": (words,),
    "spec.notifications": (sequence, nothing),
    "spec.notifications.*": (mapping,),
    "spec.notifications.*.to": (words,),
    "spec.notifications.*.key": (words,),
    **{f"spec.notifications.*.{key}": (words, nothing) for key in ("secret", "variable")},
    "spec.notifications.*.on": (sequence, nothing),
    "spec.notifications.*.on.*": (words,),
    "spec.notifications.*.when": (sequence, words, nothing),
    "spec.notifications.*.when.*": (words,),
    "spec.notifications.*.stall_after": (integer, words),
    "spec.pod": (mapping,),
    "spec.pod.resources": (mapping,),
    "spec.pod.resources.cpu": (number, words),
    "spec.pod.resources.memory": (words, nothing),
    "spec.pod.resources.gpu": (integer,),
    "spec.pod.resources.gpu_resource": (words,),
    "spec.pod.image_pull_policy": (words,),
    "spec.pod.image_pull_secrets": (sequence, nothing),
    "spec.pod.image_pull_secrets.*": (words,),
    "spec.pod.shm_size": (words,),
    **{f"spec.pod.{key}": (words, nothing) for key in NAMES_IN_POD},
    **{f"spec.pod.{key}": (mapping,) for key in ("node_selector", "labels", "annotations", "env")},
    **{f"spec.pod.{key}.*": (words,) for key in ("node_selector", "labels", "annotations")},
    **{f"spec.pod.{key}": (sequence, nothing) for key in ("tolerations", "topology_spread")},
    **{key: (mapping,) for key in FREE if key.startswith("spec.pod") and key != "spec.pod.volumes.*.*"},
    "spec.pod.env.*": (words, mapping),
    "spec.pod.env_from": (sequence, nothing),
    "spec.pod.env_from.*": (mapping,),
    **{f"spec.pod.env.*.{key}": (words, nothing) for key in ("value", "secret", "key", "workers")},
    **{f"spec.pod.env_from.*.{key}": (words, nothing) for key in ("secret", "config_map", "workers")},
    "spec.pod.volumes": (sequence, nothing),
    "spec.pod.volumes.*": (mapping,),
    "spec.pod.volumes.*.name": (words,),
    "spec.pod.volumes.*.mount_path": (words,),
    "spec.pod.volumes.*.read_only": (flag,),
    "spec.pod.volumes.*.*": (mapping,),
    "spec.checkpoint": (mapping,),
    "spec.checkpoint.every": (mapping, words),
    "spec.checkpoint.every.steps": (integer, nothing),
    "spec.checkpoint.every.minutes": (number, nothing),
    "spec.checkpoint.every.epochs": (integer, nothing),
    "spec.checkpoint.keep": (integer,),
    CALLBACKS: (mapping,),
    f"{CALLBACKS}.csv_log": (flag, mapping, nothing),
    f"{CALLBACKS}.custom": (sequence, flag, nothing),
    f"{CALLBACKS}.custom.*": (words,),
    f"{CALLBACKS}.stream": (sequence, flag, nothing),
    f"{CALLBACKS}.stream.*": (mapping,),
    f"{CALLBACKS}.stream.*.to": (words,),
    f"{CALLBACKS}.stream.*.variable": (words, nothing),
    **{f"{CALLBACKS}.stream.*.{key}": (integer,) for key in ("every", "buffer")},
    f"{CALLBACKS}.predictions": (mapping, flag, nothing),
    f"{CALLBACKS}.predictions.freq": (integer,),
    f"{CALLBACKS}.predictions.keep": (integer, nothing),
    f"{CALLBACKS}.best_models": (sequence, mapping, flag, nothing),
    f"{CALLBACKS}.best_models.*": (mapping,),
    f"{CALLBACKS}.best_models.*.keep": (integer,),
    f"{CALLBACKS}.best_models.*.weights_only": (flag,),
    f"{CALLBACKS}.best_models.*.ema": (flag, words),
    f"{CALLBACKS}.tensorboard": (mapping, flag, nothing),
    f"{CALLBACKS}.batch_size_changes": (mapping, flag, nothing),
    f"{CALLBACKS}.batch_size_changes.schedule": (sequence,),
    f"{CALLBACKS}.batch_size_changes.schedule.*": (mapping,),
    f"{CALLBACKS}.batch_size_changes.schedule.*.epoch": (integer,),
    f"{CALLBACKS}.batch_size_changes.schedule.*.size": (integer,),
    f"{CALLBACKS}.batch_size_changes.on_plateau": (mapping, nothing),
    **{
        f"{CALLBACKS}.batch_size_changes.on_plateau.{key}": (integer,)
        for key in ("max_size", "factor", "patience", "cooldown")
    },
    f"{CALLBACKS}.batch_size_changes.on_plateau.min_delta": (number,),
    f"{CALLBACKS}.batch_size_changes.scale_learning_rate": (words,),
    f"{CALLBACKS}.batch_inspection": (mapping, flag, nothing),
    f"{CALLBACKS}.batch_inspection.every": (integer,),
    f"{CALLBACKS}.batch_inspection.modes": (sequence,),
    f"{CALLBACKS}.batch_inspection.modes.*": (words,),
    f"{CALLBACKS}.batch_inspection.call": (words, nothing),
    f"{CALLBACKS}.tensorboard.histogram_freq": (integer,),
    f"{CALLBACKS}.tensorboard.write_graph": (flag,),
    f"{CALLBACKS}.tensorboard.write_images": (flag,),
    f"{CALLBACKS}.tensorboard.write_experiment": (flag,),
    f"{CALLBACKS}.tensorboard.update_freq": (integer, words),
    f"{CALLBACKS}.tensorboard.samples_freq": (integer,),
    f"{CALLBACKS}.tensorboard.samples": (integer,),
    f"{CALLBACKS}.tensorboard.embeddings_freq": (integer,),
    f"{CALLBACKS}.tensorboard.embeddings_layer_names": (sequence, flag, nothing),
    f"{CALLBACKS}.tensorboard.embeddings_layer_names.*": (words,),
    f"{CALLBACKS}.tensorboard.embeddings_rows": (integer,),
    f"{CALLBACKS}.tensorboard.profile_batch": (integer, sequence),
    f"{CALLBACKS}.tensorboard.profile_batch.*": (integer,),
    f"{CALLBACKS}.early_stopping": (mapping, flag, nothing),
    f"{CALLBACKS}.early_stopping.min_delta": (number,),
    f"{CALLBACKS}.early_stopping.patience": (integer,),
    f"{CALLBACKS}.early_stopping.baseline": (number, nothing),
    f"{CALLBACKS}.early_stopping.restore_best_weights": (flag,),
    f"{CALLBACKS}.early_stopping.start_from_epoch": (integer,),
    f"{CALLBACKS}.stopping": (mapping, flag, nothing),
    f"{CALLBACKS}.stopping.when": (words, nothing),
    **{f"{CALLBACKS}.stopping.{key}": (sequence, nothing) for key in ("any", "all")},
    **{f"{CALLBACKS}.stopping.{key}.*": (words,) for key in ("any", "all")},
    f"{CALLBACKS}.stopping.start_from_epoch": (integer,),
    f"{CALLBACKS}.stopping.restore_best_weights": (flag,),
    f"{CALLBACKS}.stopping.max_time": (integer, words, nothing),
    f"{CALLBACKS}.stopping.max_gpu_hours": (number, nothing),
    f"{CALLBACKS}.learning_rate": (mapping, flag, nothing),
    **{f"{CALLBACKS}.learning_rate.{key}": (integer,) for key in ("warmup_epochs", "warmup_steps")},
    **{f"{CALLBACKS}.learning_rate.{key}": (integer, nothing) for key in ("decay_epochs", "decay_steps")},
    **{f"{CALLBACKS}.learning_rate.{key}": (number,) for key in ("warmup_from", "alpha")},
    f"{CALLBACKS}.learning_rate.schedule": (words,),
    f"{CALLBACKS}.reduce_lr_on_plateau": (mapping, flag, nothing),
    f"{CALLBACKS}.reduce_lr_on_plateau.factor": (number,),
    f"{CALLBACKS}.reduce_lr_on_plateau.patience": (integer,),
    f"{CALLBACKS}.reduce_lr_on_plateau.min_delta": (number,),
    f"{CALLBACKS}.reduce_lr_on_plateau.cooldown": (integer,),
    f"{CALLBACKS}.reduce_lr_on_plateau.min_lr": (number,),
    f"{CALLBACKS}.watchdog": (mapping, flag, nothing),
    f"{CALLBACKS}.watchdog.non_finite": (words, nothing),
    **{f"{CALLBACKS}.watchdog.{key}": (words,) for key in ("explosion", "spike")},
    **{
        f"{CALLBACKS}.watchdog.{key}": (number, nothing)
        for key in ("max_loss", "max_loss_ratio", "spike_ratio")
    },
    **{f"{CALLBACKS}.watchdog.{key}": (integer,) for key in ("window", "max_skips", "max_roll_backs")},
    f"{CALLBACKS}.watchdog.rate_factor": (number,),
    f"{CALLBACKS}.gradient_monitor": (mapping, flag, nothing),
    f"{CALLBACKS}.gradient_monitor.every": (integer,),
    f"{CALLBACKS}.gradient_monitor.per_layer": (flag,),
    **{f"{CALLBACKS}.gradient_monitor.{key}": (number, nothing) for key in ("max_norm", "max_dead_units")},
    **{
        f"{CALLBACKS}.{callback}.{key}": (words,)
        for callback in (
            "early_stopping",
            "stopping",
            "reduce_lr_on_plateau",
            "best_models.*",
            "batch_size_changes.on_plateau",
        )
        for key in ("monitor", "mode")
    },
}


def wrong_types(value: Any, path: tuple[str, ...] = ()) -> list[str]:
    """Paths of values whose type, or whose place, the table does not allow."""
    key = ".".join(path)
    if not any(allowed(value) for allowed in TYPES.get(key, ())):
        return [f"{key}: {value!r}"]
    if key in FREE:
        return []
    if key in NAMED:
        return [wrong for item in value.values() for wrong in wrong_types(item, (*path, "*"))]
    if key == "spec.pod.volumes.*":
        own = {f"{key}.{name}" for name in value} & set(TYPES)
        sources = {f"{key}.{name}" for name in value} - own
        value = {name if f"{key}.{name}" in own else "*": item for name, item in value.items()}
        return [f"{key}: {sorted(sources)}"] * (len(sources) != 1) + [
            wrong for name, item in value.items() for wrong in wrong_types(item, (*path, name))
        ]
    if isinstance(value, dict):
        return [wrong for name, item in value.items() for wrong in wrong_types(item, (*path, str(name)))]
    if isinstance(value, list):
        return [wrong for item in value for wrong in wrong_types(item, (*path, "*"))]
    return []


SCHEMA = experiment_json_schema()
ANNOTATIONS = {"$schema", "$defs", "title", "description", "default", "patternErrorMessage"}
JSON_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": mapping,
    "array": sequence,
    "string": words,
    "boolean": flag,
    "null": nothing,
    "number": number,
    "integer": lambda value: number(value) and value == value // 1,
}
CHECKS: dict[str, Callable[[Any, Any, dict[str, Any]], bool]] = {
    "$ref": lambda value, ref, _: accepts(SCHEMA["$defs"][ref.removeprefix("#/$defs/")], value),
    "anyOf": lambda value, schemas, _: any(accepts(schema, value) for schema in schemas),
    "type": lambda value, name, _: JSON_TYPES[name](value),
    "const": lambda value, const, _: type(value) is type(const) and value == const,
    "enum": lambda value, options, _: value in options,
    # In JSON Schema `$` is the end of the text alone, not a line break before it.
    "pattern": lambda value, pattern, _: (
        not words(value) or re.search(pattern.replace("$", r"\Z"), value) is not None
    ),
    "maxLength": lambda value, most, _: not words(value) or len(value) <= most,
    "minimum": lambda value, least, _: not number(value) or value >= least,
    "maximum": lambda value, most, _: not number(value) or value <= most,
    "exclusiveMinimum": lambda value, least, _: not number(value) or value > least,
    "exclusiveMaximum": lambda value, most, _: not number(value) or value < most,
    "maxProperties": lambda value, most, _: not mapping(value) or len(value) <= most,
    "required": lambda value, names, _: not mapping(value) or all(name in value for name in names),
    "items": lambda value, schema, _: not sequence(value) or all(accepts(schema, item) for item in value),
    "properties": lambda value, schemas, _: (
        not mapping(value) or all(accepts(schemas[name], value[name]) for name in schemas if name in value)
    ),
    "additionalProperties": lambda value, allowed, schema: (
        allowed is True
        or not mapping(value)
        or all(
            name in schema.get("properties", {}) or (allowed is not False and accepts(allowed, item))
            for name, item in value.items()
        )
    ),
}


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """Whether a JSON Schema accepts a value; a keyword that this evaluator does not know is an error."""
    return all(CHECKS[name](value, rule, schema) for name, rule in schema.items() if name not in ANNOTATIONS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("model.py", "data.py"):
        (tmp_path / name).write_bytes((DIGITS / name).read_bytes())
    (tmp_path / "start.weights.h5").write_bytes(b"")
    return tmp_path


ACCEPTED_AT_LEAST = 20
BY_THE_MODELS = re.compile(r": (wrong type|not allowed|unknown key|missing)(, |$)")
WHOLE_FLOAT = re.compile(r"received -?[0-9]+\.0,")


@pytest.mark.parametrize(("damaged", "shard"), SHARDS)
def test_a_damaged_file_is_refused_in_words_or_accepted_rightly(
    folder: Path, damaged: Path, shard: int
) -> None:
    rng = random.Random(shard)
    whole = (damaged / "experiment.yaml").read_text()
    tree = to_tree(YAML(typ="safe", pure=True).load(whole))
    file = folder / "experiment.yaml"
    accepted = refused_by_both = 0
    for _ in range(MUTATIONS_PER_SHARD):
        content = mutation(rng, whole, tree)
        file.write_bytes(content)
        try:
            experiment = load_experiment(file)
        except ExperimentErrors as error:
            check_errors(error, content)
            texts = [str(wrong) for wrong in error.errors]
            if all(BY_THE_MODELS.search(text) and not WHOLE_FLOAT.search(text) for text in texts):
                assert not accepts(SCHEMA, read_otherwise(content)), content
                refused_by_both += 1
        else:
            value = read_otherwise(content)
            assert wrong_types(value) == [], content
            assert accepts(SCHEMA, value), content
            assert ExperimentDocument.model_validate(experiment.document()).experiment() == experiment
            check_findings(folder, content)
            accepted += 1
    # Else the checks above would have had little to say.
    assert accepted >= ACCEPTED_AT_LEAST
    assert refused_by_both >= 50


def read_otherwise(content: bytes) -> Any:
    return YAML(typ="safe", pure=True).load(content.decode())


def check_errors(error: ExperimentErrors, content: bytes) -> None:
    assert error.errors
    lines = len(re.split("\r\n|[\n\r\x85\u2028\u2029]", content.decode(errors="replace")))
    for wrong in error.errors:
        text = str(wrong)
        assert text.isprintable(), content
        assert "Error" not in wrong.message, content
        assert wrong.line is None or 1 <= wrong.line <= lines, (content, text)


def check_findings(folder: Path, content: bytes) -> None:
    experiment = load_cluster_experiment(folder, [], "image:1", {})
    plan = plan_cluster_run(experiment, folder, name="a-run", namespace="team")
    found = Subject(plan, read_source(folder, []), measured=Measured("earlier", 1 << 30))
    lines = content.count(b"\n") + content.count(b"\r") + 2
    for each in [*check_experiment(found), *check_cluster(CLUSTER, found)]:
        assert each.file is None or each.line is None or 1 <= each.line <= lines, content
        assert each.what.isprintable(), content


def busy_cluster() -> FakeCluster:
    """Where every check has something to look at."""
    cluster = FakeCluster()
    enforced = {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    cluster.add("v1", "Namespace", "team", metadata=enforced)
    allocatable = {"cpu": "64", "memory": "1Ti", "pods": "110", "amd.com/gpu": "8"}
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    for name in ("n1", "n2"):
        labels = {"labels": {"pool": "gpu"}}
        cluster.add(
            "v1", "Node", name, metadata=labels, spec={"taints": [taint]}, status={"allocatable": allocatable}
        )
    hard = {"pods": "3", "requests.cpu": "8", "limits.memory": "64Gi", "limits.cpu": "8"}
    cluster.add("v1", "ResourceQuota", "ours", spec={"hard": hard})
    for name in ("datasets", "team-runs", "perdure-runs"):
        cluster.add("v1", "PersistentVolumeClaim", name, spec={"accessModes": ["ReadWriteOnce"]})
    return cluster


CLUSTER = busy_cluster()


def test_the_table_of_types_knows_every_key_of_the_schema() -> None:
    def keys(schema: dict[str, Any], path: str) -> set[str]:
        found = {path}
        for alternative in schema.get("anyOf", []):
            found |= keys(alternative, path)
        if "$ref" in schema:
            found |= keys(SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], path)
        for name, child in schema.get("properties", {}).items():
            found |= keys(child, f"{path}.{name}".removeprefix("."))
        if isinstance(schema.get("additionalProperties"), dict):
            found |= keys(schema["additionalProperties"], f"{path}.*")
        if "items" in schema:
            found |= keys(schema["items"], f"{path}.*")
        return found

    assert keys(SCHEMA, "") == set(TYPES)


@pytest.mark.parametrize("callbacks", ["true", "false", "null", "{}"])
def test_what_is_friendly_in_a_file_is_known_to_the_schema(folder: Path, callbacks: str) -> None:
    whole = (DIGITS / "experiment.yaml").read_text()
    names = ["early_stopping", "reduce_lr_on_plateau", "best_models", "csv_log", "tensorboard"]
    names += ["batch_inspection", "watchdog", "gradient_monitor"]
    block = "".join(f"    {name}: {callbacks}\n" for name in names)
    (folder / "experiment.yaml").write_text(whole[: whole.index("    early_stopping")] + block)
    load_experiment(folder)
    assert accepts(SCHEMA, read_otherwise((folder / "experiment.yaml").read_bytes()))
