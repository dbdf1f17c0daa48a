"""Every verb survives SIGKILL: nothing looks finished that is not, and the next run ends with the same bytes."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from caffe_compat.layer.data.lmdb_source import LMDBReader

ROOT = Path(__file__).resolve().parents[3]
KILLED = """
    import os, signal, sys
    from data_prep import file_writer, lmdb_build, lmdb_writer
    from data_prep.cli import main

    lmdb_build._MOST_RECORDS = 1
    safe = []

    def dying(real):
        def call(*arguments):
            real(*arguments)
            safe.append(1)
            if len(safe) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        return call

    if sys.argv[1] == "files":
        file_writer._append = dying(file_writer._append)
    elif sys.argv[1] == "rename":
        lmdb_writer._rename = lambda partial, folder: os.kill(os.getpid(), signal.SIGKILL)
    else:
        lmdb_build.Build.commit = dying(lmdb_build.Build.commit)
    main(sys.argv[2:])
"""


@pytest.fixture
def killed(run_code):
    """Function: run a command in a process of its own that gets SIGKILL once two samples are safe."""

    def run(step, command):
        done = run_code(KILLED, step, *command)
        assert done.returncode == -9, done.stderr

    return run


def content(folder):
    """Every record and every file beside them."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return found | {path.parent.name: dict(LMDBReader(path.parent).items()) for path in folder.glob("*/data.mdb")}


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_killed_run_leaves_nothing_that_looks_finished_and_goes_on(made, tmp_path, run, rows, killed):
    out = tmp_path / "out"
    killed("databases", made.command(out))
    assert not (out / made.name).exists()
    unfinished = run("verify", out)
    assert unfinished.exit_code == 1
    assert f"{made.name}.partial' is unfinished; run the command that writes it again" in unfinished.stderr
    (out / f"{made.name}.partial/.samples.jsonl.1.abc.tmp").write_bytes(b"cut off")
    again = run(*made.command(out, "--verify"))
    assert again.exit_code == 0, again.output
    row = next(iter(rows(again.stdout).values()))
    assert (row["images"], row["kept"]) == ("4", "2")
    assert row["rest"] == f"verified {out / made.name}"
    assert run(*made.command(tmp_path / "unbroken")).exit_code == 0
    assert content(out / made.name) == content(tmp_path / "unbroken" / made.name)


def test_killed_between_the_last_record_and_the_name(miniature_of, tmp_path, run, rows, killed):
    """All is in, and still nothing looks finished; the next run makes nothing again."""
    made, out = miniature_of("folder"), tmp_path / "out"
    killed("rename", made.command(out))
    assert (out / f"{made.name}.partial/manifest.json").exists()
    assert not (out / made.name).exists()
    assert "is unfinished; run the command" in run("verify", out).stderr
    again = run(*made.command(out, "--verify"))
    assert again.exit_code == 0, again.output
    assert rows(again.stdout)["train"]["kept"] == "4"
    assert run(*made.command(tmp_path / "unbroken")).exit_code == 0
    assert content(out / made.name) == content(tmp_path / "unbroken" / made.name)


def test_a_killed_run_of_hha_goes_on(hha_command, tmp_path, run, rows, killed):
    out = tmp_path / "out"
    killed("files", hha_command(out))
    assert not (out / "manifest.json").exists()
    unfinished = run("verify", out)
    assert unfinished.exit_code == 1
    assert "out' is unfinished; run the command that writes it again" in unfinished.stderr
    stamp = (out / "a1.png").stat().st_mtime_ns
    again = run(*hha_command(out, "--verify"))
    assert again.exit_code == 0, again.output
    row = rows(again.stdout)["hha"]
    assert (row["images"], row["kept"], row["rest"]) == ("4", "2", f"verified {out}")
    assert (out / "a1.png").stat().st_mtime_ns == stamp
    assert run(*hha_command(tmp_path / "unbroken")).exit_code == 0
    assert files(out) == files(tmp_path / "unbroken")


def test_a_killed_run_over_a_finished_folder_leaves_it_unfinished(hha_command, tmp_path, run, rows, killed):
    """Half of the files are of other settings then."""
    out = tmp_path / "out"
    assert run(*hha_command(out)).exit_code == 0
    killed("files", hha_command(out, "--per-metre", "900"))
    assert not (out / "manifest.json").exists()
    assert "out' is unfinished; run the command that writes it again" in run("verify", out).stderr
    again = run(*hha_command(out, "--per-metre", "900", "--verify"))
    assert again.exit_code == 0, again.output
    assert rows(again.stdout)["hha"]["kept"] == "2"
    assert [one["per_metre"] for one in json.loads((out / "manifest.json").read_text())["settings"]] == [900.0]


@pytest.mark.parametrize("step", ["files", "databases"])
def test_a_killed_run_of_nyuds_own_file_goes_on(nyud_source, tmp_path, step, run, rows, killed):
    out, command = tmp_path / "out", ["nyud", "--source", nyud_source.folder, "--out"]
    killed(step, [*command, out])
    assert (out / "manifest.json").exists() == (step == "databases")
    assert not (out / "nyud_trainval").exists()
    assert run("verify", out).exit_code == 1
    again = run(*command, out, "--verify")
    assert again.exit_code == 0, again.output
    kept = {name: row["kept"] for name, row in rows(again.stdout).items()}
    assert kept == {"files": "2" if step == "files" else "4", "trainval": "0" if step == "files" else "2", "test": "0"}
    assert {row["rest"].split()[0] for row in rows(again.stdout).values()} == {"verified"}


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are looked up in /proc")
def test_a_killed_run_takes_its_processes_with_it(hha_command, tmp_path, run):
    """SIGKILL leaves the parent no time to stop them; what they began to write is taken away by the next run."""
    for one in range(40):
        shutil.copy(tmp_path / "depth/a1.png", tmp_path / f"depth/e{one:02d}.png")
    command = [sys.executable, "-m", "data_prep", *map(str, hha_command(tmp_path / "out", "--jobs", "2"))]
    parent = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("*.png")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    workers = children.read_text().split()
    assert len(workers) >= 2
    parent.kill()
    assert parent.wait() == -9
    while any(Path(f"/proc/{worker}/exe").exists() for worker in workers):
        assert time.monotonic() < deadline, "a worker goes on though its parent is gone"
        time.sleep(0.01)
    (tmp_path / "out/.e00.png.1.abc.tmp").write_bytes(b"cut off")
    again = run(*hha_command(tmp_path / "out", "--verify"))
    assert again.exit_code == 0, again.output
    assert not list((tmp_path / "out").glob(".*"))
