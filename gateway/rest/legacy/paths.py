"""Paths of the older API: those that are served, by which method, and what to use in place of the others.

They answer at once with the job, as they did, in the older form; the job itself is asked for as any other.
"""

from typing import Any

from apigpu.v1 import video_pb2
from gateway.rest.routes import WHOLE, Route, Template
from gateway.rest.status import MethodNotAllowed
from servicekit.errors import NotFound

_METHODS = video_pb2.DESCRIPTOR.services_by_name["VideoService"].methods_by_name
# Prefixes of its versions.
PREFIXES = ("/gpu/video", "/runpod/video", "/vps/video", "/video")
# The last part of the path, and the method that does it.
OPERATIONS = {
    "caption": "Caption",
    "caption_style": "Caption",
    "img2vid": "Img2Vid",
    "addaudio": "AddAudio",
    "trilhasonora": "AddAudio",
    "concatenate": "Concat",
}
SERVED = {f"{prefix}/{name}": method for prefix in PREFIXES for name, method in OPERATIONS.items()}
SERVED["/caption_style"] = OPERATIONS["caption_style"]
_NO_SPEECH = "Speech is not transcribed here; use a transcription service, and give its words to /video/caption."
_NO_CYCLE = "Videos are not repeated up to the end of a sound; join them with /video/concat, then call /video/addaudio."
# Beginnings of paths, and what to use instead.
NOT_SERVED = {
    **{f"{prefix}/concat_video_audio": _NO_CYCLE for prefix in PREFIXES},
    **dict.fromkeys(("/transcribe", "/gpu/transcribe", "/gpu/audio", "/runpod/audio"), _NO_SPEECH),
    "/vps/video/transcribe_youtube": "Captions are not taken from YouTube here; give them by a link, as url_srt.",
    "/vps/audio": "Sounds are not joined here; join them before, and give the file to /video/addaudio.",
    "/vps/imagem": "Pictures are not made here; make them elsewhere, and give their links to /video/img2vid.",
    "/queue": "GET /jobs?status=IN_QUEUE lists what waits, GET /fleet counts what waits and runs.",
    "/admin": "Workers are looked after by the gateway itself; GET /fleet shows them.",
    "/output": "Results are opened by the link in the answer; GET /job/{id} makes a new one.",
}
STATUSES = {"IN_QUEUE": "QUEUED", "IN_PROGRESS": "PROCESSING"}


def find(http_method: str, path: str) -> Route | None:
    """Return the route of an older path; None for any other path. Raises MethodNotAllowed, and NotFound that says what
    to use in place of an older path that is not served."""
    path = path.rstrip("/")
    if name := SERVED.get(path):
        if http_method != "POST":
            raise MethodNotAllowed(http_method, path, ["POST"])
        return Route(http_method, Template.parse(path), _METHODS[name], WHOLE, "")
    for beginning, text in NOT_SERVED.items():
        if path == beginning or path.startswith(f"{beginning}/"):
            raise NotFound(f"{beginning} of the older API is not served. {text}", reason="NO_SUCH_PATH")
    return None


def accepted(job: Any) -> Any:
    """Return the JSON of a job that was queued, with the fields and the status of the older answer."""
    return job | {
        "jobId": job["id"],
        "status": STATUSES.get(job["status"], job["status"]),
        "message": "Job queued successfully",
        "statusUrl": f"/jobs/{job['id']}",
        "createdAt": job.get("createTime"),
    }
