"""Classes of the gateway's calls, each with slots of its own: health, open calls, short calls with a key, long ones.

All of them stand once for gRPC and once for the JSON proxy. None of these can block another.
"""

from dataclasses import dataclass

from gateway.callers import caller
from servicekit.addresses import client_network, peer_address
from servicekit.admission import CallClass, Classify, open_class
from servicekit.concurrency import ConcurrencyLimit
from servicekit.interceptors import Context

HEALTH = ("/grpc.health.v1.Health/Check", "/apigpu.v1.SystemService/GetHealth")
WATCH = "/grpc.health.v1.Health/Watch"
# Calls that last as long as a job or a file.
LONG = (
    "/apigpu.v1.VideoService/",
    "/apigpu.v1.JobService/WatchJob",
    "/apigpu.v1.AssetService/UploadAsset",
    "/apigpu.v1.AssetService/DownloadAsset",
    "/google.bytestream.ByteStream/Read",
    "/google.bytestream.ByteStream/Write",
)
# A message of 4 MiB takes so long on a slow line; AssetService has a limit of its own, which is shorter.
MESSAGE_SECONDS = 150.0


@dataclass(frozen=True)
class CallClasses:
    """The classes of one door."""

    health: CallClass
    watch: CallClass
    open: CallClass
    short: CallClass
    long: CallClass

    @classmethod
    def of(cls, max_calls: int) -> "CallClasses":
        """Return classes with `max_calls` slots for the calls of either kind that have a key."""
        return cls(
            health=open_class("health checks"),
            watch=open_class("health watches", is_preemptible=True),
            open=open_class("calls without a key"),
            short=CallClass(ConcurrencyLimit(max_calls, "calls"), MESSAGE_SECONDS, MESSAGE_SECONDS),
            long=CallClass(ConcurrencyLimit(max_calls, "long calls"), MESSAGE_SECONDS, MESSAGE_SECONDS),
        )

    def find(self, method: str, key: str) -> CallClass:
        """Return the class of a method, for a caller with this key ("": without one)."""
        if method == WATCH:
            return self.watch
        if method in HEALTH:
            return self.health
        if not key:
            return self.open
        return self.long if method.startswith(LONG) else self.short


def call_classes(max_calls: int) -> Classify:
    """Return how calls are classified; their clients are keys, and addresses where there is no key."""
    grpc_door, json_door = CallClasses.of(max_calls), CallClasses.of(max_calls)

    def classify(method: str, context: Context) -> tuple[CallClass, str]:
        peer, key = context.peer(), caller.get().key_id
        door = json_door if peer.startswith("unix:") else grpc_door
        return door.find(method, key), key or client_network(peer_address(peer))

    return classify
