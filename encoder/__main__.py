"""`python -m encoder` serves; `python -m encoder doctor` prints what this machine can do, and `config` the settings in
force, as JSON."""

import asyncio
import json
import os
import sys

# Before gRPC is imported: its handlers for fork() run in the child that is to become FFmpeg, and some end it there.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import structlog

from encoder.config import EncoderSettings
from encoder.server import app
from encoder.tasks import capabilities
from servicekit import logs, tracing
from servicekit.config import ConfigError, print_report
from servicekit.connections import raise_descriptor_limit
from servicekit.server import stop_signal
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("encoder")

USAGE = "usage: python -m encoder [doctor | config]"


async def serve(settings: EncoderSettings) -> None:
    """Serve until SIGTERM or SIGINT, or until no gateway has called for IDLE_EXIT_SECONDS."""
    idle = app.IdleMonitor()
    async with app.serve(settings, idle):
        ends = [asyncio.create_task(stop_signal()), asyncio.create_task(idle.wait_idle(settings.idle_exit_seconds))]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if ends[1].done():
            log.warning("idle; exiting", seconds=settings.idle_exit_seconds)
        await cancel_and_wait(*ends)


def main(arguments: list[str]) -> int:
    """Run the command; return the exit code. 2: a setting or the command line is wrong."""
    if arguments not in ([], ["doctor"], ["config"]):
        print(USAGE, file=sys.stderr)
        return 2
    if arguments == ["config"]:
        return print_report(EncoderSettings)
    try:
        settings = EncoderSettings.load()
        if arguments:
            logs.configure("encoder", settings.log_level, None, settings.log_format)
            print(json.dumps(asyncio.run(capabilities.report(settings)), indent=2))
            return 0
        logs.configure("encoder", settings.log_level, settings.logs_dir, settings.log_format)
        raise_descriptor_limit()
        with tracing.configured("encoder", capabilities.VERSION):
            asyncio.run(serve(settings))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
