"""A function in a process of its own, so that its peak memory is its own and no other's threads are about."""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["Unavailable", "call", "call_here", "peak_bytes", "resident_bytes"]

_FOLDER = Path(__file__).resolve().parents[1]


class Unavailable(Exception):
    """The function needs a package, or something of this project, that is not there."""


def call(function: str, threads: int, **arguments: Any) -> dict[str, Any]:
    """What a function of the benchmarks returns, called in a new process.

    Args:
        function: ``module:function``; it returns what JSON can hold.
        threads: OpenMP's, from the start of the process on.
        arguments: by name; what JSON can hold.

    Raises:
        Unavailable: a package is not installed, or a precision is not known; the message says which.
        RuntimeError: anything else; the message is what the process printed to stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        path = os.pathsep.join([str(_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])])
        settings = {"PYTHONPATH": path, "OMP_NUM_THREADS": str(threads), "GLOG_minloglevel": "2"}
        task = json.dumps({"function": function, "arguments": arguments, "result": str(result)})
        done = subprocess.run(
            [sys.executable, "-m", "measuring.own_process", task],
            env=os.environ | settings, capture_output=True, text=True, check=False,
        )  # fmt: skip
        found = json.loads(result.read_text()) if result.exists() else {}
    if "unavailable" in found:
        raise Unavailable(found["unavailable"])
    if "returned" not in found:
        raise RuntimeError(f"{function}, exit code {done.returncode}:\n{done.stderr.strip()}")
    return dict(found["returned"])


def call_here(function: str, threads: int, **arguments: Any) -> dict[str, Any]:
    """As ``call``, in this process: peak memory is this process's then."""
    try:
        return dict(_find(function)(**arguments))
    except (ImportError, NotImplementedError) as error:
        raise Unavailable(str(error)) from error


def peak_bytes() -> int:
    """The largest resident memory that this process has had."""
    found = _status("VmHWM")
    if found is not None:
        return found
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # counts the parent's before the exec too
    return peak if sys.platform == "darwin" else peak * 1024


def resident_bytes() -> int:
    """The resident memory that this process has now; 0 where the system does not say."""
    return _status("VmRSS") or 0


def _status(key: str) -> int | None:
    """A size in /proc/self/status, bytes."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return None


def _find(function: str) -> Callable[..., dict[str, Any]]:
    module, _, name = function.partition(":")
    found: Callable[..., dict[str, Any]] = getattr(import_module(module), name)
    return found


def _serve(task: dict[str, Any]) -> None:
    outcome: dict[str, Any]
    try:
        outcome = {"returned": _find(task["function"])(**task["arguments"])}
    except (ImportError, NotImplementedError) as error:
        outcome = {"unavailable": str(error)}
    Path(task["result"]).write_text(json.dumps(outcome))


if __name__ == "__main__":
    _serve(json.loads(sys.argv[1]))
