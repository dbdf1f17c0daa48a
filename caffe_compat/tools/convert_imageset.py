"""``convert_imageset ROOTFOLDER/ LISTFILE DB_NAME``: pictures and their labels into an LMDB of Datums.

    caffe-compat convert_imageset -resize_width=256 -resize_height=256 -shuffle images/ train.txt train_lmdb

Each line of LISTFILE is a path and a whole number; the path is put after ROOTFOLDER as it is. Keys are the line's
number, from 0, in eight digits, an underscore, and the path. As in Caffe, a picture that cannot be read is logged and
left out; unlike it, we make no database at all if none can be read.

Source: BVLC/caffe tools/convert_imageset.cpp, src/caffe/util/io.cpp (ReadImageToDatum).
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import click

from caffe_compat import glog
from caffe_compat.errors import DataError
from caffe_compat.layer.data.image_data import read_image
from caffe_compat.layer.data.random_stream import RandomStream
from caffe_compat.layer.data.resize import resize_bilinear
from caffe_compat.proto.caffe_pb2 import Datum
from caffe_compat.proto.datum import array_to_datum
from caffe_compat.tools.flags import FlagCommand, flag, switch
from caffe_compat.tools.lmdb_file import creating_lmdb
from caffe_compat.tools.picture_files import encode_picture

__all__ = ["check_backend", "convert_imageset"]

_log = logging.getLogger(__name__)


@click.command(cls=FlagCommand)
@click.argument("root_folder", metavar="ROOTFOLDER/")
@click.argument("list_file", metavar="LISTFILE")
@click.argument("db_name", metavar="DB_NAME")
@switch("gray", "Store one channel, luminance.")
@switch("shuffle", "Store the pictures in random order.")
@flag("backend", "The kind of database: lmdb.", "lmdb")
@flag("resize_width", "Width to resize to, pixels.", 0, click.IntRange(min=0))
@flag("resize_height", "Height to resize to, pixels.", 0, click.IntRange(min=0))
@switch("check_size", "Stop at a picture of another size than the first.")
@switch("encoded", "Store picture files, not pixels.")
@flag("encode_type", "What to encode them as: png, jpg, ...; by default, what the file's name says.")
def convert_imageset(
    root_folder: str,
    list_file: str,
    db_name: str,
    gray: bool,
    shuffle: bool,
    backend: str,
    resize_width: int,
    resize_height: int,
    check_size: bool,
    encoded: bool,
    encode_type: str,
) -> None:
    """Store the pictures that LISTFILE names, with their labels, in the new LMDB DB_NAME."""
    check_backend(backend)
    if bool(resize_width) != bool(resize_height):
        raise click.UsageError("-resize_width and -resize_height: give both or neither")
    if encode_type and not encoded:
        glog.info("convert_imageset.cpp:82", "encode_type specified, assuming encoded=true.")
    lines = _read_list(list_file)
    if shuffle:
        glog.info("convert_imageset.cpp:86", "Shuffling data")
        lines = [lines[i] for i in RandomStream().permutation(len(lines))]
    glog.info("convert_imageset.cpp:89", f"A total of {len(lines)} images.")
    wanted = _Wanted(not gray, resize_height, resize_width, encoded or bool(encode_type), encode_type)
    count, values = 0, 0
    with creating_lmdb(db_name) as db:
        for number, (path, label) in enumerate(lines):
            try:
                datum = wanted.datum(root_folder, path, label)
            except DataError as error:
                _log.error("%s", error)
                continue
            if check_size and count and len(datum.data) != values:
                raise DataError(
                    f"{root_folder}{path}: {len(datum.data)} bytes, where the first picture has {values}; "
                    "resize the pictures, or leave -check_size out"
                )
            values = values or len(datum.data)
            db.put(f"{number:08d}_{path}", datum.SerializeToString())
            count += 1
            if count % 1000 == 0:
                glog.info("convert_imageset.cpp:147", f"Processed {count} files.")
        if not count:
            joined = not root_folder.endswith("/") and Path(root_folder).is_dir()
            correct = f"write {root_folder}/, the names are put right behind it" if joined else f"it or {root_folder}"
            raise DataError(f"{list_file}: none of its {len(lines)} pictures can be read; correct: {correct}")
    if count % 1000:
        glog.info("convert_imageset.cpp:153", f"Processed {count} files.")
    if count < len(lines):
        glog.warning(f"{db_name}: {len(lines) - count} of {len(lines)} pictures were left out, see above")


def check_backend(backend: str) -> None:
    """Refuse kinds of database other than LMDB.

    Raises:
        click.UsageError: another kind.
    """
    if backend != "lmdb":
        raise click.UsageError(f"databases of kind '{backend}' are not made here; use lmdb")


def _read_list(path: str) -> list[tuple[str, int]]:
    try:
        text = Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise DataError(
            f'{path}: cannot be read: {error.strerror}; a list of "path label" lines was expected'
        ) from None
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        name, _, label = line.rstrip().rpartition(" ")
        if not line.strip():
            continue
        if not name or not label.lstrip("-").isdecimal():
            raise DataError(f"{path}: line {number}: '{line}' is not \"path label\" with a whole number as label")
        lines.append((name, int(label)))
    if not lines:
        raise DataError(f'{path}: lists no pictures; write one "path label" per line')
    return lines


@dataclass(frozen=True)
class _Wanted:
    """What is to become of each picture."""

    color: bool
    height: int
    width: int
    encoded: bool
    encode_type: str

    def datum(self, root: str, path: str, label: int) -> Datum:
        image = read_image(root + path, self.color, "Could not open or find file")
        if self.height:
            image = resize_bilinear(image, self.height, self.width)
        if not self.encoded:
            datum = array_to_datum(image, label)
            datum.encoded = False  # written out, as Caffe does
            return datum
        extension = Path(path).suffix.removeprefix(".").lower()
        kind = self.encode_type.lower() or extension
        if not kind:
            raise DataError(f"{root}{path}: its name has no extension to encode it by; give encode_type")
        if not self.height and (kind == extension or (kind, extension) == ("jpg", "jpeg")):
            data = Path(root + path).read_bytes()
        else:
            data = encode_picture(image, kind, root + path)
        return Datum(data=data, label=label, encoded=True)
