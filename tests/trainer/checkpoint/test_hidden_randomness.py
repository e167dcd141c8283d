import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.checkpoint.randomness import hidden_randomness

X = tf.ones((4, 3))
GENERATOR = tf.random.Generator.from_seed(1)


def ops_of(function):
    traced = tf.function(function).get_concrete_function(tf.TensorSpec((4, 3), tf.float32))
    return [finding.op for finding in hidden_randomness(traced)]


@tf.function
def inner(x):
    return x + tf.random.normal((4, 3))


def in_a_loop(x):
    return tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, inner(x)), (0, x))[1]


def in_a_branch(x):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: tf.random.shuffle(x), lambda: x)


@pytest.mark.parametrize(
    ("function", "ops"),
    [
        (lambda x: x + tf.random.uniform((4, 3)), ["RandomUniform"]),
        (lambda x: x + tf.random.normal((4, 3), seed=3), ["RandomStandardNormal"]),
        (lambda x: tf.nn.dropout(x, 0.5), ["RandomUniform"]),
        (lambda x: tf.random.categorical(x, 2), ["Multinomial"]),
        (in_a_loop, ["RandomStandardNormal"]),
        (in_a_branch, ["RandomShuffle"]),
        (lambda x: tf.py_function(lambda v: v * 2, [x], tf.float32), ["EagerPyFunc"]),
        (lambda x: tf.numpy_function(np.sort, [x], tf.float32), ["PyFunc"]),
        (lambda x: x + GENERATOR.normal((4, 3)), ["RngReadAndSkip"]),
        (lambda x: x + tf.random.stateless_normal((4, 3), (1, 2)), []),
        (lambda x: tf.linalg.matmul(x, x, transpose_b=True), []),
    ],
)
def test_what_hides_in_a_step_is_found(function, ops):
    assert ops_of(function) == ops


def test_a_finding_says_where_it_is_and_what_to_do():
    class Noisy(keras.layers.Layer):
        def call(self, x):
            return x + tf.random.normal(tf.shape(x))

    model = keras.Sequential([keras.layers.Input((3,)), Noisy(name="noisy_one"), keras.layers.Dense(1)])
    traced = tf.function(model).get_concrete_function(tf.TensorSpec((None, 3), tf.float32))
    (finding,) = hidden_randomness(traced)
    assert "noisy_one" in finding.node
    assert "use keras.random.* with a keras.random.SeedGenerator" in str(finding)


def test_what_keras_does_at_random_is_in_variables():
    model = keras.Sequential(
        [
            keras.layers.Input((5, 3)),
            keras.layers.GaussianNoise(0.1),
            keras.layers.LSTM(4, dropout=0.2, recurrent_dropout=0.1),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    step = tf.function(lambda x, y: model.train_step((x, y)), autograph=False)
    model.train_on_batch(np.ones((4, 5, 3)), np.ones((4, 1)))
    traced = step.get_concrete_function(tf.ones((4, 5, 3)), tf.ones((4, 1)))
    assert hidden_randomness(traced) == []
