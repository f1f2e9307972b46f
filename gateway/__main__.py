"""`python -m gateway` serves until SIGTERM; `python -m gateway config` prints the settings in force, as JSON."""

import asyncio
import os
import sys

# The gateway starts one child, nats-server, and never forks a copy of itself: gRPC's fork handlers are only a cost.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from gateway.app import ConnectionLost, serve
from gateway.config import GatewaySettings
from gateway.version import VERSION
from servicekit import tracing
from servicekit.config import ConfigError, print_report
from servicekit.connections import raise_descriptor_limit
from servicekit.logs import configure

BAD_SETTING = 2
USAGE = "usage: python -m gateway [config]"


def main() -> None:
    """Read the settings and serve. Exit with 2 for a setting or an argument that cannot be used, with 1 when NATS is
    lost."""
    if sys.argv[1:] == ["config"]:
        sys.exit(print_report(GatewaySettings))
    if sys.argv[1:]:
        print(USAGE, file=sys.stderr)
        sys.exit(BAD_SETTING)
    try:
        settings = GatewaySettings.load()
        configure("gateway", settings.log_level, settings.logs_dir, settings.log_format)
        raise_descriptor_limit()
        with tracing.configured("gateway", VERSION):
            asyncio.run(serve(settings))
    except ConfigError as error:
        print(f"gateway: {error}", file=sys.stderr)
        sys.exit(BAD_SETTING)
    except ConnectionLost:
        sys.exit("gateway: NATS ended the connection for good; start again")


if __name__ == "__main__":
    main()
