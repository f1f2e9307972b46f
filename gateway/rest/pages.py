"""Pages for people: static files of the service, each with a tag and a content security policy of its own, and which
clients get them at "/"."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.rest.responses import JSON, JsonBody, send_json, weights
from gateway.rest.status import MethodNotAllowed
from servicekit.echo import brief
from servicekit.errors import NotFound

# What a page may load: only what this service serves, and media that its scripts made; nothing inline. Texts never
# become markup (trusted types), so that names of files and messages of others cannot.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HTML, XHTML, ANYTHING = "text/html", "application/xhtml+xml", "*/*"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": f"{HTML}; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"


@dataclass(frozen=True)
class Pages:
    """ASGI application of a path with the parameter `path`: the files of a folder, which are read once."""

    files: Mapping[str, JsonBody]
    policy: str = POLICY
    # Where a browser finds all of them.
    home: str = "/"

    @classmethod
    def load(cls, folder: Path, policy: str = POLICY) -> "Pages":
        """Read the files whose types are known, by their paths below the folder."""
        return cls(dict(_read(folder)), policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises NotFound, MethodNotAllowed."""
        await self.send(scope["path_params"]["path"], scope, send)

    async def send(self, path: str, scope: Scope, send: Send) -> None:
        """Respond with one file. Raises NotFound, MethodNotAllowed."""
        if path not in self.files:
            raise NotFound(f"There is no page {brief(path)}; open {self.home} in a browser.", reason="NO_SUCH_PATH")
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(scope["method"], scope["path"], ["GET"])
        headers = [
            ("cache-control", "no-cache"),
            ("content-security-policy", self.policy),
            ("cross-origin-opener-policy", "same-origin"),
            ("vary", "Accept"),
        ]
        kind = TYPES[Path(path).suffix]
        await send_json(self.files[path], Headers(scope=scope), send, headers=headers, is_tagged=True, media_type=kind)


def _read(folder: Path) -> Iterator[tuple[str, JsonBody]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in TYPES:
            yield path.relative_to(folder).as_posix(), JsonBody(path.read_bytes())


@dataclass(frozen=True)
class FrontPage:
    """ASGI application of "/": a page to browsers that open it, and what `service` answers to everyone else."""

    pages: Pages
    service: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises what the service raises."""
        if scope["method"] in ("GET", "HEAD") and is_browser(Headers(scope=scope)):
            await self.pages.send(INDEX, scope, send)
        else:
            await self.service(scope, receive, send)


def is_browser(request: Headers) -> bool:
    """Return True for what opens a page: text/html is asked for by its name, and JSON not as much.

    Some libraries name text/html among types of images, and read JSON (Java's HttpURLConnection does, in each request);
    every browser names XHTML beside it.
    """
    known = weights(request.getlist("accept"))
    wanted = known.get(HTML, 0.0)
    has_browsers_types = XHTML in known or known.keys() <= {HTML, ANYTHING}
    return has_browsers_types and wanted > known.get(JSON, 0.0)
