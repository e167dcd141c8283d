import os

import keras
import numpy as np
import pytest
from google.protobuf import text_format
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from trainer.callbacks import EmbeddingLog


def words():
    return keras.Sequential(
        [
            keras.Input((3,), dtype="int32"),
            keras.layers.Embedding(5, 2, name="words"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(2, name="out put"),
        ]
    )


def rows():
    return np.array([[0, 1, 2], [2, 3, 4]], "int32"), np.array([7, 3])


def run(callback, model, epochs=1):
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in range(epochs):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch)
    callback.on_train_end()


def config(directory):
    return text_format.Parse((directory / "train/projector_config.pbtxt").read_text(), ProjectorConfig())


def shown(directory, embedding):
    return np.loadtxt(directory / "train" / embedding.tensor_path, delimiter="\t", ndmin=2)


def test_every_table_is_shown_where_no_layer_is_named(tmp_path):
    model = words()
    run(EmbeddingLog(str(tmp_path), most=4), model)
    (embedding,) = config(tmp_path).embeddings
    assert (embedding.tensor_name, embedding.metadata_path) == ("words", "")
    np.testing.assert_allclose(
        shown(tmp_path, embedding), model.get_layer("words").get_weights()[0][:4], rtol=1e-5
    )


def test_outputs_of_named_layers_have_their_targets_as_labels(tmp_path):
    model = words()
    run(EmbeddingLog(str(tmp_path), layer_names=["out put", "flat"], rows=rows), model)
    output, flat = config(tmp_path).embeddings
    assert (output.tensor_name, output.tensor_path) == ("out put", "projector/out_put.tsv")
    np.testing.assert_allclose(shown(tmp_path, output), model(rows()[0]).numpy(), rtol=1e-4, atol=1e-6)
    assert shown(tmp_path, flat).shape == (2, 6)
    assert (tmp_path / "train" / output.metadata_path).read_text() == "7\n3\n"


def test_the_newest_replaces_the_ones_before(tmp_path):
    model, callback = words(), EmbeddingLog(str(tmp_path), freq=2)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in range(4):
        callback.on_epoch_begin(epoch)
        model.set_weights([np.full_like(weight, epoch) for weight in model.get_weights()])
        callback.on_epoch_end(epoch)
    callback.on_train_end()
    assert (shown(tmp_path, config(tmp_path).embeddings[0]) == 2).all()
    assert sorted(os.listdir(tmp_path / "train")) == ["projector", "projector_config.pbtxt"]


def test_a_layer_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="no embeddings of 'nowhere': the model has the layers words, flat"):
        run(EmbeddingLog("memory://x", layer_names=["words", "nowhere"]), words())


def test_a_model_without_a_table_is_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="hidden")])
    with pytest.raises(ValueError, match=r"no Embedding layer; name layers .* of hidden"):
        run(EmbeddingLog("memory://x"), model)


def test_without_rows_the_output_of_a_layer_is_left_out_and_that_is_said(tmp_path):
    with pytest.warns(UserWarning, match="no embeddings of 'flat': there are no rows"):
        run(EmbeddingLog(str(tmp_path), layer_names=["words", "flat"]), words())
    assert [each.tensor_name for each in config(tmp_path).embeddings] == ["words"]
