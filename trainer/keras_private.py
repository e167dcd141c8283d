"""Every private name of Keras and TensorFlow that Perdure uses.

Checked with the versions in `CHECKED_KERAS` and `CHECKED_TENSORFLOW`; `missing_names` says what a
release took away, and a test fails on it.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import keras
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.losses import loss as loss_module
from keras.src.trainers.data_adapters import get_data_adapter
from tensorflow.python.eager import context as eager_context

CHECKED_KERAS = ("3.15.1", "3.16")
CHECKED_TENSORFLOW = ("2.21.0", "2.22")

_PLAIN = (bool, int, float, str, list, dict, type(None))

_MODEL_NAMES = (
    "_symbolic_build",
    "_compile_loss",
    "_flatten_metrics_in_order",
    "_assert_compile_called",
    "_flatten_layers",
    "_should_eval",
)
_OPTIMIZER_NAMES = (
    "_backend_apply_gradients",
    "_backend_update_step",
    "_all_reduce_sum_gradients",
    "_clip_gradients",
    "_apply_weight_decay",
    "_update_model_variables_moving_average",
    "_overwrite_model_variables_with_average_value",
    "_get_variable_index",
    "_iterations",
    "_learning_rate",
    "_get_current_learning_rate",
)


def missing_names() -> list[str]:
    """Names of this module that the installed Keras and TensorFlow no longer have."""
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.BatchNormalization()])
    model.compile(keras.optimizers.SGD(gradient_accumulation_steps=2), "mse")
    model.optimizer.build(model.trainable_variables)
    averaging = keras.optimizers.SGD(use_ema=True)
    averaging.build(model.trainable_variables)
    expected: list[tuple[Any, Sequence[str]]] = [
        (model, _MODEL_NAMES),
        (model.optimizer, (*_OPTIMIZER_NAMES, "_accumulated_gradients", "_trainable_variables")),
        (model.layers[0], ("_non_trainable_variables",)),
        (keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()), ("check_finite", "inner_optimizer")),
        (averaging, ("_model_variables_moving_average", "_trainable_variables")),
        (keras.callbacks.Callback.on_epoch_end, ("_is_default",)),
        (keras.callbacks.TensorBoard(), ("_writers",)),
        (keras.metrics.Accuracy(), ("_direction",)),
        (loss_module, ("scale_loss_for_distribution", "unscale_loss_for_distribution")),
        (global_state, ("GLOBAL_STATE_TRACKER", "GLOBAL_SETTINGS_TRACKER")),
        (eager_context.context(), ("_context_handle", "_seed", "_intra_op_parallelism_threads")),
        (tf.distribute.get_strategy().extended, ("call_for_each_replica", "update")),
    ]
    return [f"{owner!r}.{name}" for owner, names in expected for name in names if not hasattr(owner, name)]


def tensorflow_settings() -> dict[str, str]:
    """All settings of TensorFlow, and whether it has opened its devices, in a form to compare."""
    found = vars(eager_context.context())
    opened = found["_context_handle"] is not None
    values = {name: value for name, value in found.items() if isinstance(value, _PLAIN)}
    return {name: repr(value) for name, value in values.items()} | {"opened": str(opened)}


def keras_settings() -> tuple[Any, ...]:
    """What code may set in Keras, to compare."""
    config = keras.config
    floats = config.floatx()
    # Keras makes the default policy only when something asks for it.
    policy = getattr(global_state.GLOBAL_STATE_TRACKER, "dtype_policy", None)
    return (floats, policy.name if policy else floats, config.epsilon(), config.image_data_format())


def keras_state() -> dict[str, str]:
    """All that Keras keeps for the process, such as how many names it has given, to compare."""
    kept = (global_state.GLOBAL_STATE_TRACKER, global_state.GLOBAL_SETTINGS_TRACKER)
    return {name: repr(value) for each in kept for name, value in vars(each).items()}


def build_symbolically(model: Any, batch: Any) -> None:
    """Creates all variables of `model`, its losses, metrics and optimizer from the specs in `batch`.

    Keras does this at the start of its own `fit`, but reduces over replicas on the way, which fails on
    MultiWorkerMirroredStrategy (keras-team/keras#20585); this is the part before that.

    Args:
        model: A compiled Keras model.
        batch: x, (x,), (x, y) or (x, y, sample_weight) of objects with `shape` and `dtype`.
    """
    model._symbolic_build(data_batch=batch)
    # A custom step may use optimizers beside the compiled one: which variables for, only the step knows.
    for optimizer in optimizers_of(model):
        if not optimizer.built:
            optimizer.build(model.trainable_variables)


def keras_dataset(x: Any, class_weight: dict[int, float] | None, shuffle: bool) -> tf.data.Dataset:
    """A dataset of batches of what only Keras's own adapters read: generators, DataLoaders, and so on."""
    return get_data_adapter(x, class_weight=class_weight, shuffle=shuffle).get_tf_dataset()


def overrides_hook(callback: keras.callbacks.Callback, hook: str) -> bool:
    """Whether `callback` does something in `hook`: Keras marks the hooks of its base class."""
    return not getattr(getattr(callback, hook), "_is_default", False)


def statistics_variables(model: Any) -> list[Any]:
    """Floating-point variables that layers update by themselves, such as BatchNorm's moving statistics.

    Weights of frozen layers are not among them: they never change.
    """
    variables = {
        id(variable): variable
        for layer in model._flatten_layers()
        for variable in layer._non_trainable_variables
        if not isinstance(layer, keras.metrics.Metric)
    }
    return [v for v in variables.values() if tf.as_dtype(v.dtype).is_floating]


def optimizers_of(model: Any) -> list[Any]:
    """The optimizers that `model` holds, those inside a loss scale too; a GAN may hold several."""
    held = [model.optimizer, *vars(model).values()]
    found: dict[int, Any] = {}
    while held:
        candidate = held.pop()
        if isinstance(candidate, keras.optimizers.Optimizer) and id(candidate) not in found:
            found[id(candidate)] = candidate
            held += [getattr(candidate, "inner_optimizer", None), *getattr(candidate, "_optimizers", ())]
    return list(found.values())


def multiply_rate(optimizer: Any, share: Callable[[Any], Any]) -> None:
    """Makes steps of an optimizer use its learning rate times `share(step)`, but for those traced already.

    The rate stays the optimizer's own variable: it can be set, it is saved with the optimizer, and a model
    that is stored needs nothing of this to be loaded. A second call takes the place of the first.

    Args:
        optimizer: One whose rate is a variable.
        share: From the number of training steps before this one, an integer variable, to a float32 tensor.
    """

    def rate() -> Any:
        return keras.ops.multiply(optimizer._learning_rate, share(optimizer._iterations))

    object.__setattr__(optimizer, "_get_current_learning_rate", rate)


def rate_in_steps(optimizer: Any) -> Callable[[], Any] | None:
    """What `multiply_rate` has steps compute the rate by, another one for each call; None without a call."""
    found: Callable[[], Any] | None = vars(optimizer).get("_get_current_learning_rate")
    return found


def own_rate(optimizer: Any) -> Any:
    """The learning rate that can be set, before `multiply_rate`: a variable, unless a schedule owns it."""
    return optimizer._learning_rate


class StepProbe(Protocol):
    """Looks at a train step while it is traced; see `trainer.probe`."""

    @property
    def skips(self) -> bool:
        """Whether `local` and `reduced` may tell that a step is not to be applied."""

    def lost(self, loss: Any) -> None:
        """This replica's loss."""

    def local(self, grads: Sequence[Any]) -> Any:
        """This replica's gradients, before any sum; gives a float32 vector to be summed with them."""

    def reduced(self, grads: Sequence[Any], variables: Sequence[Any], summed: Any) -> Any:
        """The gradients of the global batch and the summed vector; gives whether to apply them, a bool."""

    def applied(self, variables: Sequence[Any]) -> None:
        """The gradients have been applied, or skipped."""

    def judged_by_loss(self) -> Any:
        """Whether to apply gradients that it does not see, a bool; a collective."""


@contextmanager
def as_one_process(model: Any, replicas: int, probe: StepProbe | None = None) -> Iterator[None]:
    """Makes `model` compute on many replicas what it computes on one; wraps tracing and running of steps.

    Keras divides each replica's loss by the number of replicas, sums gradients, and clips, accumulates and
    checks a replica's own gradients before the sum. So what a custom step logs is too small, and clipping
    sees other gradients than on one process. Inside this context a loss is what it is on one process, the
    mean of the gradients comes first, so that clipping, accumulation, averaging and the loss scale see the
    gradients of the global batch, and all replicas take the same branch.

    Args:
        model: A compiled model.
        replicas: Of all workers.
        probe: Told of every loss and gradient, and asked whether to apply it. Not of the gradients under a
            LossScaleOptimizer: those may overflow, and that is what it is for. Of a step that the loss alone
            has skipped, the loss scale learns nothing.
    """
    with ExitStack() as undo:
        if replicas > 1:
            for name in ("scale_loss_for_distribution", "unscale_loss_for_distribution"):
                undo.callback(setattr, loss_module, name, getattr(loss_module, name))
                setattr(loss_module, name, lambda value: value)
        for optimizer in optimizers_of(model) if replicas > 1 else ():
            if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
                _override(undo, optimizer, "check_finite", _agreed_finite(optimizer.check_finite))
            else:
                mine = probe if is_watched(model, optimizer) else None
                apply = _averaged_first(optimizer, replicas, mine)
                _override(undo, optimizer, "_backend_apply_gradients", apply)
                _override(undo, optimizer, "_all_reduce_sum_gradients", lambda pairs: pairs)
        if probe is not None:
            _override(undo, model, "compute_loss", _telling_loss(model.compute_loss, probe))
            for optimizer in optimizers_of(model):
                if probe.skips and isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
                    _override(undo, optimizer, "apply", _unless_skipped(optimizer.apply, probe))
                elif replicas == 1 and is_watched(model, optimizer):
                    apply = _watched(optimizer, optimizer._backend_apply_gradients, probe)
                    _override(undo, optimizer, "_backend_apply_gradients", apply)
        yield


def is_watched(model: Any, optimizer: Any) -> bool:
    """Whether a probe is told of the gradients for `optimizer`: not where a loss scale judges them."""
    scaled = [each for each in optimizers_of(model) if isinstance(each, keras.optimizers.LossScaleOptimizer)]
    return all(optimizer is not each and optimizer is not each.inner_optimizer for each in scaled)


def _telling_loss(compute_loss: Callable[..., Any], probe: StepProbe) -> Callable[..., Any]:
    # Keras looks at the signature to know whether it may pass `training`.
    @functools.wraps(compute_loss)
    def compute(*arguments: Any, **options: Any) -> Any:
        loss = compute_loss(*arguments, **options)
        probe.lost(loss)
        return loss

    return compute


def _override(undo: ExitStack, instance: Any, name: str, value: Any) -> None:
    # object.__setattr__ goes past Keras's attribute tracking, which would try to track a function.
    object.__setattr__(instance, name, value)
    undo.callback(object.__delattr__, instance, name)


def _agreed_finite(check_finite: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def agreed(grads: Any) -> Any:
        overflowed = tf.cast(tf.logical_not(check_finite(grads)), tf.float32)
        context = tf.distribute.get_replica_context()
        return tf.equal(context.all_reduce(tf.distribute.ReduceOp.SUM, overflowed), 0.0)

    return agreed


def _averaged_first(optimizer: Any, replicas: int, probe: StepProbe | None) -> Callable[[Any, Any], None]:
    sum_gradients = optimizer._all_reduce_sum_gradients

    def apply(grads: Any, variables: Any) -> None:
        # Divided before the sum, as Keras divides the loss: a sum of large gradients may overflow.
        divided = [_divided(gradient, replicas) for gradient in grads]
        pairs = list(zip(divided, variables, strict=True))
        if probe is None:
            update([gradient for gradient, _ in sum_gradients(pairs)], variables)
            return
        # In the sum of the gradients, which is one collective, a few more numbers cost next to nothing.
        *summed, (told, _) = sum_gradients([*pairs, (probe.local(divided), None)])
        grads = [gradient for gradient, _ in summed]
        _apply_if_good(optimizer, probe, probe.reduced(grads, variables, told), update, grads, variables)

    def update(grads: Any, variables: Any) -> None:
        if optimizer.gradient_accumulation_steps:
            _accumulate(optimizer, grads, variables)
        else:
            _update(optimizer, grads, variables)
        if optimizer.use_ema:
            optimizer._update_model_variables_moving_average(optimizer._trainable_variables)
            if optimizer.ema_overwrite_frequency:
                _overwrite_with_average(optimizer)

    return apply


def _watched(
    optimizer: Any, update: Callable[[Any, Any], None], probe: StepProbe
) -> Callable[[Any, Any], None]:
    def apply(grads: Any, variables: Any) -> None:
        good = probe.reduced(grads, variables, probe.local(grads))
        _apply_if_good(optimizer, probe, good, update, grads, variables)

    return apply


def _apply_if_good(
    optimizer: Any,
    probe: StepProbe,
    good: Any,
    update: Callable[[Any, Any], None],
    grads: Sequence[Any],
    variables: Sequence[Any],
) -> None:
    if not probe.skips:
        update(grads, variables)
        probe.applied(variables)
        return

    # `apply` counts the step, whatever comes of it here.
    iterations = optimizer._iterations.value

    def uncount(each: Callable[[Any, Callable[[Any], Any]], Any]) -> None:
        each(iterations, lambda variable: variable.assign_sub(tf.ones_like(variable)))

    _where_good(good, grads, lambda grads: update(grads, variables), uncount)
    probe.applied(variables)


def _unless_skipped(apply: Callable[..., None], probe: StepProbe) -> Callable[..., None]:
    def guarded(grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        good = probe.judged_by_loss()
        _where_good(good, grads, lambda grads: apply(grads, trainable_variables), lambda _: None)

    return guarded


def _where_good(
    good: Any,
    grads: Sequence[Any],
    apply: Callable[[Sequence[Any]], None],
    otherwise: Callable[[Callable[[Any, Callable[[Any], Any]], Any]], None],
) -> None:
    """Applies gradients on all replicas, or does something else.

    Args:
        good: Whether to apply them, equal on all replicas.
        grads: Of this replica.
        apply: Called in each replica.
        otherwise: Called once, with what changes a variable on all replicas.
    """

    def across_replicas(strategy: tf.distribute.Strategy, grads: Any, good: Any) -> None:
        def everywhere() -> None:
            strategy.extended.call_for_each_replica(apply, args=(grads,))

        first = strategy.experimental_local_results(good)[0]
        _either(first, everywhere, lambda: otherwise(strategy.extended.update))

    if tf.__internal__.distribute.strategy_supports_no_merge_call():
        _either(good, lambda: apply(grads), lambda: otherwise(lambda variable, change: change(variable)))
    else:
        # A synchronisation inside a cond is only allowed across replicas.
        tf.distribute.get_replica_context().merge_call(across_replicas, args=(grads, good))


def _either(condition: Any, yes: Callable[[], None], no: Callable[[], None]) -> None:
    def run(branch: Callable[[], None]) -> Callable[[], Any]:
        def body() -> Any:
            branch()
            return tf.constant(0)

        return body

    tf.cond(condition, run(yes), run(no))


def _divided(gradient: Any, replicas: int) -> Any:
    if gradient is None:
        return None
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(_divided(gradient.values, replicas), gradient.indices, gradient.dense_shape)
    return gradient * tf.cast(1.0 / replicas, gradient.dtype)


@contextmanager
def loss_trackers_weighted(model: Any, weight: Callable[[], Any]) -> Iterator[None]:
    """Gives the losses of several outputs, tracked as means of batches, the weight of a replica's share.

    Keras weighs each batch alike, and so would weigh a replica with one row like one with ten.

    Args:
        model: A compiled model.
        weight: Gives the share of the replica that asks in the rows of the global batch, a scalar.
    """
    compiled = model._compile_loss
    with ExitStack() as undo:
        for tracker in compiled.metrics if compiled is not None else ():
            _override(undo, tracker, "update_state", _weighing(tracker.update_state, weight))
        yield


def _weighing(update_state: Callable[..., Any], weight: Callable[[], Any]) -> Callable[..., Any]:
    def update(value: Any, sample_weight: Any = None) -> Any:
        del sample_weight
        return update_state(value, sample_weight=weight())

    return update


def _update(optimizer: Any, grads: Sequence[Any], variables: Sequence[Any]) -> None:
    clipped = optimizer._clip_gradients(grads)
    optimizer._apply_weight_decay(variables)
    optimizer._backend_update_step(clipped, variables, optimizer.learning_rate)


def _accumulate(optimizer: Any, grads: Sequence[Any], variables: Sequence[Any]) -> None:
    steps = optimizer.gradient_accumulation_steps
    sums = [optimizer._accumulated_gradients[optimizer._get_variable_index(v)] for v in variables]

    def update_replica(grads: Sequence[Any]) -> None:
        _update(optimizer, [(g + s) / steps for g, s in zip(grads, sums, strict=True)], variables)

    def across_replicas(strategy: tf.distribute.Strategy, grads: Sequence[Any]) -> None:
        def update() -> None:
            strategy.extended.call_for_each_replica(update_replica, args=(grads,))
            for s in sums:
                strategy.extended.update(s.value, lambda v: v.assign(tf.zeros_like(v)))

        def keep() -> None:
            for s, gradient in zip(sums, grads, strict=True):
                strategy.extended.update(s.value, lambda v, g: v.assign(v + g), args=(gradient,))

        _branch(optimizer._iterations, steps, update, keep)

    tf.distribute.get_replica_context().merge_call(across_replicas, args=(grads,))


def _overwrite_with_average(optimizer: Any) -> None:
    def across_replicas(_: tf.distribute.Strategy) -> None:
        _branch(
            optimizer.iterations,
            optimizer.ema_overwrite_frequency,
            lambda: optimizer._overwrite_model_variables_with_average_value(optimizer._trainable_variables),
            lambda: None,
        )

    tf.distribute.get_replica_context().merge_call(across_replicas)


def _branch(iterations: Any, every: int, yes: Callable[[], None], no: Callable[[], None]) -> None:
    # A synchronisation inside a cond is only allowed across replicas, where this is called from.
    _either(tf.equal((tf.convert_to_tensor(iterations) + 1) % every, 0), yes, no)
