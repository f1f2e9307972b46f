"""Jobs of all operations, each submitted until a gateway has answered, with one idempotency key."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.chaos.services import Services
from tests.chaos.tenants import asked
from tools.samples import ffmpeg

ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT")
SRT = "1\n00:00:00,100 --> 00:00:00,900\nHello\n"


def uploaded(services, folder, keys, chance):
    """Tiny media, as assets of each tenant by name."""
    files = {name: folder / name for name in ("video.mp4", "tone.wav", "still.png", "text.srt")}
    picture = "testsrc2=size=160x90:rate=10:duration=1"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-pix_fmt", "yuv420p", str(files["video.mp4"]))
    ffmpeg("-f", "lavfi", "-i", "sine=frequency=440:duration=1", str(files["tone.wav"]))
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x90", "-frames:v", "1", str(files["still.png"]))
    files["text.srt"].write_text(SRT)
    names = {}
    for tenant, key in keys.items():
        answers = {
            name: asked(services, "PUT", f"/assets/{name}", chance, key, content=path.read_bytes())
            for name, path in files.items()
        }
        names[tenant] = {name: answer.json()["name"] for name, answer in answers.items()}
    return names


def operations(assets):
    """One request of each operation."""
    video, tone, still, text = (assets[name] for name in ("video.mp4", "tone.wav", "still.png", "text.srt"))
    images = [{"id": name, "image_url": still, "duracao": 0.5} for name in "ab"]
    clips = {"images": images, "width": 160, "height": 90, "frame_rate": 10}
    return [
        {"caption": {"url_video": video, "url_srt": text}},
        {"addaudio": {"url_video": video, "url_audio": tone}},
        {"img2vid": clips},
        {"concat": {"url_videos": [video, video]}},
        {"thumbnail": {"url_video": video}},
        {"probe": {"url": video}},
        {"frame": {"caption": {"url_video": video, "srt_text": "1\n00:00:00,000 --> 00:00:01,000\nHello\n"}}},
        {
            "chain": {
                "steps": [{"id": "clips", "img2vid": clips}, {"id": "film", "concat": {"url_videos": ["step:clips"]}}]
            }
        },
        {
            "story": {
                "scenes": [{"id": "a", "image_url": still, "duracao": 0.5}, {"id": "b", "url_video": video}],
                "transition": {"kind": "crossfade", "seconds": 0.2},
                "url_srt": text,
                "width": 160,
                "height": 90,
                "frame_rate": 10,
            }
        },
    ]


@dataclass
class Submitted:
    """A job of a tenant by its key: the ids that gateways answered with, one if all is well."""

    key: str
    tenant: str
    body: dict
    ids: set[str] = field(default_factory=set)


class Submitters:
    """Submits jobs from several threads, each to a gateway by chance, now and then twice to both."""

    def __init__(self, services: Services, keys, assets, hook_url: str, jobs: int, chance: random.Random) -> None:
        """`keys` are those of the tenants, `assets` their files. Tenants have the same idempotency keys."""
        self._services, self._keys = services, keys
        self.chance = chance
        found = {tenant: operations(named) for tenant, named in assets.items()}
        options = {"webhook_url": hook_url, "webhook_events": ["job.ended"]}
        self.jobs = []
        for number in range(jobs):
            tenant = list(keys)[number % len(keys)]
            bodies = found[tenant]
            key = f"key-{number // len(keys)}"
            self.jobs.append(Submitted(key, tenant, {**bodies[number % len(bodies)], **options}))

    def run(self, pause_seconds: float, threads: int = 4) -> None:
        """Submit all of them."""
        parts = [self.jobs[number::threads] for number in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(self._submit_all, parts, [pause_seconds] * threads))

    def _submit_all(self, jobs: list[Submitted], pause_seconds: float) -> None:
        for job in jobs:
            for _ in range(2 if self.chance.random() < 0.2 else 1):
                key = self._keys[job.tenant]
                answer = asked(self._services, "POST", "/jobs", self.chance, key, job.key, json=job.body)
                job.ids.add(answer.json()["id"])
            time.sleep(self.chance.uniform(0, pause_seconds))

    def until_ended(self, seconds: float) -> dict[str, dict]:
        """Wait until all jobs have ended; return them by id."""
        deadline, found = time.monotonic() + seconds, {}
        waiting = {job_id: self._keys[job.tenant] for job in self.jobs for job_id in job.ids}
        while waiting:
            assert time.monotonic() < deadline, f"{len(waiting)} jobs have not ended: {sorted(waiting)[:5]}"
            for job_id in list(waiting):
                job = asked(self._services, "GET", f"/job/{job_id}", self.chance, waiting[job_id]).json()
                if job["status"] in ENDED:
                    found[job_id] = job
                    del waiting[job_id]
            time.sleep(0.2)
        return found
