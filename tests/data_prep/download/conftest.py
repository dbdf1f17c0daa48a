"""A real HTTP server of files on the loopback address, which misbehaves as asked."""

import http.server
import re
import threading
from dataclasses import dataclass, field

import pytest


@dataclass
class Page:
    """How the server of files answers for a path; the lists are used up, one entry to a request."""

    content: bytes
    tag: str = '"1"'
    ranges: bool = True
    if_range: bool = True
    length: bool = True
    kind: str = "application/octet-stream"
    cuts: list[int] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    location: str = ""
    after: dict[int, "Page"] = field(default_factory=dict)
    stall: threading.Event | None = None


class FileHandler(http.server.BaseHTTPRequestHandler):
    """Ranges, If-Range, errors, connections that break off, redirections."""

    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers["Range"], self.headers["If-Range"]))
        page = server.pages.get(self.path)
        if page is None:
            return self.send_error(404)
        page = page.after.get(sum(path == self.path for path, *_ in server.asked), page)
        if page.errors:
            return self.send_error(page.errors.pop(0))
        if page.location:
            self.send_response(302)
            self.send_header("Location", page.location)
            return self.end_headers()
        return self.send_page(page)

    def send_page(self, page):
        start, total = 0, len(page.content)
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        same = not page.if_range or self.headers["If-Range"] in (None, page.tag)
        if wanted and page.ranges and same:
            start = int(wanted[1])
            if start >= total:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{total}")
                return self.end_headers()
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        else:
            self.send_response(200)
        if page.tag:
            self.send_header("ETag", page.tag)
        if page.length:
            self.send_header("Content-Length", str(total - start))
        self.send_header("Content-Type", page.kind)
        self.end_headers()
        stop = page.cuts.pop(0) if page.cuts else total
        self.wfile.write(page.content[start:stop])
        self.close_connection = True
        if page.stall is not None:
            page.stall.wait(20)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server on the loopback address: ``url``, ``pages`` by path, ``asked`` (path, Range, If-Range), ``Page``."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), FileHandler) as server:
        server.pages, server.asked, server.Page = {}, [], Page
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
