"""`python -m servicekit.probe PORT`: exit with 0 if the health service on this host says SERVING, else with 1.

For container engines that can only run a command; Kubernetes calls the health service itself.
"""

import sys
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_SECONDS = 3.0


def is_serving(port: int) -> bool:
    """Return True if the plaintext health service at a port of this host says SERVING."""
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def main(arguments: list[str]) -> int:
    """Return the exit code; 2 for a wrong command line."""
    if len(arguments) != 1 or not arguments[0].isdigit():
        print(__doc__, file=sys.stderr)
        return 2
    return 0 if is_serving(int(arguments[0])) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
