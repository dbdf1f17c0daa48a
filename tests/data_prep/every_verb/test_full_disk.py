"""Every verb names a full disk, leaves nothing that looks finished, and goes on later."""

import pytest
from PIL import Image

FULL = """
    import resource, sys
    from data_prep.cli import main
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
    main(sys.argv[2:])
"""


@pytest.fixture
def without_room(run_code):
    """Function: run a command whose files may not grow beyond ``size`` bytes: writing gives a true OSError."""
    return lambda size, command: run_code(FULL, size, *command)


def test_a_full_disk_is_named_and_the_run_goes_on_later(made, tmp_path, run, without_room):
    out = tmp_path / "out"
    done = without_room(12_000, made.command(out))
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "make room or correct the permissions and run again: it goes on where it stopped" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (out / made.name).exists()
    assert run("verify", out).exit_code == 1
    again = run(*made.command(out, "--verify"))
    assert again.exit_code == 0, again.output


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_stops_hha(hha_command, tmp_path, jobs, run, without_room):
    out = tmp_path / "out"
    done = without_room(2_000, hha_command(out, "--jobs", jobs))
    assert done.returncode == 1
    assert "out' cannot be written" in done.stderr
    assert "it goes on where it stopped" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in out.iterdir()] == [], "no file that is cut off, and no manifest"
    assert run(*hha_command(out, "--verify")).exit_code == 0


def test_a_full_disk_stops_nyuds_files(nyud_source, tmp_path, run, without_room):
    out = tmp_path / "out"
    done = without_room(50_000, ["nyud", "--source", nyud_source.folder, "--out", out])
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert [path for path in out.rglob("*") if path.name.endswith(".tmp")] == []
    for path in out.glob("data/*/*.png"):
        with Image.open(path) as image:
            image.load()
    assert not (out / "manifest.json").exists()
    assert run("verify", out).exit_code == 1


def test_lists_on_a_full_disk_are_named_too(miniature_of, tmp_path, without_room):
    made = miniature_of("voc")
    done = without_room(5, made.command(tmp_path / "out"))
    assert done.returncode == 1
    assert "lists' cannot be written" in done.stderr
