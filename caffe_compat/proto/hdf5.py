"""Caffe's HDF5 layouts: weights as /data/<layer>/<i>, solver states as iter, learned_net, current_step, history/<i>.

Source: BVLC/caffe src/caffe/net.cpp (ToHDF5), src/caffe/solvers/sgd_solver.cpp (SnapshotSolverStateToHDF5),
src/caffe/util/hdf5.cpp.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import h5py
import numpy as np

from caffe_compat.errors import WeightsError
from caffe_compat.proto.blobs import check_shape
from caffe_compat.proto.whole_file import replacing

__all__ = ["read_layers", "read_state", "write_layers", "write_state"]

Blobs = Sequence[np.ndarray | None]


@contextmanager
def _opened(source: str, wanted: str) -> Iterator[h5py.File]:
    try:
        with h5py.File(source, "r") as file:
            yield file
    except WeightsError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{source}: cannot be read as HDF5: {error}; {wanted} was expected, it is damaged") from None


def read_layers(source: str) -> list[tuple[str, list[np.ndarray | None], list[np.ndarray | None]]]:
    """Name, blobs and diffs of every layer, in alphabetical order; what is left out is None.

    Raises:
        WeightsError: damaged, no /data, a dataset that is no blob.
    """
    with _opened(source, "a caffemodel") as file:
        data = file.get("data")
        if not isinstance(data, h5py.Group):
            raise WeightsError(f"{source}: holds no group /data; a caffemodel was expected")
        diff = file.get("diff")
        layers = []
        for name, group in _layer_groups(data, ""):
            diffs = diff.get(name) if isinstance(diff, h5py.Group) else None
            blobs = _numbered(group, source)
            layers.append((name, blobs, _numbered(diffs, source) if isinstance(diffs, h5py.Group) else []))
        if not layers:
            raise WeightsError(f"{source}: holds no layers; a caffemodel was expected")
        return layers


def _layer_groups(parent: h5py.Group, prefix: str) -> Iterator[tuple[str, h5py.Group]]:
    """Groups that hold datasets or nothing; a slash in a layer's name makes groups in groups."""
    for name, child in parent.items():
        if not isinstance(child, h5py.Group):
            continue
        inner = list(_layer_groups(child, f"{prefix}{name}/"))
        if not inner or any(isinstance(member, h5py.Dataset) for member in child.values()):
            yield prefix + name, child
        yield from inner


def _numbered(group: h5py.Group, source: str) -> list[np.ndarray | None]:
    """Datasets called 0, 1, ... as a list; a missing number is None."""
    datasets = {name: member for name, member in group.items() if isinstance(member, h5py.Dataset)}
    for name in datasets:
        if not isinstance(name, str) or not name.isdecimal() or int(name) > 10**6:  # bytes where not UTF-8
            raise WeightsError(
                f"{source}: {group.name}/{name!s}: a blob's name must be its number; the file is damaged"
            )
    count = max(map(int, datasets), default=-1) + 1
    return [_array(datasets[str(i)], source) if str(i) in datasets else None for i in range(count)]


def _array(dataset: h5py.Dataset, source: str) -> np.ndarray:
    where = f"{source}: {dataset.name}"
    if dataset.shape is None or dataset.dtype.kind not in "fiu":
        raise WeightsError(f"{where}: holds {dataset.dtype}, not numbers; the file is damaged")
    count = check_shape(dataset.shape, where)
    stored = dataset.id.get_storage_size()
    if count and not stored:
        raise WeightsError(f"{where}: its {count} values were never written; the file is damaged")
    if dataset.chunks is None and stored < count * dataset.dtype.itemsize:
        raise WeightsError(f"{where}: {stored} bytes for {count} values; the file is damaged")
    array = np.empty(dataset.shape, np.float32)
    if count:
        dataset.read_direct(array)
    return array


def read_state(source: str) -> tuple[int, str, int, list[np.ndarray]]:
    """iter, learned_net, current_step and history of a solverstate.

    Raises:
        WeightsError: damaged, a part is missing, a gap in the history.
    """
    with _opened(source, "a solverstate") as file:
        history = file.get("history")
        if not isinstance(history, h5py.Group):
            raise WeightsError(f"{source}: holds no group /history; a solverstate was expected")
        arrays = []
        for i, array in enumerate(_numbered(history, source)):
            if array is None:
                raise WeightsError(f"{source}: /history/{i} is missing; the file is damaged")
            arrays.append(array)
        return _number(file, "iter", source), _string(file, source), _number(file, "current_step", source), arrays


def _number(file: h5py.File, name: str, source: str) -> int:
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset) or dataset.size != 1 or dataset.dtype.kind not in "iu":
        raise WeightsError(f"{source}: /{name} is not one whole number; a solverstate was expected")
    return int(np.asarray(dataset[()]).reshape(()))


def _string(file: h5py.File, source: str) -> str:
    if "learned_net" not in file:
        return ""
    dataset = file["learned_net"]
    if not isinstance(dataset, h5py.Dataset) or dataset.size != 1 or h5py.check_string_dtype(dataset.dtype) is None:
        raise WeightsError(f"{source}: /learned_net is not a string; a solverstate was expected")
    value = np.asarray(dataset[()]).reshape(()).item()
    return value.split(b"\0")[0].decode() if isinstance(value, bytes) else str(value)


@contextmanager
def _created(source: str) -> Iterator[h5py.File]:
    try:
        with replacing(source) as temporary, h5py.File(temporary, "w") as file:
            yield file
    except WeightsError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"{source}: cannot be written: {reason}") from error


def write_layers(source: str, layers: Sequence[tuple[str, Blobs, Blobs]]) -> None:
    """Write /data/<layer>/<i>, and /diff/<layer>/<i> if any layer has diffs; None is left out.

    Raises:
        WeightsError: two layers of one name, an unusable name, an impossible shape, the file cannot be written.
    """
    with _created(source) as file:
        with_diffs = any(diffs for _, _, diffs in layers)
        data = file.create_group("data")
        diff = file.create_group("diff") if with_diffs else None
        seen = set()
        for name, blobs, diffs in layers:
            if name in seen or not name.strip("/."):
                fault = "two layers have this name" if name in seen else "HDF5 cannot hold this name"
                raise WeightsError(f"{source}: layer '{name}': {fault}; rename the layer or save in binary form")
            seen.add(name)
            _put(data.require_group(name), blobs, source)
            if diff is not None:
                _put(diff.require_group(name), diffs, source)


def _put(group: h5py.Group, arrays: Blobs, source: str) -> None:
    for i, array in enumerate(arrays):
        if array is not None:
            check_shape(array.shape, f"{source}: {group.name}/{i}")
            group.create_dataset(str(i), data=np.ascontiguousarray(array, np.float32).reshape(array.shape))


def write_state(source: str, iter_: int, learned_net: str, current_step: int, history: Sequence[np.ndarray]) -> None:
    """Write a solverstate. learned_net is a fixed-length C string: Caffe aborts on a variable-length one.

    Raises:
        WeightsError: an impossible shape, the file cannot be written.
    """
    with _created(source) as file:
        file.create_dataset("iter", data=np.array([iter_], np.int32))
        text = learned_net.encode() + b"\0"
        string = h5py.h5t.C_S1.copy()
        string.set_size(len(text))
        space = h5py.h5s.create(h5py.h5s.SCALAR)
        dataset = h5py.h5d.create(file.id, b"learned_net", string, space)
        dataset.write(space, space, np.array(text, f"S{len(text)}"), string)
        file.create_dataset("current_step", data=np.array([current_step], np.int32))
        _put(file.create_group("history"), history, source)
