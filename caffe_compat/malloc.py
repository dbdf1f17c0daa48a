"""What the C library does with memory that is freed: keep it for the next call, instead of giving it back.

glibc gives large blocks back to the system as soon as they are freed, and takes them anew, page by page, for the next
map: a third of the time of a lean forward. The setting is the process's, for everything in it; it holds some 256 MB at
most that would have been given back. Other C libraries are left as they are, and so is a glibc that was set from
outside, by GLIBC_TUNABLES or an environment variable MALLOC_..._.

Source: mallopt(3).
"""

import ctypes
import functools
import os

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGE_BYTES = 24 << 20  # larger blocks are still given back: weights, the largest maps
_KEPT_BYTES = 256 << 20


@functools.cache
def keep_freed_memory() -> bool:
    """Let freed memory be used again by this process; only the first call does something.

    Returns:
        Whether the C library does so now because of this.
    """
    if _is_set_from_outside():
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))


def _is_set_from_outside() -> bool:
    """Whether the user has chosen thresholds for malloc."""
    names = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")
    return any(name in os.environ for name in names) or "_threshold" in os.environ.get("GLIBC_TUNABLES", "")
