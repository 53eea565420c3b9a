"""The other end of a worker process: makes the chunks that it is told and commits them."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from typing import Any

from funcspace.errors import SolverError
from funcspace.solvers.generation.making import make_samples
from funcspace.solvers.threads import limit_cores

__all__ = ["serve"]


def serve() -> None:
    """Read the task, then ranges of samples until the pipe ends; answer with failed samples, or with an exception."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt ends the caller, and with it the pipe
    tasks = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a problem prints must not come between the answers
    task: Any = None
    payload = pickle.load(tasks)
    while True:
        try:
            first, count = pickle.load(tasks)
        except EOFError:
            return
        try:
            if task is None:
                task = pickle.loads(payload)
                _use_cores(task[3])
            problem, seed, parts, _ = task
            pieces, failed = make_samples(problem, first, count, seed)
            parts.commit(first, count, pieces, failed)
            answer: Any = failed
        except Exception as error:
            answer = _portable(error)
        try:
            pickle.dump(answer, answers)
            answers.flush()
        except BrokenPipeError:
            return


def _use_cores(count: int) -> None:
    import torch

    limit_cores(count)
    torch.set_num_threads(count)


def _portable(error: Exception) -> Exception:
    """The exception, or its text where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return SolverError("".join(traceback.format_exception(error)))
    return error
