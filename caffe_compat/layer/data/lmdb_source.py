"""Reading an LMDB, such as convert_imageset writes: keys in order, and what is damaged as an error.

The LMDB library maps the file and trusts every offset in it, so that a truncated or damaged database ends the process
with SIGBUS or SIGSEGV. This reader checks each page before using it and reads with ``pread``, so damage is a DataError
and any number of readers, in any threads, may have the same database open. It takes no lock: do not write to the
database meanwhile.

A database is a file of pages: two copies of the meta page (the one with the larger transaction number counts), then a
B+tree of branch and leaf pages, and overflow pages for the values that do not fit into a leaf. Numbers are little
endian, sizes 8 bytes.

Source: LMDB 0.9, lmdb.h and the page layout in mdb.c (data version 1).
"""

import os
import struct
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from caffe_compat.errors import DataError

__all__ = ["LMDBReader"]

_MAGIC = 0xBEEFC0DE
_DATA_VERSION = 1
_PAGE_HEADER = struct.Struct("<QHHHH")  # number, pad, flags, end of the node offsets, start of the nodes
_META = struct.Struct("<IIQQ")  # magic, version, address, map size; then two trees, last page, transaction
_TREE = struct.Struct("<IHHQQQQQ")  # pad (page size, in the first tree), flags, depth, 3 page counts, entries, root
_NODE = struct.Struct("<HHHH")  # value size low, high (branch: page number low, middle), flags (branch: high), key size
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4
_BIG_VALUE = 1
_NO_ROOT = 2**64 - 1
_MOST_DEPTH = 32


class _Node(NamedTuple):
    key: bytes
    value: bytes | None  # None: on overflow pages
    page: int  # a branch's child, or the first overflow page
    size: int  # bytes of the value


class LMDBReader:
    """The records of one LMDB folder, in the order of their keys.

    Args:
        path: the folder that holds ``data.mdb``.

    Raises:
        DataError: there is no such folder or database, it is no LMDB, or it is cut off.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        file = _find_file(Path(self.path))
        try:
            self._file = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise DataError(f"{file}: cannot be opened: {error.strerror}; check its permissions") from error
        self._close = weakref.finalize(self, os.close, self._file)
        try:
            self._read_meta(os.fstat(self._file).st_size)
        except DataError:
            self.close()
            raise

    @property
    def keys_count(self) -> int:
        """How many records there are."""
        return self._entries

    def get(self, key: bytes) -> bytes | None:
        """The value of a key; None where there is no such key.

        Raises:
            DataError: the database is damaged on the way there.
        """
        number, level = self._root, 1
        while self._entries:
            page = self._page(number, level)
            nodes = self._nodes(page, number, level)
            if level == self._depth:
                return next((self._value(node) for node in nodes if node.key == key), None)
            # a branch's first key stands for "anything smaller"
            number = [node.page for i, node in enumerate(nodes) if i == 0 or node.key <= key][-1]
            level += 1
        return None

    def items(self, start_index: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in key order, from record number ``start_index`` (from 0) to the end.

        Raises:
            DataError: while iterating, where the database is damaged.
        """
        for node in self._records(start_index):
            yield node.key, self._value(node)

    def keys(self, start_index: int = 0) -> Iterator[bytes]:
        """Keys alone, without reading large values.

        Raises:
            DataError: while iterating, where the database is damaged.
        """
        for node in self._records(start_index):
            yield node.key

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        self._close()

    # -- pages ---------------------------------------------------------------------------------------------------------

    def _read_meta(self, size: int) -> None:
        head = self._read(0, min(size, 4096))
        if len(head) < 16 + _META.size + 2 * _TREE.size + 16 or not self._is_meta(head):
            raise DataError(f"{self.path}: data.mdb ({size} bytes) is not an LMDB; rebuild it, or correct the path")
        self._page_size = page_size = struct.unpack_from("<I", head, 16 + _META.size)[0]
        if page_size & (page_size - 1) or not 512 <= page_size <= 65536:
            raise DataError(f"{self.path}: data.mdb claims pages of {page_size} bytes: it is damaged; rebuild it")
        second = self._read(page_size, 256)
        if len(second) < 256 or not self._is_meta(second):
            raise DataError(
                f"{self.path}: data.mdb is cut off or damaged: its second meta page, bytes {page_size} to "
                f"{2 * page_size}, is not there; {size} bytes found; copy or rebuild it"
            )
        at = 16 + _META.size + 2 * _TREE.size
        newest = max(head, second, key=lambda meta: struct.unpack_from("<QQ", meta, at)[1])
        self._last_page = struct.unpack_from("<QQ", newest, at)[0]
        expected = (self._last_page + 1) * page_size
        if expected > size:
            raise DataError(
                f"{self.path}: data.mdb is cut off: {expected} bytes expected, {size} found; copy or rebuild it"
            )
        _, flags, self._depth, _, _, _, self._entries, self._root = _TREE.unpack_from(newest, 16 + _META.size + 48)
        if flags & 0x7F:
            raise DataError(
                f"{self.path}: data.mdb has flags {flags:#x} (duplicate or reversed keys); Caffe's have none"
            )
        if self._root == _NO_ROOT:
            self._entries = 0
        if self._entries and not 1 <= self._depth <= _MOST_DEPTH:
            raise self._damaged(0, f"a tree of depth {self._depth}")

    @staticmethod
    def _is_meta(page: bytes) -> bool:
        return _META.unpack_from(page, 16)[:2] == (_MAGIC, _DATA_VERSION)

    def _read(self, start: int, size: int) -> bytes:
        if not self._close.alive:
            raise DataError(f"{self.path}: read after close()")
        return os.pread(self._file, size, start)

    def _damaged(self, page: int, what: str) -> DataError:
        return DataError(f"{self.path}: data.mdb is damaged at page {page}: {what}; rebuild it")

    def _page(self, number: int, level: int) -> bytes:
        """A branch page, or at the tree's depth a leaf page, whose header is sound."""
        if not 2 <= number <= self._last_page:
            raise self._damaged(number, f"pages go from 2 to {self._last_page}")
        page = self._read(number * self._page_size, self._page_size)
        if len(page) < self._page_size:
            raise self._damaged(number, f"{self._page_size} bytes expected, {len(page)} found")
        own, _, flags, lower, upper = _PAGE_HEADER.unpack_from(page)
        kind = _LEAF if level == self._depth else _BRANCH
        if own != number or flags & 0x2F != kind:
            raise self._damaged(number, f"a {'leaf' if kind == _LEAF else 'branch'} page was expected")
        if not _PAGE_HEADER.size < lower <= upper <= self._page_size or lower % 2:
            raise self._damaged(number, f"nodes from {upper} after offsets up to {lower}")
        return page

    def _nodes(self, page: bytes, number: int, level: int) -> list[_Node]:
        lower = _PAGE_HEADER.unpack_from(page)[3]
        count = _node_count(page)
        return [
            self._node(page, number, offset, lower, level == self._depth)
            for offset in struct.unpack_from(f"<{count}H", page, _PAGE_HEADER.size)
        ]

    def _node(self, page: bytes, number: int, offset: int, lower: int, leaf: bool) -> _Node:
        if not lower <= offset <= self._page_size - _NODE.size:
            raise self._damaged(number, f"a node at byte {offset}")
        low, high, flags, key_size = _NODE.unpack_from(page, offset)
        at = offset + _NODE.size + key_size
        key = page[offset + _NODE.size : at]
        size = low | high << 16
        stored = 0 if not leaf else 8 if flags & _BIG_VALUE else size
        if at + stored > self._page_size:
            raise self._damaged(number, f"a node of {at + stored - offset} bytes at byte {offset}")
        if not leaf:
            return _Node(key, None, size | flags << 32, 0)
        if flags & ~_BIG_VALUE:
            raise DataError(f"{self.path}: key {key!r} is a database within the database; Caffe's LMDBs have none")
        if flags & _BIG_VALUE:
            return _Node(key, None, struct.unpack_from("<Q", page, at)[0], size)
        return _Node(key, page[at : at + size], 0, size)

    def _leaves(self, number: int, level: int) -> Iterator[tuple[int, bytes]]:
        page = self._page(number, level)
        if level == self._depth:
            yield number, page
        else:
            for node in self._nodes(page, number, level):
                yield from self._leaves(node.page, level + 1)

    def _records(self, start: int) -> Iterator[_Node]:
        if not 0 <= start <= self._entries:
            raise DataError(f"{self.path}: record {start} asked for; there are {self._entries}, numbered from 0")
        seen = 0
        last_key: bytes | None = None
        for number, page in self._leaves(self._root, 1) if self._entries else ():
            count = _node_count(page)
            if seen + count > self._entries:
                raise self._damaged(number, f"more records than the {self._entries} it should hold")
            if seen + count > start:
                for node in self._nodes(page, number, self._depth)[max(start - seen, 0) :]:
                    if last_key is not None and node.key <= last_key:
                        raise self._damaged(number, f"key {node.key!r} after {last_key!r}")
                    last_key = node.key
                    yield node
            seen += count
        if seen != self._entries:
            raise self._damaged(self._root, f"{seen} records where {self._entries} were expected")

    def _value(self, node: _Node) -> bytes:
        if node.value is not None:
            return node.value
        start = node.page * self._page_size
        pages = -(-(_PAGE_HEADER.size + node.size) // self._page_size)
        if not 2 <= node.page or node.page + pages - 1 > self._last_page:
            raise self._damaged(node.page, f"the value of key {node.key!r}, {node.size} bytes, ends after the file")
        header = self._read(start, _PAGE_HEADER.size)
        if len(header) == _PAGE_HEADER.size:
            own, _, flags, low, high = _PAGE_HEADER.unpack(header)
            if own != node.page or not flags & _OVERFLOW or (low | high << 16) < pages:
                raise self._damaged(node.page, f"the value of key {node.key!r} was expected")
        value = self._read(start + _PAGE_HEADER.size, node.size)
        if len(value) != node.size:
            raise self._damaged(node.page, f"the value of key {node.key!r} has {node.size} bytes, {len(value)} found")
        return value


def _node_count(page: bytes) -> int:
    lower: int = _PAGE_HEADER.unpack_from(page)[3]
    return (lower - _PAGE_HEADER.size) // 2


def _find_file(folder: Path) -> Path:
    if not folder.exists():
        raise DataError(f"{folder}: there is no such LMDB folder; correct the path (it is relative to {Path.cwd()})")
    if not folder.is_dir():
        raise DataError(f"{folder}: is a file; name the folder that holds data.mdb")
    file = folder / "data.mdb"
    if not file.is_file():
        if (folder / "CURRENT").is_file():
            raise DataError(
                f"{folder}: is a LevelDB, which is not read here; copy its keys and values into an LMDB "
                "(with plyvel and lmdb), or build it again with convert_imageset --backend=lmdb"
            )
        raise DataError(f"{folder}: holds no data.mdb, so it is no LMDB; correct the path or build it")
    return file
