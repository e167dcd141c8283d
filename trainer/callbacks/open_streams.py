"""Opens the streams of steps that an experiment asks for."""

import logging
import os
from collections.abc import Callable, Sequence

from trainer.callbacks.step_sinks import CountingSink, FileSink, FunctionSink, HttpSink, Sink
from trainer.callbacks.step_stream import StepStream
from trainer.contract import training
from trainer.contract.run_directory import RunDirectory
from trainer.http_post import Address, AddressError

_log = logging.getLogger(__name__)


def open_streams(
    specs: Sequence[training.StepStream],
    run: RunDirectory,
    load: Callable[[str], Callable[..., object]],
    lost: Callable[[int], None] | None = None,
    *,
    dry: bool = False,
) -> list[StepStream]:
    """The streams of `stream`; one without an address is left out, as no training is to end for it.

    Args:
        specs: What the experiment file says.
        run: Where those to a file write.
        load: Finds a function of the user's by its reference.
        lost: Hears how many more records of a stream were lost, on the stream's thread.
        dry: Whether the run is only tried: functions and addresses are looked for, and given nothing.

    Raises:
        UserCodeError: A function is not there.
    """
    streams = []
    for each in specs:
        sink = _sink(each, run, load)
        if dry and sink is not None and not isinstance(sink, FileSink):
            sink = CountingSink()
        if sink is not None:
            streams.append(StepStream(sink, each.every, each.buffer, lost=lost))
    return streams


def _sink(
    spec: training.StepStream, run: RunDirectory, load: Callable[[str], Callable[..., object]]
) -> Sink | None:
    if spec.to == "file":
        return FileSink(run.steps)
    if spec.to != "http":
        return FunctionSink(load(spec.to))
    try:
        return HttpSink(Address(os.environ[spec.url_variable]))
    except KeyError:
        _log.warning("records of steps are not sent: %s is not set", spec.url_variable)
    except AddressError as error:
        _log.warning("records of steps are not sent: %s holds %s", spec.url_variable, error)
    return None
