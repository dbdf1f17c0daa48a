"""Where things run and how they draw: Caffe's mode, device and random seed, for the whole process.

pycaffe's ``set_mode_cpu``, ``set_mode_gpu``, ``set_device`` and ``set_random_seed`` live here, beside what the runtime
reads: ``device()`` and ``generator()``. Caffe keeps these per thread; we keep them per process.
"""

import os
import time

import torch

from caffe_compat.errors import DeviceError

__all__ = [
    "device",
    "generator",
    "load_random_state",
    "random_state",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_random_seed",
    "stay_on_cpu",
]

_gpu_mode = False
_cpu_only = False
_device_id = 0
_generators: dict[torch.device, torch.Generator] = {}
_seed: int | None = None


def _check_cuda(device_id: int) -> None:
    if not torch.cuda.is_available():
        raise DeviceError(
            f"GPU {device_id} was asked for, but this PyTorch ({torch.__version__}) finds no CUDA device; "
            "use set_mode_cpu() or --device cpu (for a script: caffe-compat run --device cpu SCRIPT), "
            "or install a CUDA build of PyTorch and its driver"
        )
    if not 0 <= device_id < torch.cuda.device_count():
        raise DeviceError(
            f"GPU {device_id} was asked for, but there are {torch.cuda.device_count()}, numbered from 0; "
            "choose one of them in set_device() or --device"
        )


def set_mode_cpu() -> None:
    """Run nets on the CPU from their next forward or backward on."""
    global _gpu_mode
    _gpu_mode = False


def stay_on_cpu() -> None:
    """From now on ``set_mode_gpu`` and ``set_device`` change nothing: for scripts that ask for a GPU where none is."""
    global _cpu_only, _gpu_mode
    _cpu_only, _gpu_mode = True, False


def set_mode_gpu() -> None:
    """Run nets on the GPU chosen by ``set_device`` (0 unless told) from their next forward or backward on.

    Raises:
        DeviceError: there is no such CUDA device.
    """
    global _gpu_mode
    if _cpu_only:
        return
    _check_cuda(_device_id)
    _gpu_mode = True


def set_device(device_id: int) -> None:
    """Choose the GPU that GPU mode uses; does not itself switch to GPU mode.

    Raises:
        DeviceError: there is no such CUDA device.
    """
    global _device_id
    if _cpu_only:
        return
    _check_cuda(device_id)
    _device_id = device_id


def device() -> torch.device:
    """The device that nets run on now."""
    return torch.device("cuda", _device_id) if _gpu_mode else torch.device("cpu")


def set_random_seed(seed: int) -> None:
    """Seed the streams that fillers, Dropout and data layers draw from.

    Args:
        seed: 0 or more; below 0 takes a seed from the system, as Caffe does for -1.
    """
    global _seed
    _seed = seed if seed >= 0 else int.from_bytes(os.urandom(6), "little") ^ time.time_ns() & 0xFFFF
    _generators.clear()


def generator(on: torch.device | None = None) -> torch.Generator:
    """The random stream of a device (the present one unless told)."""
    on = on or device()
    if on not in _generators:
        if _seed is None:
            set_random_seed(-1)
        assert _seed is not None
        _generators[on] = torch.Generator(on).manual_seed(_seed)
    return _generators[on]


def random_state() -> dict[str, torch.Tensor]:
    """The state of every stream in use, by device name: what a bit-equal resume needs."""
    return {str(on): stream.get_state() for on, stream in _generators.items()}


def load_random_state(state: dict[str, torch.Tensor]) -> None:
    """Put back what ``random_state`` gave.

    Raises:
        DeviceError: the state names a device that is not there.
    """
    for name, value in state.items():
        on = torch.device(name)
        if on.type == "cuda":
            _check_cuda(on.index or 0)
        generator(on).set_state(value)
