"""What the C library does with memory that is freed: keep it for the next call, instead of giving it back.

glibc gives large blocks back to the system as soon as they are freed, and takes them anew, page by page, for the next
map: a fifth of the time of a lean forward and of a solver step. The setting is the process's, for everything in it; it
holds some 256 MB at most that would have been given back, 512 MB where nets learn. Other C libraries are left as they
are, and so is a glibc that was set from outside, by GLIBC_TUNABLES or an environment variable MALLOC_..._.

Source: mallopt(3).
"""

import ctypes
import os

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGE_BYTES, _KEPT_BYTES = 24 << 20, 256 << 20  # larger blocks are still given back: weights, the largest maps
_LARGE_BYTES_LEARNING, _KEPT_BYTES_LEARNING = 128 << 20, 512 << 20  # such maps are many: each layer has its gradient

_asked: list[bool] = []


def keep_freed_memory(learning: bool = False) -> bool:
    """Let freed memory be used again by this process; what was asked for once stays.

    Args:
        learning: whether to keep what solvers use.

    Returns:
        Whether the C library was told so now.
    """
    if learning in _asked or True in _asked or _is_set_from_outside():
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    _asked.append(learning)
    large, kept = (_LARGE_BYTES_LEARNING, _KEPT_BYTES_LEARNING) if learning else (_LARGE_BYTES, _KEPT_BYTES)
    return bool(mallopt(_M_MMAP_THRESHOLD, large)) and bool(mallopt(_M_TRIM_THRESHOLD, kept))


def _is_set_from_outside() -> bool:
    """Whether the user has chosen thresholds for malloc."""
    names = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")
    return any(name in os.environ for name in names) or "_threshold" in os.environ.get("GLIBC_TUNABLES", "")
