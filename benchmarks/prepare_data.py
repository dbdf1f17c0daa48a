"""Speed of data preparation on this machine: images a second, by number of processes.

    python benchmarks/prepare_data.py                        depth to HHA, VOC to LMDB and NYUDv2 to files and LMDB
    python benchmarks/prepare_data.py --tasks hha --images 400 --jobs 1 2 4

Images are generated, at the datasets' sizes: depth of a room with holes (425 x 560), pictures with labels
(375 x 500), whole frames (480 x 640). Times are of a whole run, files read and written and processes started. The
numbers of processes take turns, round after round; shown is the fastest round of each, and how many times faster than
with one. The seconds of processor time, of this process and of those that it starts, say what the work is: where they
add up to less than the processors could have given, others were at work, and the times are worth nothing.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

TITLES = {"hha": "depth to HHA", "voc": "VOC to LMDB", "nyud": "NYUDv2 to files and LMDB"}


def measure(task: str, images: int, jobs: list[int], rounds: int) -> None:
    """Time a task with each number of processes, and print a table."""
    from data_tasks import TASKS  # not above: the processes that it starts import this file, and wait for it

    seconds: dict[int, list[tuple[float, float, float]]] = {count: [] for count in jobs}
    with tempfile.TemporaryDirectory() as temporary:
        (source := Path(temporary) / "source").mkdir()
        run = TASKS[task](source, images)
        for turn in range(rounds):
            for count in jobs:
                begin, before = time.perf_counter(), os.times()
                run(Path(temporary) / f"out_{count}_{turn}", count)
                passed, after = time.perf_counter() - begin, os.times()
                used = [now - then for now, then in zip(after[:4], before[:4], strict=True)]
                seconds[count].append((passed, used[0] + used[1], used[2] + used[3]))
    print(f"\n{TITLES[task]}, {images} images (load {', '.join(f'{one:.1f}' for one in os.getloadavg())})")
    print(f"{'jobs':<6}{'seconds':>9}{'images/s':>10}{'faster':>9}{'own s':>9}{'workers s':>11}")
    for count in jobs:
        best, own, workers = min(seconds[count])
        faster = min(seconds[jobs[0]])[0] / best
        print(f"{count:<6}{best:>9.2f}{images / best:>10.1f}{faster:>7.2f} x{own:>9.2f}{workers:>11.2f}", flush=True)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(TITLES), default=list(TITLES))
    parser.add_argument("--images", type=int, help="images in a run; default 300, for voc 2000, for nyud 100")
    parser.add_argument("--jobs", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=2, help="turns of every number of processes")
    arguments = parser.parse_args()
    for task in arguments.tasks:
        images = arguments.images or {"hha": 300, "voc": 2000, "nyud": 100}[task]
        measure(task, images, arguments.jobs, arguments.rounds)


if __name__ == "__main__":
    main()
