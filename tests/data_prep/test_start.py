"""What data preparation imports: a command, and each process that it starts, waits for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = {"layers", "layers_nyud", "layers_pascalcontext", "layers_siftflow", "sample_layer"}
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "data_prep").rglob("*.py")
    if path.stem not in LAYERS
)
LOADERS = [
    "data_prep.jobs",
    "data_prep.voc",
    "data_prep.sbd",
    "data_prep.records",
    "data_prep.siftflow_records",
    "data_prep.pascalcontext",
    "data_prep.user_folder",
    "data_prep.nyud_records",
    "data_prep.nyud_export",
    "data_prep.hha.folder",
]


def loaded_by(modules):
    """The packages that a new process has loaded after importing the modules."""
    code = f"import {', '.join(modules)}, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_nothing_but_the_data_layers_needs_torch():
    assert {"data_prep.cli", "data_prep.__main__", *LOADERS} <= set(MODULES)
    loaded = loaded_by(MODULES)
    assert "data_prep" in loaded
    assert "torch" not in loaded
    assert "torch" in loaded_by(["data_prep.layers"])


def test_what_makes_records_starts_without_slow_packages():
    assert not loaded_by(LOADERS) & {"torch", "scipy", "h5py", "matplotlib", "click", "tqdm"}


@pytest.mark.parametrize("start", [["-m", "data_prep"], ["-c", "from data_prep.__main__ import main; main()"]])
def test_the_command_starts_without_torch(start):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *start, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Make what the nets read" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "data_prep.cli" in imported
    assert "torch" not in imported


def test_a_new_process_imports_neither_the_command_line_nor_torch(tmp_path):
    """As ``fcn-data`` starts them: the process imports the script that was started, but runs nothing of it."""
    (tmp_path / "fcn-data").write_text(
        "import sys\n"
        "from data_prep.__main__ import main\n"
        "from data_prep.jobs import run_ordered\n"
        "def names(image_id):\n"
        "    return sorted({'torch', 'click', 'scipy', 'data_prep.cli', 'data_prep.jobs'} & set(sys.modules))\n"
        "if __name__ == '__main__':\n"
        "    import data_prep.cli\n"
        "    print([result for _, result in run_ordered(names, [(0, 'a'), (1, 'b')], 2)])\n"
    )
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, str(tmp_path / "fcn-data")],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[['data_prep.jobs'], ['data_prep.jobs']]\n", done.stderr
