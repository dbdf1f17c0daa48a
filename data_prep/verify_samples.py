"""Reading samples again and holding their measures against those that were taken as they were written."""

from collections.abc import Callable, Mapping
from typing import Any

from caffe_compat.errors import DataError
from data_prep.contents import facts_differ
from data_prep.jobs import Fault, run_ordered

__all__ = ["verify_samples"]

Facts = Mapping[str, Mapping[str, Any]]
"""The measures of a sample's parts, by name."""


def verify_samples(
    read: Callable[[str], Facts],
    written: Mapping[str, Facts],
    title: Callable[[str, str], str],
    jobs: int,
    progress: Callable[[int], Any],
) -> int:
    """Hold samples against their lines in the journal.

    Args:
        read: of a key, takes the measures of what is there; picklable for more than one job.
        written: the measures that were taken, by key, in the order to read in.
        title: of a part and a key, what messages call it.
        jobs: processes.
        progress: told 1 after each sample.

    Returns:
        The number of samples.

    Raises:
        DataError: the first fault.
    """
    for (_, key), result in run_ordered(read, list(enumerate(written)), jobs):
        if isinstance(result, Fault):
            raise DataError(result.message)
        for part, facts in result.items():
            difference = facts_differ(facts, written[key][part])
            if difference is not None:
                raise DataError(f"{title(part, key)}: {difference}")
        progress(1)
    return len(written)
