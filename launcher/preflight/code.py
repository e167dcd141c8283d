"""Every code of a finding, and what is the same for all findings of that code: how bad, why, how to fix."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a finding means for a submit."""

    ERROR = "error"
    """The run cannot do what its file asks for: submit refuses."""
    WARNING = "warning"
    """The run can be made, and most people would regret it."""
    NOTE = "note"
    """Worth knowing; often nothing to change."""


class Code(StrEnum):
    """Names a kind of finding; docs/preflight.md has a section for each."""

    MONITOR_MISSING = "monitor-missing"
    MONITOR_WITHOUT_VALIDATION = "monitor-without-validation"
    MONITOR_OF_TRAINING = "monitor-of-training"
    DIRECTION_CONTRADICTS = "direction-contradicts"
    PATIENCE_ZERO = "patience-zero"
    PATIENCE_TOO_LONG = "patience-too-long"
    REDUCES_TOO_LATE = "reduces-too-late"
    BEST_NOT_RESTORED = "best-not-restored"
    WARMUP_TOO_LONG = "warmup-too-long"
    BATCH_CANNOT_GROW = "batch-cannot-grow"
    NEVER_ACTS = "never-acts"
    CHECKPOINT_NEVER = "checkpoint-never"
    BATCH_NOT_DIVISIBLE = "batch-not-divisible"
    STORAGE_IN_CONTAINER = "storage-in-container"
    STORAGE_READ_ONLY = "storage-read-only"
    STORAGE_ON_ONE_NODE = "storage-on-one-node"
    WEIGHTS_LEFT_BEHIND = "weights-left-behind"
    CODE_TOO_LARGE = "code-too-large"
    TEMPLATE_REFUSED = "template-refused"
    NAME_TOO_LONG = "name-too-long"
    GRACE_TOO_SHORT = "grace-too-short"
    SPOT_NOTICE = "spot-notice"
    MEMORY_TOO_SMALL = "memory-too-small"
    IMAGE_NOT_FIXED = "image-not-fixed"
    QUEUE_OF_SEVERAL_JOBS = "queue-of-several-jobs"
    SPACE_TOO_SMALL = "space-too-small"
    SERVER_TOO_OLD = "server-too-old"
    NAMESPACE_MISSING = "namespace-missing"
    PERMISSION_MISSING = "permission-missing"
    CLAIM_MISSING = "claim-missing"
    CLAIM_NOT_BOUND = "claim-not-bound"
    CLAIM_OF_ONE_NODE = "claim-of-one-node"
    CLAIM_IN_USE = "claim-in-use"
    STORAGE_CLASS_MISSING = "storage-class-missing"
    SECRET_MISSING = "secret-missing"  # noqa: S105 - no secret itself
    CONFIG_MAP_MISSING = "config-map-missing"
    PRIORITY_CLASS_MISSING = "priority-class-missing"
    RUNTIME_CLASS_MISSING = "runtime-class-missing"
    SERVICE_ACCOUNT_MISSING = "service-account-missing"
    METRICS_NAMESPACE_MISSING = "metrics-namespace-missing"
    NO_NODE_FITS = "no-node-fits"
    TOO_FEW_PLACES = "too-few-places"
    QUOTA_TOO_SMALL = "quota-too-small"
    QUOTA_NEEDS_LIMITS = "quota-needs-limits"
    POD_SECURITY = "pod-security"
    POD_REFUSED = "pod-refused"
    POLICY_NOT_ENFORCED = "policy-not-enforced"
    POLICY_UNKNOWN = "policy-unknown"


@dataclass(frozen=True)
class About:
    """What all findings of a code have in common.

    Attributes:
        severity: How bad it is.
        why: Why it matters, in a sentence.
        fix: How to put it right, in a sentence.
    """

    severity: Severity
    why: str
    fix: str


_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE

ABOUT: dict[Code, About] = {
    Code.MONITOR_MISSING: About(
        _ERROR,
        "what waits for a metric that no epoch gives never acts: no stop, no best model, no message",
        "name a metric that the model is compiled with, val_ before it for its value on validation data",
    ),
    Code.MONITOR_WITHOUT_VALIDATION: About(
        _ERROR,
        "without validation no epoch gives a val_ metric, and what waits for it never acts",
        "return validation data from the data function, validate more often, or watch a training metric",
    ),
    Code.MONITOR_OF_TRAINING: About(
        _WARNING,
        "a training metric goes on improving while the model overfits, so the callback decides too late",
        "put val_ before the metric's name, if there is validation data",
    ),
    Code.DIRECTION_CONTRADICTS: About(
        _WARNING,
        "with the wrong direction the worst epoch counts as the best one",
        "set mode the other way, or to auto",
    ),
    Code.PATIENCE_ZERO: About(
        _WARNING,
        "metrics are noisy: the first epoch that is no better ends the wait, as with a patience of 1",
        "give it several epochs, or switch the callback off with false",
    ),
    Code.PATIENCE_TOO_LONG: About(
        _WARNING,
        "the run has ended before the callback can act: it is as good as switched off",
        "lower patience (and start_from_epoch), raise epochs, or switch the callback off with false",
    ),
    Code.REDUCES_TOO_LATE: About(
        _WARNING,
        "a reduction shows its worth only in the epochs behind it, and early stopping ends them",
        "more than double the reducer's patience (and its cooldown) for early stopping",
    ),
    Code.BEST_NOT_RESTORED: About(
        _WARNING,
        "the run ends with the weights of its last epoch, which by then was no improvement for a while",
        "leave restore_best_weights out, or set it to true",
    ),
    Code.WARMUP_TOO_LONG: About(
        _WARNING,
        "every step has less than the model's own learning rate, and the run ends before it gets there",
        "shorten the warm-up, or raise epochs",
    ),
    Code.BATCH_CANNOT_GROW: About(
        _WARNING,
        "every plateau finds the batch as large as it may be: waiting for one is of no use",
        "raise max_size, lower factor or global_batch_size, or leave it out",
    ),
    Code.NEVER_ACTS: About(
        _WARNING,
        "the run has ended before its turn comes: it is as good as left out",
        "let it begin sooner, raise epochs, or leave it out",
    ),
    Code.CHECKPOINT_NEVER: About(
        _WARNING,
        "a run that is interrupted begins anew, as nothing is saved before its last epoch",
        "leave checkpoint.every out (auto), or give a shorter distance",
    ),
    Code.BATCH_NOT_DIVISIBLE: About(
        _ERROR,
        "every device takes the same number of rows of a step, so the run ends before its first step",
        "take a multiple of workers times GPUs of each",
    ),
    Code.STORAGE_IN_CONTAINER: About(
        _ERROR,
        "checkpoints and models would be lost with the pod that wrote them",
        "name an object store or a claim, or leave storage out for a claim that submit makes",
    ),
    Code.STORAGE_READ_ONLY: About(
        _ERROR,
        "the first save fails, and the run with it",
        "make the volume writable (without read_only), or name another place",
    ),
    Code.STORAGE_ON_ONE_NODE: About(
        _WARNING,
        "a folder of a node stays on it: a pod that comes back elsewhere finds no checkpoint and begins anew",
        "take a claim or an object store, or tie the pods to one node by the label kubernetes.io/hostname",
    ),
    Code.WEIGHTS_LEFT_BEHIND: About(
        _ERROR,
        "only files beside the experiment file travel to the pods",
        "put the file beside the experiment file, or name it by URL",
    ),
    Code.CODE_TOO_LARGE: About(
        _ERROR,
        "experiment and code travel in a ConfigMap, which Kubernetes limits to 1 MiB",
        "install large code in the image, and name weights and data by URL",
    ),
    Code.TEMPLATE_REFUSED: About(
        _ERROR,
        "without what the patch takes away, or as it is written, a run cannot go on after an interruption",
        "take it out of pod.template",
    ),
    Code.NAME_TOO_LONG: About(
        _NOTE,
        "the name of a run has to fit names of Services and pods, so the experiment's is cut in it",
        "shorten metadata.name, or name the run with --run",
    ),
    Code.GRACE_TOO_SHORT: About(
        _WARNING,
        "a pod that is evicted is killed before its save is done: the steps since the last one are lost",
        "raise restart.notice",
    ),
    Code.SPOT_NOTICE: About(
        _WARNING,
        "the machine is gone before the save's deadline, so a save that needs the whole notice is lost",
        "set restart.notice to what the machines give, and save more often with checkpoint.every",
    ),
    Code.MEMORY_TOO_SMALL: About(
        _WARNING,
        "the kernel kills the whole container, supervisor and standby too, once its limit is reached",
        "raise pod.resources.memory",
    ),
    Code.IMAGE_NOT_FIXED: About(
        _WARNING,
        "a pod that comes back on another node may run another image, and then other bits",
        "name the image by a tag that never moves, or by its digest",
    ),
    Code.QUEUE_OF_SEVERAL_JOBS: About(
        _WARNING,
        "Kueue admits each Job on its own: two runs can each hold half of the places and wait for ever, "
        "and it reads the label of Jobs, which this one is not",
        "take the label away; a gang scheduler (pod.scheduler_name) places a run's pods together",
    ),
    Code.SPACE_TOO_SMALL: About(
        _WARNING,
        "a save into a full volume fails; the run goes on, but the next interruption costs more",
        "ask for more space, or lower checkpoint.keep",
    ),
    Code.SERVER_TOO_OLD: About(
        _ERROR,
        "older servers replace a pod before the old one is gone, and so can run two at once",
        "have the cluster upgraded, or take another with --context",
    ),
    Code.NAMESPACE_MISSING: About(
        _ERROR,
        "every object of a run lives in a namespace",
        "make it with kubectl create namespace, or take another with -n",
    ),
    Code.PERMISSION_MISSING: About(
        _ERROR,
        "the verbs of perdure do with the cluster what you may do, and no more",
        "have an administrator apply k8s/base/rbac.yaml to the namespace and bind you to its role",
    ),
    Code.CLAIM_MISSING: About(
        _ERROR,
        "a pod whose claim is not there waits for ever",
        "make the claim, correct its name, or let storage.create make it",
    ),
    Code.CLAIM_NOT_BOUND: About(
        _WARNING,
        "a pod waits until its claim has a volume",
        "look at kubectl describe pvc: its events tell what the provisioner waits for",
    ),
    Code.CLAIM_OF_ONE_NODE: About(
        _WARNING,
        "pods on a second node cannot mount it, and the group never becomes complete",
        "take a claim with ReadWriteMany or ReadOnlyMany, or one worker",
    ),
    Code.CLAIM_IN_USE: About(
        _WARNING,
        "its volume can be on one node at a time: worker 0 starts only on that node, or waits",
        "wait for the other run's end, or take a claim with ReadWriteMany or an object store",
    ),
    Code.STORAGE_CLASS_MISSING: About(
        _ERROR,
        "a claim without its class gets no volume, and worker 0 waits for ever",
        "name a class that kubectl get storageclass shows",
    ),
    Code.SECRET_MISSING: About(
        _ERROR,
        "a container whose Secret is not there does not start",
        "make it with kubectl create secret, or correct its name",
    ),
    Code.CONFIG_MAP_MISSING: About(
        _ERROR,
        "a container whose ConfigMap is not there does not start",
        "make it with kubectl create configmap, or correct its name",
    ),
    Code.PRIORITY_CLASS_MISSING: About(
        _ERROR,
        "the server refuses every pod of the run",
        "name one that kubectl get priorityclass shows",
    ),
    Code.RUNTIME_CLASS_MISSING: About(
        _ERROR,
        "the server refuses every pod of the run",
        "name one that kubectl get runtimeclass shows",
    ),
    Code.SERVICE_ACCOUNT_MISSING: About(
        _ERROR,
        "the server refuses every pod of the run",
        "make it with kubectl create serviceaccount, or correct its name",
    ),
    Code.METRICS_NAMESPACE_MISSING: About(
        _WARNING,
        "the NetworkPolicy lets nobody in from there, so nothing scrapes the run's metrics",
        "name the namespace in which Prometheus runs",
    ),
    Code.NO_NODE_FITS: About(
        _WARNING,
        "its pods stay Pending unless an autoscaler adds such a node",
        "ask for less, or correct node_selector, tolerations or gpu_resource",
    ),
    Code.TOO_FEW_PLACES: About(
        _WARNING,
        "a group trains only when all of its workers are there; the others hold their places meanwhile",
        "take fewer workers, or ask for less for each",
    ),
    Code.QUOTA_TOO_SMALL: About(
        _WARNING,
        "the server makes no more pods than the quota allows, and the group never becomes complete",
        "ask for less, or have the quota raised",
    ),
    Code.QUOTA_NEEDS_LIMITS: About(
        _ERROR,
        "with such a quota the server refuses every pod that does not say it",
        "say it in the experiment file, or have a LimitRange give a default",
    ),
    Code.POD_SECURITY: About(
        _ERROR,
        "the namespace's Pod Security Standard refuses every pod of the run",
        "take it out of pod.template or pod.volumes, or take a namespace that allows it",
    ),
    Code.POD_REFUSED: About(
        _ERROR,
        "a Job's pods are made one by one after the submit, so that its refusal would only show then",
        "do what the server's words ask for",
    ),
    Code.POLICY_NOT_ENFORCED: About(
        _WARNING,
        "TensorFlow runs whatever its ports are sent, and here every pod of the cluster can send",
        "run a network that enforces NetworkPolicies, such as Calico or Cilium, or trust all pods",
    ),
    Code.POLICY_UNKNOWN: About(
        _NOTE,
        "TensorFlow runs whatever its ports are sent; a policy that nothing enforces keeps nobody out",
        "ask whoever runs the cluster's network",
    ),
}


def link(code: Code) -> str:
    """Where the documentation tells of it."""
    return f"docs/preflight.md#{code}"
