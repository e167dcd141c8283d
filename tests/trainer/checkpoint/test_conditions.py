import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.checkpoint.conditions import changed

ROOT = Path(__file__).parents[3]
RECORD = """
import json, sys, tensorflow as tf
from trainer.checkpoint.conditions import record
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
print(json.dumps(record(tf.distribute.get_strategy(), deterministic=sys.argv[2] == "yes")))
"""


def recorded(threads="1", deterministic="yes", **environment):
    done = subprocess.run(
        [sys.executable, "-c", RECORD, threads, deterministic],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=280,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def usual():
    return recorded()


def test_the_same_process_again_has_the_same_conditions(usual):
    assert changed(usual, recorded()) == []
    assert usual["TensorFlow"].startswith("2.")
    assert usual["CPU"]
    assert usual["replicas"] == 1


def test_what_is_set_otherwise_is_named(usual):
    now = recorded("2", "no", TF_ENABLE_ONEDNN_OPTS="0", NCCL_ALGO="Ring", PYTHONHASHSEED="3", UNRELATED="1")
    told = changed(usual, now)
    assert "threads of an operation changed from 1 to 2" in told
    assert "determinism of operations changed from True to False" in told
    assert "environment variable NCCL_ALGO changed from not set to Ring" in told
    assert [line.split(" changed")[0] for line in told] == [
        "threads of an operation",
        "determinism of operations",
        "environment variable NCCL_ALGO",
        "environment variable PYTHONHASHSEED",
        "environment variable TF_ENABLE_ONEDNN_OPTS",
    ]


def test_what_is_no_longer_set_is_named():
    assert changed({"a": 1, "NCCL": "x"}, {"a": 1}) == ["NCCL changed from x to not set"]
