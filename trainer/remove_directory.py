"""Deletes a run's directory: `python -m trainer.remove_directory NAME`, in a pod as worker 0 has it.

The name is asked for once more, so that nothing is deleted by a command that was meant for another run.
"""

import os
import sys
from collections.abc import Mapping, Sequence

from trainer.contract import pod
from trainer.contract.exit_codes import ExitCode
from trainer.storage import StorageError, open_store


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Deletes the directory of the run that the variables name, if it is the one that is asked for.

    Args:
        arguments: The run's name, and nothing else.
        environment: The pod's variables.

    Returns:
        A value of `ExitCode`.
    """
    run, url = environment.get(pod.RUN, ""), environment.get(pod.RUN_DIRECTORY, "").rstrip("/")
    if list(arguments) != [run] or not run or url.rpartition("/")[2] != run:
        print(f"asked for {list(arguments)}, but this is run {run!r} in {url!r}: nothing was deleted")  # noqa: T201
        return ExitCode.USAGE
    try:
        open_store(url).delete_all(url)
    except StorageError as error:
        print(error)  # noqa: T201
        return ExitCode.NO_PERMISSION
    print(f"{url} was deleted")  # noqa: T201
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
