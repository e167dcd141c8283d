"""The ConfigMap of a run: the resolved experiment and its code. It owns the run's other objects."""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from launcher import naming
from launcher.manifests.metadata import metadata
from launcher.manifests.plan import RunPlan

EXPERIMENT_KEY = "experiment.json"
"""The key of the resolved experiment."""

LARGEST_BYTES = 900 * 1024
"""Most bytes of experiment and code: an object of Kubernetes holds 1 MiB, and the rest needs room as well."""


def config_map(plan: RunPlan) -> dict[str, Any]:
    """Renders it, for `read_config_map`: immutable, a key for each file, what is no text in base64."""
    spec = plan.experiment.spec
    annotations = {naming.NODE_LOST_AFTER: str(spec.restart.node_lost_after)}
    if spec.ttl is not None:
        annotations[naming.TTL] = str(spec.ttl)
    keys = code_keys(plan.code)
    moved = {key: path for path, key in keys.items() if key != path}
    if moved:
        annotations[naming.CODE_PATHS] = json.dumps(moved)
    if plan.ignored:
        annotations[naming.IGNORED] = json.dumps(dict(sorted(plan.ignored.items())), ensure_ascii=False)
    texts = {EXPERIMENT_KEY: experiment_text(plan)}
    binaries: dict[str, str] = {}
    for path, key in keys.items():
        content = plan.code[path]
        try:
            texts[key] = content.decode()
        except UnicodeDecodeError:
            binaries[key] = base64.b64encode(content).decode()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(plan, naming.config_map_name(plan.name), annotations=annotations),
        "immutable": True,
        "data": texts,
        **({"binaryData": binaries} if binaries else {}),
    }


def read_config_map(found: Mapping[str, Any]) -> RunPlan:
    """Reads back what `config_map` rendered, from the object that a cluster has of it.

    Raises:
        ValueError: It holds no run, or one of a version that this one cannot read.
    """
    # `status` and `list` do without, and so without its import.
    from trainer.contract.training import ExperimentDocument  # noqa: PLC0415

    metadata = found["metadata"]
    annotations, texts = metadata.get("annotations") or {}, dict(found.get("data") or {})
    document = texts.pop(EXPERIMENT_KEY, None)
    if document is None:
        raise ValueError(f"configmap/{metadata['name']} holds no run: it has no {EXPERIMENT_KEY}")
    experiment = ExperimentDocument.model_validate_json(document).experiment()
    contents = {key: text.encode() for key, text in texts.items()}
    contents |= {key: base64.b64decode(text) for key, text in (found.get("binaryData") or {}).items()}
    moved = json.loads(annotations.get(naming.CODE_PATHS, "{}"))
    return RunPlan(
        experiment=experiment,
        name=metadata["name"],
        namespace=metadata["namespace"],
        code={moved.get(key, key): content for key, content in contents.items()},
        digest=annotations.get(naming.DIGEST, ""),
        ignored=json.loads(annotations.get(naming.IGNORED, "{}")),
    )


def experiment_text(plan: RunPlan) -> str:
    """The resolved experiment as the pods read it."""
    return json.dumps(plan.experiment.document(), indent=2, ensure_ascii=False) + "\n"


def code_keys(paths: Iterable[str]) -> dict[str, str]:
    """The key of each file: its path with what a key cannot have replaced, and a number where two are alike.

    Args:
        paths: Paths of the files, with '/'.
    """
    keys: dict[str, str] = {}
    taken = {EXPERIMENT_KEY}
    for path in sorted(paths):
        wanted = re.sub(r"[^-._a-zA-Z0-9]", "_", path)[-240:]
        key, number = wanted, 1
        while key in taken:
            number += 1
            key = f"{wanted}.{number}"
        taken.add(key)
        keys[path] = key
    return keys


def too_large(plan: RunPlan) -> str | None:
    """Says what is too large, with the largest files; None where all fits."""
    sizes: Mapping[str, int] = {
        **{path: len(content) for path, content in plan.code.items()},
        EXPERIMENT_KEY: len(experiment_text(plan).encode()),
    }
    total = sum(sizes.values())
    if total <= LARGEST_BYTES:
        return None
    largest = sorted(sizes, key=lambda path: (-sizes[path], path))[:3]
    shown = ", ".join(f"{path} ({_kib(sizes[path])})" for path in largest)
    return f"{_kib(total)} of experiment and code, the largest: {shown}"


def _kib(size: int) -> str:
    return f"{size / 1024:.0f} KiB"
