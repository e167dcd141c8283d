import errno
import os
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from trainer.storage import (
    AlreadyExistsError,
    NotFoundError,
    PermissionDeniedError,
    StorageError,
    StoreFullError,
    UnsupportedStoreError,
    open_store,
)
from trainer.storage.errors import translate


@pytest.fixture(params=["path", "file", "memory"])
def root(request, tmp_path):
    if request.param == "path":
        return f"{tmp_path}/runs"
    if request.param == "file":
        return f"file://{tmp_path}/runs"
    return f"memory://{uuid.uuid4().hex}/runs"


def test_what_is_put_is_got_and_replaced(root):
    store, url = open_store(root), f"{root}/a/b.bin"
    store.put(url, b"old")
    store.put(url, b"new\x00")
    assert store.get(url) == b"new\x00"


def test_a_listing_is_recursive_relative_and_fresh(root):
    store = open_store(root)
    assert store.list(root) == []
    store.put(f"{root}/b", b"")
    store.put(f"{root}/a/c", b"")
    assert store.list(root) == ["a/c", "b"]
    store.delete(f"{root}/b")
    assert store.list(root) == ["a/c"]
    assert store.list(f"{root}/a") == ["c"]


def test_a_listing_does_not_take_a_longer_name_for_a_directory(root):
    store = open_store(root)
    store.put(f"{root}/best/x", b"")
    store.put(f"{root}/best-of/y", b"")
    assert store.list(f"{root}/best") == ["x"]


def test_pieces_are_one_object(root):
    store, url = open_store(root), f"{root}/a"
    store.put(url, b"an older and longer one")
    store.put_pieces(url, iter([b"ab", memoryview(b"xcx")[1:2], b""]))
    assert store.get(url) == b"abc"
    assert store.list(root) == ["a"]


def test_pieces_that_raise_leave_the_old_object_and_nothing_else(root):
    def pieces():
        yield b"half"
        raise ValueError("no more")

    store, url = open_store(root), f"{root}/a"
    store.put(url, b"old")
    with pytest.raises(ValueError, match="no more"):
        store.put_pieces(url, pieces())
    assert store.get(url) == b"old"
    assert store.list(root) == ["a"]


def test_children_are_what_lies_directly_below(root, tmp_path):
    store = open_store(root)
    assert store.children(root) == []
    store.put(f"{root}/b", b"")
    store.put(f"{root}/a/c/d", b"")
    assert store.children(root) == ["a", "b"]
    assert store.children(f"{root}/a") == ["c"]
    if not root.startswith("memory"):
        os.mkdir(tmp_path / "runs" / "empty")
        assert store.children(root) == ["a", "b", "empty"]


def test_delete_all_leaves_nothing(root, tmp_path):
    store = open_store(root)
    store.put(f"{root}/a/b", b"")
    store.put(f"{root}/a/c/d", b"")
    store.put(f"{root}/ab", b"")
    if not root.startswith("memory"):
        (tmp_path / "runs/a/.perdure-0.tmp").write_bytes(b"left by a kill")
    store.delete_all(f"{root}/a")
    assert store.children(root) == ["ab"]
    store.delete_all(f"{root}/a")


def test_a_sweep_takes_what_killed_writers_left_and_nothing_else(root, tmp_path):
    store = open_store(root)
    store.sweep(f"{root}/a")
    store.put(f"{root}/a/b", b"")
    store.put(f"{root}/a/.perdure-notes", b"")
    if not root.startswith("memory"):
        os.mkdir(tmp_path / "runs/a/below")
        for name in (".perdure-0.tmp", "below/.perdure-1.tmp"):
            (tmp_path / "runs/a" / name).write_bytes(b"left by a kill")
    store.sweep(f"{root}/a")
    assert store.list(f"{root}/a") == [".perdure-notes", "b"]
    if not root.startswith("memory"):
        assert sorted(os.listdir(tmp_path / "runs/a")) == [".perdure-notes", "b", "below"]
        assert os.listdir(tmp_path / "runs/a/below") == [".perdure-1.tmp"]


def test_a_sweep_leaves_what_this_process_is_writing(tmp_path, monkeypatch):
    store, replace = open_store(str(tmp_path)), os.replace

    def sweep_then_replace(old, new):
        store.sweep(str(tmp_path))
        replace(old, new)

    monkeypatch.setattr(os, "replace", sweep_then_replace)
    store.put(f"{tmp_path}/a", b"whole")
    assert store.get(f"{tmp_path}/a") == b"whole"


def test_only_objects_exist(root):
    store = open_store(root)
    store.put(f"{root}/a/c", b"")
    assert store.exists(f"{root}/a/c")
    assert not store.exists(f"{root}/a")
    assert not store.exists(f"{root}/b")


def test_create_succeeds_once(root):
    store, url = open_store(root), f"{root}/taken"
    store.create(url, b"first")
    with pytest.raises(AlreadyExistsError, match="taken"):
        store.create(url, b"second")
    assert store.get(url) == b"first"
    assert store.list(root) == ["taken"]


def test_of_many_creators_one_succeeds(tmp_path):
    url = f"{tmp_path}/taken"

    def create(name):
        try:
            open_store(url).create(url, name.encode())
        except AlreadyExistsError:
            return None
        return name

    with ThreadPoolExecutor(8) as pool:
        winners = [name for name in pool.map(create, map(str, range(64))) if name]
    assert len(winners) == 1
    assert open_store(url).get(url) == winners[0].encode()


def test_missing_objects_are_told_by_url(root):
    store, url = open_store(root), f"{root}/none"
    with pytest.raises(NotFoundError, match="none: does not exist") as caught:
        store.get(url)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert caught.value.url == url
    store.delete(url)


def test_an_object_below_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("x")
    url = f"{tmp_path}/file/below"
    with pytest.raises(StorageError) as caught:
        open_store(url).put(url, b"")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_put_that_fails_leaves_the_old_object_and_nothing_else(tmp_path):
    # A limit on file sizes is the one way to make a real write fail in the middle, whoever runs this.
    code = f"""
import resource, signal
from trainer.storage import open_store, StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = open_store({str(tmp_path)!r})
store.put({f"{tmp_path}/object"!r}, b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for write in (store.put, lambda url, data: store.create(url + "2", data)):
    try:
        write({f"{tmp_path}/object"!r}, b"n" * 100_000)
    except StorageError as error:
        print(type(error.__cause__).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["OSError", "OSError"]
    assert os.listdir(tmp_path) == ["object"]
    assert (tmp_path / "object").read_bytes() == b"old"


def test_readers_see_whole_objects_while_the_writer_is_killed(tmp_path):
    code = f"""
from trainer.storage import open_store
url = {f"{tmp_path}/object"!r}
store = open_store(url)
print("ready", flush=True)
while True:
    for letter in (b"a", b"b"):
        store.put(url, letter * 300_000)
"""
    url = f"{tmp_path}/object"
    store = open_store(url)
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as writer:
            writer.stdout.readline()
            while not store.exists(url):
                assert writer.poll() is None
            seen = [store.get(url) for _ in range(100)]
            writer.send_signal(signal.SIGKILL)
        seen.append(store.get(url))
        assert {(len(data), len(set(data))) for data in seen} == {(300_000, 1)}
    assert store.list(str(tmp_path)) == ["object"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "x"), StoreFullError),
        (OSError(errno.EDQUOT, "x"), StoreFullError),
        (OSError(errno.EROFS, "x"), PermissionDeniedError),
        (PermissionError("no errno"), PermissionDeniedError),
        (FileExistsError("no errno"), AlreadyExistsError),
        (FileNotFoundError("no errno"), NotFoundError),
        (OSError(errno.EIO, "input/output error"), StorageError),
        (ConnectionResetError(), StorageError),
    ],
)
def test_translation(error, expected):
    translated = translate(error, "memory://x")
    assert type(translated) is expected
    assert str(translated).startswith("memory://x: ")
    assert len(str(translated)) > len("memory://x: ")


def test_an_unknown_scheme_is_refused_by_name():
    with pytest.raises(UnsupportedStoreError, match="ftp://host/x: no store for `ftp://`"):
        open_store("ftp://host/x")
