"""Weights in files of several kinds, told by suffix; every reader gives layers, every writer takes them.

    .caffemodel                     binary protobuf, of any age
    .caffemodel.h5, .h5, .hdf5      Caffe's HDF5
    .npz                            numpy: one array per blob, keys ``layer/0``, ``layer/1``, ...
    .pt, .pth                       torch state_dict: keys ``layer.weight``, ``layer.bias``, ``layer.blob2``, ...
    .safetensors                    the same keys

The number of a blob alone decides its key: blob 0 is ``weight`` and blob 1 ``bias`` whatever the layer's type (those of
a BatchNorm are its sums of means and of variances). Values are float32. The last three kinds hold neither gradients nor
the layers' types and definitions, and their files hold nothing that could run: a .pt loads with ``weights_only=True``.
"""

import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from caffe_compat.errors import WeightsError
from caffe_compat.proto.blobs import check_shape
from caffe_compat.proto.weights import LayerWeights, read_caffemodel, write_caffemodel, write_caffemodel_h5
from caffe_compat.proto.whole_file import replacing
from caffe_compat.tools import safetensors_file

__all__ = ["SUFFIXES", "read_weights", "suffix_of", "write_weights"]

SUFFIXES = (".caffemodel", ".caffemodel.h5", ".h5", ".hdf5", ".npz", ".pt", ".pth", ".safetensors")
Arrays = dict[str, np.ndarray]
Splitter = Callable[[str, str], tuple[str, int]]
_MOST_BLOBS = 10**6


def suffix_of(path: str) -> str:
    """Which of SUFFIXES the file's name ends in, with ``.h5`` for all of HDF5's and ``.pt`` for ``.pth``.

    Raises:
        WeightsError: none of them.
    """
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        whole = "; a whole net is written as ONNX by caffe-compat export" if suffix == ".onnx" else ""
        known = ", ".join(SUFFIXES)
        raise WeightsError(f"{path}: the suffix '{suffix}' stands for no kind of weights; known: {known}{whole}")
    return {".hdf5": ".h5", ".pth": ".pt"}.get(suffix, suffix)


def read_weights(path: str) -> list[LayerWeights]:
    """The layers in a file; arrays are views of the file where its kind allows it.

    Raises:
        WeightsError: an unknown suffix; a file that is missing, damaged or of another kind; a key or value that no
            Caffe blob has.
    """
    suffix = suffix_of(path)
    if suffix in (".caffemodel", ".h5"):
        return read_caffemodel(path)
    if suffix == ".npz":
        return _layers(_read_npz(path), _split_number, path)
    if suffix == ".pt":
        return _layers(_read_torch(path), _split_word, path)
    return _layers(safetensors_file.read(path), _split_word, path)


def write_weights(path: str, layers: Sequence[LayerWeights], net_name: str = "") -> None:
    """Write the layers; the file appears whole or not at all.

    Args:
        path: the file; its suffix says of which kind.
        layers: in order; blobs that are None are left out, which a .caffemodel does not allow.
        net_name: for a .caffemodel; the other kinds do not hold it.

    Raises:
        WeightsError: an unknown suffix, two blobs of one key, a blob left out of a .caffemodel, or the file cannot be
            written.
    """
    suffix = suffix_of(path)
    if suffix == ".caffemodel":
        write_caffemodel(path, net_name, layers)
    elif suffix == ".h5":
        write_caffemodel_h5(path, layers)
    elif suffix == ".npz":
        _write(path, _keyed(layers, "{}/{}".format, path), _save_npz)
    elif suffix == ".pt":
        _write(path, _keyed(layers, _word_key, path), _save_torch)
    else:
        _write(path, _keyed(layers, _word_key, path), safetensors_file.save)


# -- keys ------------------------------------------------------------------------------------------------------------


def _word_key(layer: str, index: int) -> str:
    return f"{layer}.{('weight', 'bias')[index] if index < 2 else f'blob{index}'}"


def _keyed(layers: Sequence[LayerWeights], key: Callable[[str, int], str], source: str) -> Arrays:
    arrays: Arrays = {}
    for layer in layers:
        for i, blob in enumerate(layer.blobs):
            if blob is None:
                continue
            if key(layer.name, i) in arrays:
                raise WeightsError(f"{source}: two layers are called '{layer.name}'; rename one of them")
            arrays[key(layer.name, i)] = blob
    return arrays


def _split_number(key: str, source: str) -> tuple[str, int]:
    layer, _, number = key.rpartition("/")
    if not layer or not number.isdecimal() or int(number) > _MOST_BLOBS:
        raise WeightsError(f"{source}: key '{key}' is no blob's; keys are 'layer/0', 'layer/1', ...")
    return layer, int(number)


def _split_word(key: str, source: str) -> tuple[str, int]:
    layer, _, word = key.rpartition(".")
    number = word.removeprefix("blob")
    index = {"weight": 0, "bias": 1}.get(word)
    if index is None and number != word and number.isdecimal() and 2 <= int(number) <= _MOST_BLOBS:
        index = int(number)
    if not layer or index is None:
        raise WeightsError(
            f"{source}: key '{key}' is no blob's; keys are 'layer.weight', 'layer.bias', 'layer.blob2', ...: "
            "rename or delete it"
        )
    return layer, index


def _layers(arrays: Mapping[str, np.ndarray], split: Splitter, source: str) -> list[LayerWeights]:
    layers: dict[str, LayerWeights] = {}
    for key, array in arrays.items():
        name, index = split(key, source)
        blobs = layers.setdefault(name, LayerWeights(name)).blobs
        blobs.extend([None] * (index + 1 - len(blobs)))
        blobs[index] = _float32(array, f"{source}: '{key}'")
    if not layers:
        raise WeightsError(f"{source}: holds no blobs")
    return list(layers.values())


def _float32(array: np.ndarray, where: str) -> np.ndarray:
    """The same values as float32; narrower types always fit."""
    check_shape(array.shape, where)
    if array.dtype == np.float32:
        return array
    if array.dtype.kind not in "fiu":
        raise WeightsError(f"{where}: holds {array.dtype}, not numbers; delete it")
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    if not np.array_equal(values.astype(array.dtype), array, equal_nan=array.dtype.kind == "f"):
        raise WeightsError(f"{where}: holds {array.dtype} values that float32 does not have; round them first")
    return values


# -- numpy and torch ---------------------------------------------------------------------------------------------------


@contextmanager
def _opening(path: str, kind: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file; {kind} was expected") from None
    except IsADirectoryError:
        raise WeightsError(f"{path}: is a directory; {kind} was expected") from None
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        if isinstance(error, WeightsError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path}: cannot be read: {reason}; {kind} was expected") from None


def _read_npz(path: str) -> Arrays:
    with _opening(path, "a numpy .npz"), open(path, "rb") as file:
        members = np.load(file, allow_pickle=False)
        if isinstance(members, np.ndarray):
            raise WeightsError(f"{path}: holds a single array; a numpy .npz was expected")
        return {key: members[key] for key in members.files}


def _read_torch(path: str) -> Arrays:
    with _opening(path, "a torch state_dict"):
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path}: is not a state_dict (names to tensors); save model.state_dict()")
    wide = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor for tensor in state.values())
    return {str(key): tensor.detach().numpy() for key, tensor in zip(state, wide, strict=True)}


def _save_npz(path: Path, arrays: Arrays) -> None:
    members: dict[str, Any] = dict(arrays)  # for type checkers, which take any keyword for one of savez's own
    with path.open("wb") as file:
        np.savez(file, **members)


def _save_torch(path: Path, arrays: Arrays) -> None:
    torch.save({key: torch.from_numpy(np.array(array, order="C")) for key, array in arrays.items()}, path)


def _write(path: str, arrays: Arrays, save: Callable[[Path, Arrays], None]) -> None:
    try:
        with replacing(path) as temporary:
            save(temporary, arrays)
    except (OSError, RuntimeError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from error
