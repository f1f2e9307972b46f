"""`python -m gateway`: serve until SIGTERM."""

import asyncio
import os
import sys

# The gateway starts one child, nats-server, and never forks a copy of itself: gRPC's fork handlers are only a cost.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from gateway.app import ConnectionLost, serve
from gateway.config import GatewaySettings
from servicekit.config import ConfigError
from servicekit.logs import configure

BAD_SETTING = 2


def main() -> None:
    """Read the settings and serve. Exits with 2 and one line on stderr when a setting cannot be used."""
    try:
        settings = GatewaySettings.load()
        configure("gateway", settings.log_level, settings.logs_dir)
        asyncio.run(serve(settings))
    except ConfigError as error:
        sys.exit(_told(error))
    except ConnectionLost as error:
        print("gateway: NATS ended the connection for good; start again", file=sys.stderr)
        raise SystemExit(1) from error


def _told(error: ConfigError) -> int:
    print(f"gateway: {error}", file=sys.stderr)
    return BAD_SETTING


if __name__ == "__main__":
    main()
