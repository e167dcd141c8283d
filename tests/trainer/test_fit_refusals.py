"""What fit refuses, with the reason."""

from pathlib import Path

import keras
import numpy as np
import pytest

from trainer import fit


def test_backup_and_restore_is_refused_with_the_reason(tmp_path: Path) -> None:
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    rows = np.zeros((4, 2)), np.zeros((4, 1))
    callback = keras.callbacks.BackupAndRestore(tmp_path)
    with pytest.raises(ValueError, match="BackupAndRestore cannot be used here: it restores whole epochs"):
        fit(model, *rows, callbacks=[callback], verbose=0)
