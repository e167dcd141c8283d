"""Where runs are stored: the only owner of fsspec."""

from trainer.storage.background import BackgroundWriter, WriteFailure, mark_writes
from trainer.storage.errors import (
    AlreadyExistsError,
    NotFoundError,
    PermissionDeniedError,
    StorageError,
    StoreFullError,
    UnsupportedStoreError,
)
from trainer.storage.store import Buffer, Store, open_store

__all__ = [
    "AlreadyExistsError",
    "BackgroundWriter",
    "Buffer",
    "NotFoundError",
    "PermissionDeniedError",
    "StorageError",
    "Store",
    "StoreFullError",
    "UnsupportedStoreError",
    "WriteFailure",
    "mark_writes",
    "open_store",
]
