"""Files over HTTP from a real server on the loopback address: whole, resumed, verified, refused."""

import hashlib
import json
import resource
import threading
import time

import numpy as np
import pytest

from caffe_compat.errors import DataError
from data_prep.download import Patience, fetch
from data_prep.sources import SourceFile

CONTENT = np.random.RandomState(0).bytes(300_000)
OTHER = np.random.RandomState(1).bytes(300_000)
AT_ONCE = Patience(attempts=3, first_wait_s=0, timeout_s=5)


@pytest.fixture
def page(server):
    """A page of the server: CONTENT unless other content is given."""

    return lambda content=CONTENT, **how: server.Page(content, **how)


@pytest.fixture
def file(server):
    """What is wanted, at /a.bin of the server."""
    return SourceFile("a.bin", "", (f"{server.url}/a.bin",))


def ranges(server):
    return [asked for _, asked, _ in server.asked]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def note(content, name="a.bin"):
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n"


def test_a_whole_file_with_its_checksum_file(server, file, tmp_path, page):
    server.pages["/a.bin"] = page()
    told = []
    path = tmp_path / "deep" / "a.bin"
    assert fetch(file, path, AT_ONCE, lambda done, total: told.append((done, total))) == "downloaded"
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["a.bin", "a.bin.sha256"]
    assert (path.parent / "a.bin.sha256").read_text() == note(CONTENT)
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert ranges(server) == [None]


def test_a_file_that_is_there_is_verified_and_not_downloaded(server, file, tmp_path):
    (tmp_path / "a.bin").write_bytes(CONTENT)
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "there"
    assert (tmp_path / "a.bin.sha256").read_text() == note(CONTENT)
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "there"
    (tmp_path / "a.bin").write_bytes(OTHER)
    with pytest.raises(
        DataError,
        match=rf"a\.bin' has sha256 {hashlib.sha256(OTHER).hexdigest()}, wanted {hashlib.sha256(CONTENT).hexdigest()} "
        r"\('a\.bin\.sha256' says\); move it away and run again",
    ):
        fetch(file, tmp_path / "a.bin", AT_ONCE)
    assert (tmp_path / "a.bin").read_bytes() == OTHER
    assert server.asked == []


def test_a_cut_connection_is_continued_in_the_same_run(server, file, tmp_path, page):
    server.pages["/a.bin"] = page(cuts=[100_000, 250_000])
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked == [
        ("/a.bin", None, None),
        ("/a.bin", "bytes=100000-", '"1"'),
        ("/a.bin", "bytes=250000-", '"1"'),
    ]


def test_a_later_run_continues(server, file, tmp_path, page):
    server.pages["/a.bin"] = page(cuts=[100_000], after={2: page(errors=[404])})
    with pytest.raises(DataError, match="HTTP 404"):
        fetch(file, tmp_path / "a.bin", AT_ONCE)
    assert names(tmp_path) == ["a.bin.part", "a.bin.part.json"]
    assert (tmp_path / "a.bin.part").read_bytes() == CONTENT[:100_000]
    server.pages["/a.bin"] = page()
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=100000-", "bytes=100000-"]
    assert names(tmp_path) == ["a.bin", "a.bin.sha256"]


def test_progress_gives_new_attempts(server, file, tmp_path, page):
    server.pages["/a.bin"] = page(cuts=[50_000 * step for step in range(1, 6)])
    assert fetch(file, tmp_path / "a.bin", Patience(attempts=2, first_wait_s=0)) == "downloaded"
    assert len(server.asked) == 6
    server.asked.clear()
    server.pages["/a.bin"] = page(cuts=[50_000] * 9)
    with pytest.raises(DataError, match=r"the connection ended after 50000 of 300000 bytes \(2 attempts in a row\)"):
        fetch(file, tmp_path / "b.bin", Patience(attempts=2, first_wait_s=0))
    assert len(server.asked) == 3


def test_a_server_without_ranges_sends_all_again(server, file, tmp_path, page):
    server.pages["/a.bin"] = page(ranges=False, cuts=[100_000])
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=100000-"]


@pytest.mark.parametrize("tag", ['"1"', ""])
def test_a_file_that_changes_between(server, file, tmp_path, tag, page):
    """With a tag If-Range finds it out; without, only another size can."""
    changed = page(OTHER + b"more", tag=tag and '"2"')
    server.pages["/a.bin"] = page(tag=tag, cuts=[100_000], after={2: changed, 3: changed})
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert (tmp_path / "a.bin").read_bytes() == changed.content
    assert ranges(server) == ([None, "bytes=100000-"] if tag else [None, "bytes=100000-", None])


def test_a_server_that_ignores_if_range_is_found_out_by_its_tag(server, file, tmp_path, page):
    changed = page(OTHER, tag='"2"', if_range=False)
    server.pages["/a.bin"] = page(cuts=[100_000], after={2: changed, 3: changed})
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert (tmp_path / "a.bin").read_bytes() == OTHER
    assert ranges(server) == [None, "bytes=100000-", None]


def test_a_file_that_became_shorter(server, file, tmp_path, page):
    """The range is past its end: HTTP 416."""
    short = page(OTHER[:1000], tag="", if_range=False)
    server.pages["/a.bin"] = page(cuts=[100_000], after={2: short, 3: short})
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert (tmp_path / "a.bin").read_bytes() == short.content
    assert ranges(server) == [None, "bytes=100000-", None]


def test_a_complete_part_needs_no_request(server, file, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    origin = {"url": file.urls[0], "validator": '"1"', "total": len(CONTENT)}
    (tmp_path / "a.bin.part.json").write_text(json.dumps(origin))
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert server.asked == []


@pytest.mark.parametrize("stored", ["", "{", "[]", '{"url": 1}'])
def test_a_part_of_unknown_origin_begins_anew(server, file, tmp_path, stored, page):
    server.pages["/a.bin"] = page()
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)
    (tmp_path / "a.bin.part.json").write_text(stored)
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert ranges(server) == [None]


def test_no_size_told(server, file, tmp_path, page):
    server.pages["/a.bin"] = page(length=False)
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_an_overloaded_server_is_asked_again(server, file, tmp_path, page):
    server.pages["/a.bin"] = page(errors=[503, 429])
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert len(server.asked) == 3
    server.pages["/a.bin"] = page(errors=[503] * 9)
    with pytest.raises(DataError, match=r"HTTP 503 Service Unavailable \(3 attempts in a row\)"):
        fetch(file, tmp_path / "b.bin", AT_ONCE)


def test_waiting_grows(server, file, tmp_path, monkeypatch, page):
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    server.pages["/a.bin"] = page(errors=[503] * 9)
    with pytest.raises(DataError, match="503"):
        fetch(file, tmp_path / "a.bin", Patience(attempts=9, first_wait_s=0.5))
    assert [seconds for seconds in waited if seconds >= 0.5] == [0.5, 1, 2, 4, 8, 16, 32, 60]


def test_what_is_gone_is_not_asked_for_again(server, file, tmp_path):
    with pytest.raises(
        DataError,
        match=r"no address gives a\.bin:\n  http://127\.0\.0\.1:\d+/a\.bin: HTTP 404 Not Found\nrun again later, or "
        r"put the file at '.*a\.bin' by hand and run again$",
    ):
        fetch(file, tmp_path / "a.bin", AT_ONCE)
    assert len(server.asked) == 1
    assert names(tmp_path) == []


def test_nobody_answers(file, tmp_path, server):
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=r"Connection refused \(3 attempts in a row\)"):
        fetch(file, tmp_path / "a.bin", AT_ONCE)


def test_a_redirection(server, file, tmp_path, page):
    server.pages["/a.bin"] = page(location="/there.bin")
    server.pages["/there.bin"] = page(cuts=[1000])
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked[-1] == ("/there.bin", "bytes=1000-", '"1"')


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://127.0.0.1/a", "a.bin"])
def test_only_http(server, tmp_path, address, page):
    with pytest.raises(DataError, match="wanted an http or https address|no address: unknown url type"):
        fetch(SourceFile("a.bin", "", (address,)), tmp_path / "a.bin", AT_ONCE)
    server.pages["/a.bin"] = page(location=address)
    with pytest.raises(DataError, match=r"HTTP 302|unknown url type|HTTP 404"):
        fetch(SourceFile("a.bin", "", (f"{server.url}/a.bin",)), tmp_path / "a.bin", Patience(1))
    assert names(tmp_path) == []


def test_a_web_page_in_place_of_the_file(server, file, tmp_path, page):
    server.pages["/a.bin"] = page(b"<html>we moved</html>", kind="text/html; charset=utf-8")
    with pytest.raises(DataError, match="the answer is a web page, not the file; the address may have moved"):
        fetch(file, tmp_path / "a.bin", AT_ONCE)
    assert names(tmp_path) == []


def test_the_wrong_size_is_not_even_downloaded(server, file, tmp_path, page):
    server.pages["/a.bin"] = page()
    wanted = SourceFile("a.bin", "", file.urls, size=299_999)
    with pytest.raises(
        DataError,
        match=r"the file there has 300000 bytes, wanted 299999\n.*put the file \(299999 bytes\) at",
    ):
        fetch(wanted, tmp_path / "a.bin", AT_ONCE)
    assert names(tmp_path) == []
    server.pages["/a.bin"] = page(length=False)
    with pytest.raises(DataError, match=r"a\.bin\.part' has 300000 bytes, wanted 299999 \(published\)"):
        fetch(wanted, tmp_path / "a.bin", AT_ONCE)
    assert names(tmp_path) == ["a.bin.rejected"]


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_published_checksums(server, file, tmp_path, algorithm, page):
    right, wrong = (hashlib.new(algorithm, content).hexdigest() for content in (CONTENT, OTHER))
    server.pages["/a.bin"] = page()
    wanted = SourceFile("a.bin", "", file.urls, checksums={algorithm: right.upper()})
    assert fetch(wanted, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    unwanted = SourceFile("a.bin", "", file.urls, checksums={algorithm: wrong})
    with pytest.raises(
        DataError,
        match=rf"b\.bin\.part' has {algorithm} {right}, wanted {wrong} \(published\); that download is now "
        r"'b\.bin\.rejected'\nrun again later, or put the file",
    ):
        fetch(unwanted, tmp_path / "b.bin", AT_ONCE)
    assert names(tmp_path) == ["a.bin", "a.bin.sha256", "b.bin.rejected"]
    with pytest.raises(
        DataError, match=rf"a\.bin' has {algorithm} {right}, wanted {wrong} \(published\); move it away"
    ):
        fetch(unwanted, tmp_path / "a.bin", AT_ONCE)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_second_download_is_held_to_the_first(server, file, tmp_path, page):
    (tmp_path / "a.bin.sha256").write_text(note(OTHER))
    server.pages["/a.bin"] = page()
    with pytest.raises(DataError, match=r"wanted .* \('a\.bin\.sha256' says\); that download is now"):
        fetch(file, tmp_path / "a.bin", AT_ONCE)
    (tmp_path / "a.bin.sha256").unlink()
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "downloaded"


@pytest.mark.parametrize("text", ["", "abc  a.bin\n", note(CONTENT, "b.bin"), note(CONTENT) * 2])
def test_a_checksum_file_of_another_form(server, file, tmp_path, text):
    (tmp_path / "a.bin.sha256").write_text(text)
    with pytest.raises(DataError, match=r"a\.bin\.sha256' is not one line 'SHA-256  a\.bin' as sha256sum writes it"):
        fetch(file, tmp_path / "a.bin", AT_ONCE)
    assert server.asked == []


def test_the_next_address_is_tried(server, tmp_path, page):
    server.pages["/right"] = page()
    server.pages["/wrong"] = page(OTHER)
    urls = tuple(f"{server.url}/{name}" for name in ("gone", "wrong", "right"))
    checksums = {"md5": hashlib.md5(CONTENT).hexdigest()}
    wanted = SourceFile("a.bin", "", urls, checksums=checksums)
    assert fetch(wanted, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert (tmp_path / "a.bin.rejected").read_bytes() == OTHER


@pytest.mark.parametrize("published", [True, False])
def test_a_part_from_another_address(server, tmp_path, published, page):
    """Continued only where a checksum will tell that it fits."""
    server.pages["/one"] = page(cuts=[100_000], after={2: page(errors=[404])})
    server.pages["/two"] = page(tag='"two"')
    checksums = {"md5": hashlib.md5(CONTENT).hexdigest()} if published else {}
    wanted = SourceFile("a.bin", "", (f"{server.url}/one", f"{server.url}/two"), checksums=checksums)
    assert fetch(wanted, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked[-1] == ("/two", "bytes=100000-" if published else None, None)


def test_the_address_that_a_part_is_from_comes_first(server, tmp_path, page):
    server.pages["/two"] = page(cuts=[100_000], after={2: page(errors=[404])})
    wanted = SourceFile("a.bin", "", (f"{server.url}/one", f"{server.url}/two"))
    with pytest.raises(DataError, match=r"/one: HTTP 404 Not Found\n.*/two: HTTP 404"):
        fetch(wanted, tmp_path / "a.bin", AT_ONCE)
    server.pages.update({"/one": page(), "/two": page()})
    assert fetch(wanted, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert server.asked[-1] == ("/two", "bytes=100000-", '"1"')


def test_nothing_public(tmp_path):
    wanted = SourceFile("a.bin", "", size=7, checksums={"sha1": "ab"}, by_hand="ask the authors")
    with pytest.raises(
        DataError,
        match=r"^a\.bin has no public address\nrun again later, or put the file \(7 bytes, sha1 ab\) at '.*a\.bin' by "
        r"hand and run again; ask the authors$",
    ):
        fetch(wanted, tmp_path / "a.bin", AT_ONCE)


def test_a_folder_that_cannot_be_written(server, file, tmp_path, page):
    server.pages["/a.bin"] = page()
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(DataError, match=r"folder/a\.bin' cannot be written .* make room or correct the permissions"):
        fetch(file, tmp_path / "folder" / "a.bin", AT_ONCE)


def test_a_full_disk(server, file, tmp_path, page):
    """The system refuses to let the file grow; what came is kept, and continued when there is room."""
    server.pages["/a.bin"] = page()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (123_456, hard))
    try:
        with pytest.raises(DataError, match=r"a\.bin' cannot be written .* it goes on where it stopped"):
            fetch(file, tmp_path / "a.bin", AT_ONCE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "a.bin.part").read_bytes() == CONTENT[:123_456]
    assert fetch(file, tmp_path / "a.bin", AT_ONCE) == "downloaded"
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=123456-"]


def test_two_at_once(server, file, tmp_path, page):
    """The second is told of the first, which is not disturbed."""
    silence, outcome = threading.Event(), []
    server.pages["/a.bin"] = page(cuts=[100_000], stall=silence, after={2: page()})
    first = threading.Thread(target=lambda: outcome.append(fetch(file, tmp_path / "a.bin", AT_ONCE)))
    first.start()
    try:
        deadline = time.monotonic() + 20
        while not (tmp_path / "a.bin.part.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(DataError, match=r"another run is writing '.*a\.bin\.part'; wait for it, or end it"):
            fetch(file, tmp_path / "a.bin", AT_ONCE)
    finally:
        silence.set()
        first.join()
    assert outcome == ["downloaded"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_no_room(server, file, tmp_path, page):
    """A size beyond any disk, told by the server, is refused before anything is written."""
    server.pages["/a.bin"] = page(kind=f"a/b\r\nContent-Length: {10**18}", length=False)
    with pytest.raises(DataError, match=rf"needs {10**18} more bytes, but only \d+ are free there; make room"):
        fetch(file, tmp_path / "a.bin", AT_ONCE)
    assert names(tmp_path) == []


def test_a_server_that_falls_silent(server, file, tmp_path, page):
    silence = threading.Event()
    server.pages["/a.bin"] = page(cuts=[100_000], stall=silence, after={2: page()})
    try:
        assert fetch(file, tmp_path / "a.bin", Patience(2, 0, timeout_s=0.3)) == "downloaded"
    finally:
        silence.set()
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=100000-"]
