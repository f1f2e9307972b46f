"""GET /job/{id}/preview.m3u8: playlists of a film while it is made, and after, by signed link, without a key.

The playlists of picture and sound, which it names, have the same proof; links to the pieces expire with it. All links
are relative, so that they hold wherever the gateway is reached.
"""

import asyncio
import contextlib
from dataclasses import dataclass

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from gateway.assets.links import LinkSigner
from gateway.assets.record import parse_name
from gateway.jobs.model import Job
from gateway.jobs.store import JobStore
from gateway.preview.film import PlayedFilm, PlayedPiece, film_of
from gateway.preview.playlist import CONTENT_TYPE, master_playlist, media_playlist
from gateway.rest.request import end_response, send_body, start_response
from gateway.rest.status import MethodNotAllowed
from servicekit.errors import NotFound, Unavailable

MASTER = "/job/{id}/preview.m3u8"
TRACKS = ("picture", "sound")
TRACK = "/job/{id}/preview/{track}.m3u8"
# From a track's playlist to the root of the gateway.
UP = "../../.."
RETRY_SECONDS = 1.0
# Each of many viewers asks every few seconds.
MAX_AGE_SECONDS = 1.0


@dataclass(frozen=True)
class SignedPreviews:
    """ASGI application of two paths, with the path parameters `id` and, of a track's, `track`."""

    jobs: JobStore
    links: LinkSigner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises ServiceError."""
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(scope["method"], "A link to a preview", ["GET"])
        job_id, track, query = scope["path_params"]["id"], scope["path_params"].get("track"), _query(scope)
        self.links.verify_preview(job_id, query.get("expires", ""), query.get("signature", ""))
        film = film_of(await self._job(job_id))
        if film is None or track not in (None, *TRACKS):
            raise NotFound("There is no such preview; ask for one with the job.", reason="PREVIEW_NOT_FOUND")
        data = self._playlist(film, track, query).encode()
        headers = {"content-type": CONTENT_TYPE, "content-length": str(len(data)), "cache-control": "private, no-cache"}
        await start_response(send, 200, headers.items())
        if scope["method"] == "GET":
            await send_body(send, data)
        await end_response(send)

    async def _job(self, job_id: str) -> Job:
        """Return the job, read once for all who ask within a moment. Raises NotFound."""
        followers = self.jobs.index.followers
        if job_id not in followers.jobs:
            following = contextlib.ExitStack()
            following.enter_context(followers.following(job_id))
            asyncio.get_running_loop().call_later(MAX_AGE_SECONDS, following.close)
        return await self.jobs.latest(job_id, MAX_AGE_SECONDS)

    def _playlist(self, film: PlayedFilm, track: str | None, query: QueryParams) -> str:
        shown = film.ready_sound if track == "sound" else film.picture
        if shown is None or not shown.pieces or not film.has_begun:
            if film.is_over:
                raise NotFound("Nothing of this job plays.", reason="PREVIEW_NOT_FOUND")
            text = "Nothing can be played yet; try again in a moment."
            raise Unavailable(text, reason="PREVIEW_NOT_READY", retry_seconds=RETRY_SECONDS)
        expires = query["expires"]
        if track is None:
            proof = f"expires={expires}&signature={query['signature']}"
            return master_playlist(film, *(f"preview/{name}.m3u8?{proof}" for name in TRACKS))

        def url_of(piece: PlayedPiece) -> str:
            return UP + self.links.sign_file(parse_name(piece.asset), piece.filename, int(expires))

        return media_playlist(film, shown, url_of)


def _query(scope: Scope) -> QueryParams:
    return QueryParams(scope["query_string"])
