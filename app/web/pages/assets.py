"""The files under `static/`, served under addresses that change when a file does.

`/static/<sha8>/<name>` never changes and is kept by browsers for a year; an address with
another hash, as in a page from before an upgrade, gets today's file and is not kept.
"""

import gzip
import mimetypes
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.web.errors import problem_response

ROOT = Path(__file__).resolve().parents[3] / "static"
SERVED = frozenset({".css", ".js", ".svg", ".png", ".ico", ".woff2", ".json", ".txt"})
PACKED = frozenset({".css", ".js", ".svg", ".json", ".txt"})
"""Kinds of file that gzip makes much smaller."""
BUNDLES = {
    "css/umbel.css": (
        "css/tokens.css",
        "css/base.css",
        "css/layout.css",
        "css/components/frame.css",
        "css/components/buttons.css",
        "css/components/states.css",
        "css/components/panels.css",
        "css/components/notices.css",
        "css/components/tables.css",
        "css/components/forms.css",
        "css/components/overlays.css",
        "css/components/tabs.css",
        "css/components/live.css",
        "css/components/keys.css",
    )
}
"""What every page needs, as one file: it is packed better, and asked for once. Joined here when
the process starts, so there is nothing to build."""
_NOT_READ = re.compile(rb"/\*.*?\*/|^[ \t]+|^\n", re.DOTALL | re.MULTILINE)
"""What is in a style sheet for its readers: comments, indentation, empty lines."""
KEPT = "public, max-age=31536000, immutable"
"""A year, the most that caches heed."""


@dataclass(frozen=True)
class Asset:
    """One file, in memory: all of them together are about two MiB."""

    name: str
    body: bytes
    sha8: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha8", sha256(self.body).hexdigest()[:8])

    @property
    def media_type(self) -> str:
        return mimetypes.guess_type(self.name)[0] or "application/octet-stream"

    @cached_property
    def packed(self) -> bytes | None:
        """The file gzipped, where that is worth it."""
        return gzip.compress(self.body, mtime=0) if Path(self.name).suffix in PACKED else None


class StaticAssets:
    """An ASGI application to mount at `/static`, and the `static()` of the templates."""

    def __init__(self, root: Path = ROOT, mount: str = "/static") -> None:
        self.mount = mount
        self._assets = {
            (name := path.relative_to(root).as_posix()): Asset(name, path.read_bytes())
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.suffix in SERVED
        }
        for name, parts in BUNDLES.items():
            if all(part in self._assets for part in parts):  # another root has other files
                self._assets[name] = Asset(name, _joined(self._assets[part] for part in parts))

    def url(self, name: str) -> str:
        """The address of a file: `css/base.css` is `/static/1a2b3c4d/css/base.css`."""
        return f"{self.mount}/{self._assets[name].sha8}/{name}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = self._respond(scope)
        await response(scope, receive, send)

    def _respond(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return problem_response(
                str(scope["path"]), 405, "Files are only read.", headers={"Allow": "GET, HEAD"}
            )
        path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
        path = path.removeprefix(self.mount).lstrip("/")
        sha8, _, name = path.partition("/")
        asset = self._assets.get(name)
        if asset is None:
            return problem_response(str(scope["path"]), 404, "There is no such file.")
        headers = {
            "Cache-Control": KEPT if sha8 == asset.sha8 else "no-cache",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        body = asset.body
        accepted = dict(scope["headers"]).get(b"accept-encoding", b"")
        if b"gzip" in accepted and asset.packed is not None:
            headers["Content-Encoding"] = "gzip"
            body = asset.packed
        return Response(body, headers=headers, media_type=asset.media_type)


def _joined(parts: Iterable[Asset]) -> bytes:
    """Style sheets one after another, without what browsers don't read."""
    return b"".join(_NOT_READ.sub(b"", part.body) for part in parts)
