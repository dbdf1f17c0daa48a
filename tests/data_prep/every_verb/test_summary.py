"""Every verb shows progress and a table, and verifies what it wrote."""

import json


def test_every_verb_shows_progress_and_a_table_and_verifies_what_is_there(made, tmp_path, run, rows):
    out = tmp_path / "out"
    first = run(*made.command(out))
    assert first.exit_code == 0, first.output
    assert f"{made.name}: 100%" in first.stderr
    assert first.stdout.splitlines()[0].split() == [
        *("list", "images", "published", "kept", "faults", "classes", "state", "folder")
    ]
    assert "verify" not in first.stderr
    again = run(*made.command(out, "--verify", "--jobs", "2" if made.verb == "voc" else "1"))
    assert again.exit_code == 0, again.output
    assert f"verify {made.name}: 100%" in again.stderr
    row = next(iter(rows(again.stdout).values()))
    assert (row["images"], row["kept"], row["rest"].split()[0]) == ("4", "4", "verified")
    nothing = run(*made.command(out, "--verify", "--no-lmdb"))
    assert nothing.exit_code in (1, 2)
    assert "--verify reads again what is written, and --no-lmdb writes nothing" in nothing.stderr
    alone = run("verify", out / made.name)
    assert alone.exit_code == 0, alone.output
    assert rows(alone.stdout)[made.name]["images"] == "4"
    manifest = json.loads((out / made.name / "manifest.json").read_text())
    assert manifest["format"] == 2
    assert {one["records"] for one in manifest["databases"].values()} == {4}
