"""The callback stack: one Keras callback per file, each of them event -> policy -> storage."""

from trainer.callbacks.best_models import BestModels
from trainer.callbacks.build import build_callbacks
from trainer.callbacks.csv_log import CSVLog
from trainer.callbacks.early_stopping import EarlyStopping
from trainer.callbacks.embedding_log import EmbeddingLog
from trainer.callbacks.metrics_exporter import MetricsExporter
from trainer.callbacks.profiler import Profiler
from trainer.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from trainer.callbacks.sampled_predictions import SampledPredictions
from trainer.callbacks.tensorboard_log import TensorBoardLog

__all__ = [
    "BestModels",
    "CSVLog",
    "EarlyStopping",
    "EmbeddingLog",
    "MetricsExporter",
    "Profiler",
    "ReduceLROnPlateau",
    "SampledPredictions",
    "TensorBoardLog",
    "build_callbacks",
]
