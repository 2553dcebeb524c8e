"""A server on this machine that speaks the Hugging Face hub's protocol as far as downloads and commits need it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_" + "a1B2" * 8
FILE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|preupload|commit)/([^/?]+))?")


class HubServer(ThreadingHTTPServer):
    """Repositories in memory.

    Attributes:
        repos: (models or datasets, owner/name) -> path -> content.
        private: repositories that need the token.
        requests: method and path of each request.
        created: bodies of requests that create a repository.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[tuple[str, str], dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.requests: list[str] = []
        self.created: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def sha(self, kind: str, name: str) -> str:
        """The commit of a repository: of its content."""
        digest = hashlib.sha1(name.encode())
        for path, content in sorted(self.repos[kind, name].items()):
            digest.update(path.encode() + b"\0" + content)
        return digest.hexdigest()


@contextmanager
def hub_server() -> Iterator[HubServer]:
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use_hub(server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub, which may be imported already, use the server, an empty cache in a folder, and no token."""
    from huggingface_hub import constants

    urls = f"{server.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", urls)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "no_token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self._noted()
        if (found := FILE.fullmatch(path)) is not None:
            self._file(found[1] or "models", found[2], found[3], unquote(found[4]))
        elif (found := API.match(path)) is not None:
            self._about(found[1], found[2], found[3])
        else:
            self._reply(200, b"a hub")

    def do_POST(self) -> None:
        path = self._noted()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._reply(401, b"{}")
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            asked = json.loads(body)
            self.server.created.append(asked)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            known = (f"{asked.get('type', 'model')}s", name)
            if known not in self.server.repos and asked.get("visibility") == "private":
                self.server.private.add(name)
            self.server.repos.setdefault(known, {})
            self._json({"url": f"{self.server.address}/{name}"})
        elif (found := API.match(path)) is not None and found[3] == "preupload":
            files = json.loads(body)["files"]
            modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
            self._json({"files": modes})
        elif found is not None and found[3] == "commit":
            repo = self.server.repos[found[1], found[2]]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    repo[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            sha = self.server.sha(found[1], found[2])
            self._json(
                {"commitOid": sha, "commitUrl": f"{self.server.address}/{found[2]}/commit/{sha}", "success": True}
            )
        else:
            self._reply(404, b"{}")

    def _noted(self) -> str:
        path = urlsplit(self.path).path
        self.server.requests.append(f"{self.command} {path}")
        return path

    def _may_read(self, kind: str, name: str) -> bool:
        known = (kind, name) in self.server.repos
        return known and (name not in self.server.private or self.headers.get("Authorization") == f"Bearer {TOKEN}")

    def _file(self, kind: str, name: str, revision: str, path: str) -> None:
        if not self._may_read(kind, name):
            self._reply(401, b"", {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", self.server.sha(kind, name)):
            self._reply(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif (content := self.server.repos[kind, name].get(path)) is None:
            self._reply(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self.server.sha(kind, name)})
        else:
            etag = hashlib.sha1(content).hexdigest()
            self._reply(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": self.server.sha(kind, name)})

    def _about(self, kind: str, name: str, what: str) -> None:
        if not self._may_read(kind, name):
            self._reply(401, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        files = self.server.repos[kind, name]
        if what == "tree":
            self._json(
                [
                    {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                    for path, content in files.items()
                ]
            )
        else:
            self._json(
                {
                    "id": name,
                    "sha": self.server.sha(kind, name),
                    "private": name in self.server.private,
                    "siblings": [{"rfilename": path} for path in files],
                }
            )

    def _json(self, content: Any) -> None:
        self._reply(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _reply(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
