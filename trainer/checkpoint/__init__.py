"""The whole state of a training: captured, written in the background, verified, restored.

`format`, `manifest`, `catalog`, `lineage` and `writer` need no TensorFlow and are exported here; what touches
a model (`capture`, `restore`, `callback_states`, `conditions`, `randomness`) is imported by its module.
"""

from trainer.checkpoint.catalog import Checkpoint, Found, NoValidCheckpointError, newest_valid, record_start
from trainer.checkpoint.format import Damage, write_checkpoint
from trainer.checkpoint.manifest import Manifest
from trainer.checkpoint.writer import CheckpointWriter, FencedError, WriterBusyError

__all__ = [
    "Checkpoint",
    "CheckpointWriter",
    "Damage",
    "FencedError",
    "Found",
    "Manifest",
    "NoValidCheckpointError",
    "WriterBusyError",
    "newest_valid",
    "record_start",
    "write_checkpoint",
]
