"""``compute_image_mean INPUT_DB [OUTPUT_FILE]``: the mean of the pictures in an LMDB, as a binaryproto.

Source: BVLC/caffe tools/compute_image_mean.cpp.
"""

import click
import numpy as np

from caffe_compat import glog
from caffe_compat.errors import DataError
from caffe_compat.layer.data.lmdb_source import LMDBReader
from caffe_compat.proto.blobs import write_blobproto
from caffe_compat.proto.datum import datum_to_array, parse_datum
from caffe_compat.tools.convert_imageset import check_backend
from caffe_compat.tools.flags import FlagCommand, flag

__all__ = ["compute_image_mean", "mean_picture"]


@click.command(cls=FlagCommand)
@click.argument("input_db", metavar="INPUT_DB")
@click.argument("output_file", metavar="[OUTPUT_FILE]", required=False)
@flag("backend", "The kind of database: lmdb.", "lmdb")
def compute_image_mean(input_db: str, output_file: str | None, backend: str) -> None:
    """Write the mean picture of the LMDB INPUT_DB to OUTPUT_FILE (1 x C x H x W), and log each channel's mean."""
    check_backend(backend)
    mean, count = mean_picture(input_db)
    glog.info("compute_image_mean.cpp:101", f"Processed {count} files.")
    if output_file is not None:
        glog.info("compute_image_mean.cpp:108", f"Write to {output_file}")
        write_blobproto(output_file, mean[None], legacy=True)
    glog.info("compute_image_mean.cpp:114", f"Number of channels: {len(mean)}")
    for channel, values in enumerate(mean):
        total = np.add.accumulate(values.ravel(), dtype=np.float32)[-1]  # one by one, as Caffe adds
        glog.info("compute_image_mean.cpp:119", f"mean_value channel [{channel}]: {glog.number(total / values.size)}")


def mean_picture(path: str) -> tuple[np.ndarray, int]:
    """The mean of an LMDB's pictures, C x H x W float32 as Caffe adds it up, and their number.

    Raises:
        DataError: the database or a record is damaged, it holds no pictures, or they differ in size.
    """
    reader = LMDBReader(path)
    glog.info("db_lmdb.cpp:35", f"Opened lmdb {path}")
    total: np.ndarray | None = None
    count = 0
    for key, value in reader.items():
        where = f"{path}: {key.decode(errors='replace')}"
        datum = parse_datum(value, where)
        if total is None and datum.encoded:
            glog.info("compute_image_mean.cpp:57", "Decoding Datum")
        image = datum_to_array(datum, source=where)
        if total is None:
            glog.info("compute_image_mean.cpp:70", "Starting iteration")
            total = np.zeros(image.shape, np.float32)
        if image.shape != total.shape:
            raise DataError(f"{where}: is {image.shape}, the first picture {total.shape}; a mean needs equal sizes")
        total += image
        count += 1
        if count % 10000 == 0:
            glog.info("compute_image_mean.cpp:97", f"Processed {count} files.")
    reader.close()
    if total is None:
        raise DataError(f"{path}: holds no pictures")
    total /= np.float32(count)
    return total, count
