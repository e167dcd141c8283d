"""What feeds the workers: in which order, which rows to which replica, and from which position on."""

from trainer.data.agreement import require_same
from trainer.data.feed import Feed, Place
from trainer.data.open import open_source
from trainer.data.sample import sample_rows
from trainer.data.source import Resizable, Source, Step

__all__ = ["Feed", "Place", "Resizable", "Source", "Step", "open_source", "require_same", "sample_rows"]
