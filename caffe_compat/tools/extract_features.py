"""``extract_features WEIGHTS PROTOTXT BLOBS DATASETS BATCHES DB_TYPE [CPU|GPU] [DEVICE_ID]``: blobs of a net to disk.

    caffe-compat extract_features vgg16.caffemodel features.prototxt fc6,fc7 fc6_lmdb,fc7_lmdb 10 lmdb
    caffe-compat extract_features vgg16.caffemodel features.prototxt fc7 fc7.h5 10 hdf5 GPU 0

The net's own data layers give the input. An lmdb gets a Datum of floats for each item of each batch, under its number
in ten digits; an hdf5 file, which Caffe's tool does not write, gets one dataset with the blob's name, items first.

Source: BVLC/caffe tools/extract_features.cpp.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import click
import h5py
import numpy as np

from caffe_compat import glog
from caffe_compat.device import set_mode_cpu
from caffe_compat.errors import DataError
from caffe_compat.layer.blob import Blob
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from caffe_compat.proto.datum import array_to_datum
from caffe_compat.proto.whole_file import replacing
from caffe_compat.tools.device_flags import python_layers_flag, use_one_device
from caffe_compat.tools.flags import FlagCommand
from caffe_compat.tools.lmdb_file import creating_lmdb

__all__ = ["extract_features"]

Store = Callable[[Blob], None]


@click.command(cls=FlagCommand)
@click.argument("weights", metavar="WEIGHTS")
@click.argument("prototxt", metavar="PROTOTXT")
@click.argument("blobs", metavar="BLOB[,BLOB...]")
@click.argument("datasets", metavar="DATASET[,DATASET...]")
@click.argument("batches", type=click.IntRange(min=1))
@click.argument("db_type", type=click.Choice(("lmdb", "hdf5", "leveldb")))
@click.argument("mode", type=click.Choice(("CPU", "GPU")), default="CPU")
@click.argument("device_id", default="0")
@python_layers_flag
def extract_features(
    weights: str, prototxt: str, blobs: str, datasets: str, batches: int, db_type: str, mode: str, device_id: str
) -> None:
    """Run BATCHES batches of the net's own data, and store each BLOB, item by item, in the new DATASET.

    DB_TYPE is lmdb or hdf5; the last two arguments choose the device.
    """
    names, targets = blobs.split(","), datasets.split(",")
    if len(names) != len(targets):
        raise click.UsageError(f"{len(names)} blobs and {len(targets)} datasets: the numbers must be equal")
    if db_type == "leveldb":
        raise click.UsageError("databases of kind 'leveldb' are not made here; use lmdb or hdf5")
    number = device_id.removeprefix("DEVICE_ID=")
    if not number.isdecimal():
        raise click.UsageError(f"{device_id}: give the GPU's number")
    if mode == "GPU":
        use_one_device([int(number)], "extract_features.cpp:62")
    else:
        set_mode_cpu()
        glog.info("extract_features.cpp:62", "Using CPU")
    net = Net(prototxt, weights, TEST, keep=names)
    with ExitStack() as stack:
        storing = _into_lmdb if db_type == "lmdb" else _into_hdf5
        stores = []
        for name, target in zip(names, targets, strict=True):
            glog.info("extract_features.cpp:131", f"Opening dataset {target}")
            stores.append(stack.enter_context(storing(target, name)))
        glog.info("extract_features.cpp:140", "Extracting Features")
        for _ in range(batches):
            net.forward_loss()
            for name, store in zip(names, stores, strict=True):
                store(net.blobs[name])
    net.close()
    glog.info("extract_features.cpp:188", "Successfully extracted the features!")


@contextmanager
def _into_lmdb(target: str, blob_name: str) -> Iterator[Store]:
    count = 0

    def store(blob: Blob) -> None:
        nonlocal count
        shape = (blob.channels, blob.height, blob.width)
        for item in _items(blob):
            db.put(f"{count:010d}", array_to_datum(item.reshape(shape)).SerializeToString())
            count += 1

    with creating_lmdb(target) as db:
        yield store
    _tell(count, blob_name)


@contextmanager
def _into_hdf5(target: str, blob_name: str) -> Iterator[Store]:
    def store(blob: Blob) -> None:
        items = _items(blob)
        if blob_name not in file:
            file.create_dataset(blob_name, data=items, maxshape=(None, *items.shape[1:]), chunks=items.shape)
            return
        dataset = file[blob_name]
        if dataset.shape[1:] != items.shape[1:]:
            raise DataError(
                f"{target}: blob '{blob_name}' has changed from {dataset.shape[1:]} to {items.shape[1:]} for each "
                "item; use lmdb, or data of one size"
            )
        dataset.resize(len(dataset) + len(items), axis=0)
        dataset[-len(items) :] = items

    try:
        with replacing(target) as temporary, h5py.File(temporary, "w") as file:
            yield store
            count = len(file[blob_name])
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error.strerror or error}") from error
    _tell(count, blob_name)


def _items(blob: Blob) -> np.ndarray:
    """The blob's values with an axis of items first: a blob of one value is one item."""
    values = blob.tensor().cpu().contiguous().numpy()
    return values if values.ndim else values.reshape(1)


def _tell(count: int, blob_name: str) -> None:
    glog.info("extract_features.cpp:183", f"Extracted features of {count} query images for feature blob {blob_name}")
