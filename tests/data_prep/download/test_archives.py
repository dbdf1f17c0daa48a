"""Archives unpacked inside one folder: what is refused, what is kept, what an interruption leaves."""

import io
import os
import re
import signal
import stat
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from caffe_compat.errors import DataError
from data_prep.archives import is_placed, place, unpack

FILES = {"top/README": b"read me", "top/data/a.txt": b"a" * 5000, "top/data/b.txt": b"b", "top/extra/c.txt": b"c"}
ROOT = Path(__file__).resolve().parents[3]


def tar_of(path, members, mode="w"):
    """A tar of files by name, or of TarInfos as they are."""
    with tarfile.open(path, mode) as tar:
        for member, content in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            if content is not None:
                info.size = len(content)
            tar.addfile(info, None if content is None else io.BytesIO(content))
    return path


def zip_of(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for member, content in members:
            packed.writestr(member, content)
    return path


def make(tmp_path, kind, members=None):
    members = list((members or FILES).items())
    if kind == "zip":
        return zip_of(tmp_path / "a.zip", members)
    return tar_of(
        tmp_path / f"a.{kind}", members, {"tar": "w", "tgz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}[kind]
    )


def content(folder):
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_info(name, mode=0):
    info = zipfile.ZipInfo("x")
    info.filename = name
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize("kind", ["tar", "tgz", "tar.bz2", "tar.xz", "zip"])
def test_every_kind(tmp_path, kind):
    told = []
    place(make(tmp_path, kind), tmp_path / "out" / "data_set", "data", told.append)
    assert content(tmp_path / "out" / "data_set") == {name.removeprefix("top/"): text for name, text in FILES.items()}
    assert sum(told) == len(FILES)
    assert is_placed(tmp_path / "out" / "data_set", "data")
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["data_set"]


EVIL = {
    "an absolute path": ("/nowhere/evil", b"x", "has an absolute path"),
    "a drive": ("C:\\evil", b"x", "has an absolute path"),
    "a root of Windows": ("\\evil", b"x", "has an absolute path"),
    "upwards": ("../evil", b"x", r"leads upwards with '\.\.'"),
    "upwards inside": ("top/../../evil", b"x", r"leads upwards with '\.\.'"),
    "upwards by backslash": ("top\\..\\..\\evil", b"x", r"leads upwards with '\.\.'"),
    "a control character": ("top/ev\nil", b"x", "has control characters in its name"),
}
EVIL_TAR = {
    "a link out": (special("top/evil", tarfile.SYMTYPE, "../../evil"), None, r"is a link to '\.\./\.\./evil'"),
    "an absolute link": (special("top/evil", tarfile.SYMTYPE, "/etc"), None, "is a link to '/etc'"),
    "a link inside": (special("top/evil", tarfile.SYMTYPE, "README"), None, "is a link to 'README'"),
    "a hard link out": (special("top/evil", tarfile.LNKTYPE, "../../evil"), None, "is a link to"),
    "a character device": (special("top/evil", tarfile.CHRTYPE), None, "is a device or another special file"),
    "a block device": (special("top/evil", tarfile.BLKTYPE), None, "is a device or another special file"),
    "a pipe": (special("top/evil", tarfile.FIFOTYPE), None, "is a device or another special file"),
}
EVIL_ZIP = {
    "a link": (zip_info("top/evil", stat.S_IFLNK | 0o777), b"/etc", "is a link"),
    "a pipe": (zip_info("top/evil", stat.S_IFIFO | 0o644), b"", "is a device or another special file"),
}


@pytest.mark.parametrize(
    ("kind", "member", "data", "said"),
    [pytest.param(kind, *evil, id=f"{kind}: {name}") for kind in ("tar", "zip") for name, evil in EVIL.items()]
    + [pytest.param("tar", *evil, id=f"tar: {name}") for name, evil in EVIL_TAR.items()]
    + [pytest.param("zip", *evil, id=f"zip: {name}") for name, evil in EVIL_ZIP.items()],
)
@pytest.mark.parametrize("before", [False, True])
def test_evil_members_are_refused(tmp_path, kind, member, data, said, before):
    """The error names archive and member; nothing is outside, nothing in the target, and what was there is kept."""
    folder, target = tmp_path / "deep", tmp_path / "deep" / "target"
    folder.mkdir()
    if before:
        target.mkdir()
        (target / "mine").write_text("mine")
    name = member if isinstance(member, str) else getattr(member, "name", None) or member.filename
    if kind == "zip" and isinstance(member, str):
        member = zip_info(name)
    members = [*list(FILES.items())[:2], (member, data), *list(FILES.items())[2:]]
    archive = (tar_of if kind == "tar" else zip_of)(tmp_path / f"evil.{kind}", members)
    with pytest.raises(DataError, match=rf"evil\.{kind}', member {re.escape(repr(name))} {said}"):
        place(archive, target, "data")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["deep", f"evil.{kind}"]
    assert content(folder) == ({"target/mine": b"mine"} if before else {})
    assert not Path("/nowhere").exists()


def test_through_a_link_that_came_first(tmp_path):
    """A link to a folder outside, and then a file by way of it."""
    (tmp_path / "outside").mkdir()
    link = special("top/data", tarfile.SYMTYPE, str(tmp_path / "outside"))
    archive = tar_of(tmp_path / "evil.tar", [(link, None), ("top/data/evil", b"x")])
    with pytest.raises(DataError, match="'top/data' is a link to"):
        place(archive, tmp_path / "target", "data")
    assert content(tmp_path / "outside") == {}
    assert not (tmp_path / "target").exists()


def test_modes_are_tamed(tmp_path):
    info = tarfile.TarInfo("top/data/run")
    info.mode, info.uid = 0o6777, 12345
    place(tar_of(tmp_path / "a.tar", [(info, b"x")]), tmp_path / "target", "data")
    found = (tmp_path / "target/data/run").stat()
    assert found.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWGRP | stat.S_IWOTH) == 0
    assert found.st_uid == os.getuid()


@pytest.mark.parametrize("kind", ["tgz", "tar.bz2", "tar.xz", "zip"])
def test_a_truncated_archive(tmp_path, kind):
    archive = make(tmp_path, kind)
    archive.write_bytes(archive.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"is damaged or no tar, tgz or zip \(.*\); remove it and download it again"):
        place(archive, tmp_path / "target", "data")
    assert [one.name for one in tmp_path.iterdir()] == [archive.name]


@pytest.mark.parametrize("kind", ["tgz", "tar.bz2", "tar.xz", "zip"])
def test_a_flipped_bit(tmp_path, kind):
    """In the checksum near the end of a compressed tar; in a zip's content."""
    archive = make(tmp_path, kind)
    data = bytearray(archive.read_bytes())
    data[data.index(b"top/README") + 12 if kind == "zip" else -8] ^= 1
    archive.write_bytes(data)
    with pytest.raises(DataError, match="is damaged or no tar, tgz or zip"):
        place(archive, tmp_path / "target", "data")
    assert not (tmp_path / "target").exists()


def test_no_archive(tmp_path):
    (tmp_path / "a.tgz").write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=r"a\.tgz' is damaged or no tar, tgz or zip"):
        unpack(tmp_path / "a.tgz", tmp_path)


def test_an_encrypted_zip(tmp_path):
    archive = make(tmp_path, "zip", {"top/data/a": b"x"})
    data = bytearray(archive.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        struct.pack_into("<H", data, data.index(signature) + at, 1)
    archive.write_bytes(data)
    with pytest.raises(DataError, match="member 'top/data/a' is encrypted"):
        place(archive, tmp_path / "target", "data")


def test_another_archive(tmp_path):
    with pytest.raises(
        DataError, match=r"a\.tar' has no folder 'JPEGImages'; found 'top': it is another archive than was wanted"
    ):
        place(make(tmp_path, "tar"), tmp_path / "target", "JPEGImages")
    assert not (tmp_path / "target").exists()


def test_the_folder_nearest_to_the_top_or_of_the_targets_name(tmp_path):
    members = {"VOC2007/data/a": b"7", "VOC2012/data/a": b"12", "VOC2012/data/data/a": b"inner"}
    place(make(tmp_path, "tar", members), tmp_path / "VOC2012", "data")
    assert content(tmp_path / "VOC2012") == {"data/a": b"12", "data/data/a": b"inner"}
    with pytest.raises(DataError, match="has several folders with data: VOC2007, VOC2012; unpack it by hand"):
        place(make(tmp_path, "tar", members), tmp_path / "VOC2008", "data")


def test_what_the_target_lacks_is_moved_in(tmp_path):
    target = tmp_path / "target"
    (target / "extra").mkdir(parents=True)
    (target / "extra/mine.txt").write_bytes(b"mine")
    (target / "README").write_bytes(FILES["top/README"])
    place(make(tmp_path, "tgz"), target, "data")
    assert content(target) == {
        **{name.removeprefix("top/"): text for name, text in FILES.items()},
        "extra/mine.txt": b"mine",
    }
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tgz", "target"]


def test_stopped_while_moving_in(tmp_path, monkeypatch):
    """What tells a finished dataset comes last; the next run moves in the rest."""
    target, replace, moved = tmp_path / "target", os.replace, []
    target.mkdir()
    (target / "mine").write_bytes(b"mine")

    def stopped(source, there):
        if len(moved) == 2:
            raise KeyboardInterrupt
        replace(source, there)
        moved.append(there.name)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            place(make(tmp_path, "tar"), target, "data")
    assert sorted(moved) == ["README", "extra"]
    assert not is_placed(target, "data")
    place(tmp_path / "a.tar", target, "data")
    assert content(target) == {**{name.removeprefix("top/"): text for name, text in FILES.items()}, "mine": b"mine"}
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tar", "target"]


def test_what_an_earlier_run_left_is_not_taken(tmp_path):
    left = tmp_path / ".target.unpacking" / "top" / "data"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"half")
    (tmp_path / ".target.unpacking" / "file").write_bytes(b"half")
    place(make(tmp_path, "tar"), tmp_path / "target", "data")
    assert content(tmp_path / "target") == {name.removeprefix("top/"): text for name, text in FILES.items()}


def test_an_empty_target(tmp_path):
    (tmp_path / "target").mkdir()
    place(make(tmp_path, "tgz"), tmp_path / "target", "data")
    assert len(content(tmp_path / "target")) == len(FILES)


def other_text(target):
    (target / "README").write_bytes(b"mine")
    return "README"


def a_folder(target):
    (target / "README").mkdir()
    return "README"


def a_file(target):
    (target / "extra").write_bytes(b"mine")
    return "extra"


def a_link(target):
    (target / "extra").symlink_to("/etc")
    return "extra"


def a_dead_link(target):
    (target / "README").symlink_to("nowhere")
    return "README"


@pytest.mark.parametrize("obstacle", [other_text, a_folder, a_file, a_link, a_dead_link])
def test_what_was_there_is_never_replaced(tmp_path, obstacle):
    target = tmp_path / "target"
    target.mkdir()
    name = obstacle(target)
    before = content(target)
    with pytest.raises(
        DataError, match=rf"target/{name}' is there and is not what '.*a\.tar' has under that name; nothing was changed"
    ):
        place(make(tmp_path, "tar"), target, "data")
    assert content(target) == before
    assert [one.name for one in target.iterdir()] == [name]


def test_a_target_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=r"file/target' cannot be written"):
        place(make(tmp_path, "tar"), tmp_path / "file" / "target", "data")


def test_killed_while_unpacking(tmp_path):
    """SIGKILL leaves no target; the next run clears the rest away and unpacks all."""
    members = {f"top/data/{index}": bytes([index]) * 1000 for index in range(200)}
    archive = make(tmp_path, "tgz", members)
    slow = (
        "import sys, time; from pathlib import Path; from data_prep.archives import place; "
        "place(Path(sys.argv[1]), Path(sys.argv[2]), 'data', lambda count: time.sleep(0.05))"
    )
    target = tmp_path / "out" / "target"
    run = subprocess.Popen([sys.executable, "-c", slow, str(archive), str(target)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "out/.target.unpacking/top/data/3").exists():
            assert time.monotonic() < deadline
            assert run.poll() is None
            time.sleep(0.01)
        with pytest.raises(DataError, match=r"another run is writing '.*\.target\.unpacking'"):
            place(archive, target, "data")
        assert run.poll() is None
    finally:
        run.kill()
    assert run.wait() == -signal.SIGKILL
    assert [one.name for one in (tmp_path / "out").iterdir()] == [".target.unpacking"]
    assert 0 < len(content(tmp_path / "out")) < 200
    place(archive, target, "data")
    assert len(content(target)) == 200
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["target"]
