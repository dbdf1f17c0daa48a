"""What was measured on: processor, memory, versions, threads."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["describe", "lines"]

_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "bf16", "sve")
_PACKAGES = (
    "caffe-compat", "numpy", "torch", "opencv-python-headless", "onnxruntime", "openvino", "ncnn", "onnx", "lmdb",
)  # fmt: skip


def describe(threads: int) -> dict[str, Any]:
    """Facts about this machine, as JSON can hold them.

    Args:
        threads: given to every engine.
    """
    info = _key_values(Path("/proc/cpuinfo"))
    flags = set((info.get("flags") or info.get("Features") or "").split())
    memory = _key_values(Path("/proc/meminfo")).get("MemTotal", "0 kB")
    return {
        "processor": info.get("model name") or platform.processor() or platform.machine(),
        "instructions": [flag for flag in _FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "threads": threads,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "ram_bytes": int(memory.split()[0]) * 1024,
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def lines(machine: dict[str, Any]) -> list[str]:
    """The same to print."""
    there = [f"{name} {version}" for name, version in machine["packages"].items() if version]
    missing = [name for name, version in machine["packages"].items() if not version]
    outside = machine["OMP_NUM_THREADS"]
    instructions = " ".join(machine["instructions"]) or "instructions unknown"
    return [
        f"{machine['processor']}, {machine['cores']} cores, {instructions}",
        f"{machine['threads']} threads for every engine (OMP_NUM_THREADS outside: {outside or 'not set'}), "
        f"{machine['ram_bytes'] / 1e9:.1f} GB RAM, load {(machine['load_average'] or [0])[0]:.1f} at the start",
        f"{machine['system']}, Python {machine['python']}, {', '.join(there)}",
        *([f"not installed: {', '.join(missing)}"] if missing else []),
    ]


def _key_values(path: Path) -> dict[str, str]:
    """First ``key : value`` of each key of a /proc file; empty where there is none."""
    found: dict[str, str] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), value.strip())
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
