"""The routes of the documentation: /docs, what lies below it, and /llms.txt."""

import asyncio
import html
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from swagger_ui_bundle import swagger_ui_path

from gateway.rest.docs import guides
from gateway.rest.docs.guides import Guide
from gateway.rest.pages import INDEX, Pages
from gateway.rest.responses import JsonBody, send_json
from gateway.rest.status import MethodNotAllowed

STATIC = Path(__file__).parent / "static"
TEXT = "text/plain; charset=utf-8"
# Swagger UI writes styles and markup itself; scripts are files of this service all the same, and so is all it calls.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
REASONS, CONTENTS = "reference/reasons.html", "contents.html"
FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · api-gpu</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{root}docs.css">
</head>
<body>
<nav><a href="{root}../docs">API</a> <a href="{root}reference/reasons.html">Errors and warnings</a> <a
href="{root}contents.html">All pages</a></nav>
<main>
{body}
</main>
</body>
</html>
"""


class Site(Mapping[str, JsonBody]):
    """The files below /docs, each made when it is first asked for."""

    def __init__(self, known: dict[str, Guide]) -> None:
        self._makers = {path: cache(make) for path, make in _makers(known)}

    def __getitem__(self, path: str) -> JsonBody:
        return self._makers[path]()

    def __contains__(self, path: object) -> bool:
        return path in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def _makers(known: dict[str, Guide]) -> Iterator[tuple[str, Callable[[], JsonBody]]]:
    for name in (INDEX, "docs.css", "docs.js"):
        yield name, partial(_file, STATIC / name)
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        yield name, partial(_file, Path(str(swagger_ui_path)) / name)
    for place, guide in known.items():
        yield f"{place}.md", partial(_body, guide.text)
        yield f"{place}.html", partial(_page, guide)
    yield CONTENTS, partial(_contents, known)


def _file(path: Path) -> JsonBody:
    return JsonBody(path.read_bytes())


def _body(text: str) -> JsonBody:
    return JsonBody(text.encode())


def _page(guide: Guide) -> JsonBody:
    root = "../" * (len(guide.place.parts) - 1)
    return _body(FRAME.format(title=html.escape(guide.title), root=root, body=guide.html))


def _contents(known: dict[str, Guide]) -> JsonBody:
    text = f"# Documentation\n\n{guides.contents(known, '', '.md')}"
    return _page(Guide(PurePosixPath(CONTENTS), text))


class Docs:
    """ASGI application of "/docs" and, with the parameter `path`, of what lies below it."""

    def __init__(self, known: dict[str, Guide]) -> None:
        self._site = Site(known)
        self._pages = Pages(self._site, POLICY, home="/docs/contents.html")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises NotFound, MethodNotAllowed."""
        path = scope["path_params"].get("path", INDEX)
        if not path:  # links of the page are relative to /docs
            await RedirectResponse("../docs")(scope, receive, send)
            return
        if path in self._site:
            await asyncio.to_thread(self._site.__getitem__, path)
        await self._pages.send(path, scope, send)


class Redirect:
    """ASGI application that leads to another path."""

    def __init__(self, target: str) -> None:
        self._target = target

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await RedirectResponse(self._target)(scope, receive, send)


class Llms:
    """ASGI application of "/llms.txt": what the service is, its operations and its pages, for language models.

    Source: llmstxt.org.
    """

    def __init__(
        self, document: Mapping[str, Any], known: dict[str, Guide], base_url: Callable[[Scope, Headers], str]
    ) -> None:
        self._document = document
        self._known = known
        self._base_url = base_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises MethodNotAllowed."""
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(scope["method"], scope["path"], ["GET"])
        headers = Headers(scope=scope)
        text = index(self._document, self._known, self._base_url(scope, headers))
        await send_json(JsonBody(text.encode()), headers, send, is_tagged=True, media_type=TEXT)


ABOUT = """# api-gpu

> {description}

JSON over HTTP; the same API by gRPC. Every call needs the header `X-API-Key`, but for those that say so. Inputs are
http(s) URLs, files uploaded by `PUT /assets/NAME` (their names, `assets/…`), or `data:` URIs. `POST /video/…` answers
when the job is done; with the header `Prefer: respond-async` it answers at once with a job, which `GET /job/{{id}}`
tells of, and which a `webhook_url` in the body is told of. This captions a video:

POST {base}/video/caption
{caption}

Errors say in `message` what to do, and in `details` the `reason`: [all reasons]({base}/docs/reference/reasons.md).
The whole API, with an example of every request and answer: [OpenAPI document]({base}/openapi.json),
[page to try it]({base}/docs).

## API

"""


def index(document: Mapping[str, Any], known: dict[str, Guide], base: str) -> str:
    """Return the index for language models, whose links begin with `base`."""
    caption = document["paths"]["/video/caption"]["post"]["requestBody"]["content"]["application/json"]
    example = json.dumps(caption["examples"]["example"]["value"], ensure_ascii=False)
    about = ABOUT.format(description=document["info"]["description"], base=base, caption=example)
    calls = [
        f"- [{method.upper()} {path}]({base}/docs#/{told['tags'][0]}/{told['operationId']}): {told['summary']}."
        for path, item in document["paths"].items()
        for method, told in item.items()
    ]
    return about + "\n".join(calls) + "\n\n" + guides.contents(known, f"{base}/docs/", ".md")


def routes(
    document: Mapping[str, Any], base_url: Callable[[Scope, Headers], str], folder: Path | None = None
) -> list[Route]:
    """Return the routes of the documentation; the document is that of /openapi.json, the pages are those of a folder,
    the service's own without one."""
    known = guides.read(folder or guides.folder())  # once: every request that read them would hold up the others
    docs = Docs(known)
    return [
        Route("/docs", docs),
        Route("/docs/reasons", Redirect(REASONS)),
        Route("/docs/{path:path}", docs),
        Route("/llms.txt", Llms(document, known, base_url)),
    ]
