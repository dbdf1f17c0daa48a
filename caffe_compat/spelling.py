"""The name that was meant, where one that is not known is near one that is."""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What a message adds behind an unknown name: `` (did you mean kernel_size?)``, or nothing where no name is near.

    Upper and lower case count as the same letter, so that ``VOC-FCN8S`` is near ``voc-fcn8s``.
    """
    by_folded: dict[str, str] = {}
    for candidate in known:
        by_folded.setdefault(candidate.casefold(), candidate)
    near = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return f" (did you mean {by_folded[near[0]]}?)" if near else ""
