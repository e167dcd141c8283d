"""The callback stack: one Keras callback per file, each of them event -> policy -> storage."""

from trainer.callbacks.batch_inspection import BatchInspection
from trainer.callbacks.batch_log import BatchLog
from trainer.callbacks.batch_size import BatchSizeOnPlateau, BatchSizeSchedule
from trainer.callbacks.best_models import BestModels
from trainer.callbacks.build import build_callbacks, callbacks_by_kind
from trainer.callbacks.csv_log import CSVLog
from trainer.callbacks.early_stopping import EarlyStopping
from trainer.callbacks.embedding_log import EmbeddingLog
from trainer.callbacks.gradient_monitor import GradientMonitor
from trainer.callbacks.metrics_exporter import MetricsExporter
from trainer.callbacks.predictions import Predictions
from trainer.callbacks.profiler import Profiler
from trainer.callbacks.rate_schedule import RateSchedule
from trainer.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from trainer.callbacks.sampled_predictions import SampledPredictions
from trainer.callbacks.step_stream import StepStream
from trainer.callbacks.stopping import Stopping
from trainer.callbacks.tensorboard_log import TensorBoardLog
from trainer.callbacks.watchdog import Watchdog

__all__ = [
    "BatchInspection",
    "BatchLog",
    "BatchSizeOnPlateau",
    "BatchSizeSchedule",
    "BestModels",
    "CSVLog",
    "EarlyStopping",
    "EmbeddingLog",
    "GradientMonitor",
    "MetricsExporter",
    "Predictions",
    "Profiler",
    "RateSchedule",
    "ReduceLROnPlateau",
    "SampledPredictions",
    "StepStream",
    "Stopping",
    "TensorBoardLog",
    "Watchdog",
    "build_callbacks",
    "callbacks_by_kind",
]
