"""A bare loop of parallel server-side applies: the yardstick of `perdure submit`."""

import argparse
import itertools
import json
import threading
import time
from pathlib import Path

from launcher.kube.configuration import find_cluster

_QUERY = "fieldManager=benchmark&force=true&fieldValidation=Strict"


def main() -> None:
    """Sends each line of a file, a path and a body, as a PATCH of its own; reports the seconds of all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--report", type=Path, required=True)
    arguments = parser.parse_args()
    lines = [json.loads(line) for line in arguments.file.read_text().splitlines()]
    cluster = find_cluster(None)
    pool, server = cluster.client.rest_client.pool_manager, cluster.client.configuration.host
    headers = {"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"}
    numbers, refused = itertools.count(), []

    def send() -> None:
        # `next` of a count is atomic, so each line is sent once.
        while (number := next(numbers)) < len(lines):
            path, body = lines[number]
            answer = pool.request("PATCH", f"{server}{path}?{_QUERY}", body=body.encode(), headers=headers)
            if answer.status >= 300:
                refused.append(answer.data.decode())

    began = time.perf_counter()
    threads = [threading.Thread(target=send) for _ in range(arguments.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if refused:
        raise SystemExit(f"{len(refused)} of {len(lines)} were refused: {refused[0]}")
    arguments.report.write_text(json.dumps(seconds))


if __name__ == "__main__":
    main()
