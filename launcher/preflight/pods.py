"""Checks of what a pod of the run gets: devices, time to save, memory, image, queue, names."""

import re
from collections.abc import Iterator

from launcher.preflight.code import Code
from launcher.preflight.finding import Finding, of_experiment
from launcher.preflight.quantity import quantity, shown_bytes
from launcher.preflight.spot import spot_machines
from launcher.preflight.subject import Subject
from trainer.contract.pod import seconds_to_save

_LEAST_SECONDS = 10
"""A save of even a small model: the step that is running, the agreement on one, and the store's answers."""
_BYTES_PER_SECOND = 100e6
"""What volumes and object stores take without anything special."""
_LEAST_MEMORY = 1 << 30
"""Of a training process with a small model and the standby beside it, each with TensorFlow imported."""
_COPIES = 2
"""Of a checkpoint's content in worker 0's memory during a save: the state, and the copy to be written."""
_QUEUE = "kueue.x-k8s.io/queue-name"


def batch_not_divisible(subject: Subject) -> Iterator[Finding]:
    """Finds a batch that the GPUs of all workers do not divide; validation looks at the workers alone."""
    workers, gpus = subject.spec.workers, subject.spec.pod.resources.gpu
    batch = subject.spec.training.global_batch_size
    if gpus and batch % (workers * gpus):
        what = f"{batch} rows are not divisible by {workers * gpus}: {workers} workers of {gpus} GPUs each"
        key = ("spec", "training", "global_batch_size")
        yield of_experiment(subject.source, Code.BATCH_NOT_DIVISIBLE, key, what)


def grace_too_short(subject: Subject) -> Iterator[Finding]:
    """Finds a notice that is shorter than a save takes, by an earlier run's checkpoint where there is one."""
    notice, found = subject.spec.restart.notice, subject.measured
    left = seconds_to_save(notice)
    key = ("spec", "restart", "notice")
    if left < _LEAST_SECONDS:
        what = f"a notice of {notice} s leaves {left:.3g} s to save, and a save may take {_LEAST_SECONDS} s"
        yield of_experiment(subject.source, Code.GRACE_TOO_SHORT, key, what)
    elif found is not None and found.checkpoint_bytes / _BYTES_PER_SECOND > left:
        seconds = found.checkpoint_bytes / _BYTES_PER_SECOND
        what = (
            f"a checkpoint is {shown_bytes(found.checkpoint_bytes)} (in run {found.run}), which takes "
            f"{seconds:.0f} s at 100 MB/s, and a notice of {notice} s leaves {left:.0f} s"
        )
        yield of_experiment(subject.source, Code.GRACE_TOO_SHORT, key, what)


def spot_notice(subject: Subject) -> Iterator[Finding]:
    """Finds a notice that is longer than what the spot machines that the file asks for give."""
    notice = subject.spec.restart.notice
    for machines in spot_machines(subject.spec.pod):
        if notice > machines.seconds:
            what = f"the notice is {notice} s, and {machines.name} give about {machines.seconds} s"
            yield of_experiment(subject.source, Code.SPOT_NOTICE, ("spec", "restart", "notice"), what)


def memory_too_small(subject: Subject) -> Iterator[Finding]:
    """Finds a limit of memory below what TensorFlow itself takes, or what an earlier run's state needs."""
    resources, found = subject.spec.pod.resources, subject.measured
    if resources.memory is None:
        return
    limit = quantity(resources.memory)
    state = found.checkpoint_bytes if found is not None else 0
    # Where the model lives on GPUs, the host has only the copy that is to be written.
    need = _LEAST_MEMORY + state * (1 if resources.gpu else _COPIES)
    key = ("spec", "pod", "resources", "memory")
    if limit < need:
        known = f", {shown_bytes(state)} of them a checkpoint's content (in run {found.run})" if found else ""
        what = (
            f"{resources.memory} for a training process, the standby beside it and a save's copy: "
            f"they take at least {shown_bytes(need)}{known}"
        )
        yield of_experiment(subject.source, Code.MEMORY_TOO_SMALL, key, what)
    elif quantity(subject.spec.pod.shm_size) >= limit:
        shared = subject.spec.pod.shm_size
        what = f"shared memory counts as the pod's, and may hold {shared} of {resources.memory}"
        yield of_experiment(subject.source, Code.MEMORY_TOO_SMALL, key, what)


def image_not_fixed(subject: Subject) -> Iterator[Finding]:
    """Finds an image whose name can mean another image tomorrow."""
    image = subject.plan.image
    tag = re.fullmatch(r".*:([^:/]+)", image)
    if "@" in image or (tag is not None and tag[1] != "latest"):
        return
    what = f"{image} is whatever was pushed last" if tag else f"{image} has no tag, which means latest"
    yield of_experiment(subject.source, Code.IMAGE_NOT_FIXED, ("spec", "pod", "image"), what)


def queue_of_several_jobs(subject: Subject) -> Iterator[Finding]:
    """Finds Kueue's label on the pods of a run of several Jobs."""
    if subject.spec.workers > 1 and _QUEUE in subject.spec.pod.labels:
        what = f"{_QUEUE} on the pods of a run of {subject.spec.workers} Jobs"
        yield of_experiment(
            subject.source, Code.QUEUE_OF_SEVERAL_JOBS, ("spec", "pod", "labels", _QUEUE), what
        )


def name_too_long(subject: Subject) -> Iterator[Finding]:
    """Finds an experiment whose name does not fit into the names that its runs are given."""
    name, run = subject.plan.experiment.name, subject.plan.name
    if not subject.named and f"{name}-" not in run:
        what = f"runs are named as {run}, without the end of {name}"
        yield of_experiment(subject.source, Code.NAME_TOO_LONG, ("metadata", "name"), what)
