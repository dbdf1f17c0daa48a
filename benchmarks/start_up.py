"""What importing costs, beside PyTorch's own import: seconds from a process's start to its end.

    python benchmarks/start_up.py                 medians of 7 rounds

The programs take turns, round after round, each in a process of its own, after one round that is not counted.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

PROGRAMS = {
    "import torch": ["-c", "import torch"],
    "import caffe_compat": ["-c", "import caffe_compat"],
    "import caffe_compat; caffe_compat.Net": ["-c", "import caffe_compat; caffe_compat.Net"],
    "python -m data_prep --help": ["-m", "data_prep", "--help"],
    "what a data_prep process imports": ["-c", "import data_prep.jobs, data_prep.records, data_prep.voc"],
}


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for turn in range(rounds + 1):
        for name, arguments in PROGRAMS.items():
            begin = time.perf_counter()
            root = Path(__file__).resolve().parents[1]
            subprocess.run([sys.executable, *arguments], cwd=root, stdout=subprocess.DEVNULL, check=True)
            if turn:
                seconds[name].append(time.perf_counter() - begin)
    torch = median(seconds["import torch"])
    print(f"{'program':<40}{'seconds':>9}{'of torch':>10}")
    for name, times in seconds.items():
        print(f"{name:<40}{median(times):>9.2f}{median(times) / torch:>8.2f} x")


if __name__ == "__main__":
    main()
