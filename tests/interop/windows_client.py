"""A program: import all of the client, and help of the command line, where Python has nothing of Unix's own."""

import os
import signal
import sys
from importlib.abc import MetaPathFinder

MODULES = {"fcntl", "grp", "posix_ipc", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NAMES = {
    os: "chown fchmod fork geteuid getuid killpg mkfifo setsid statvfs sysconf uname",
    signal: "SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGUSR1 SIGWINCH",
}
# What serves on this machine needs Unix; the commands import it when they begin.
SERVING = "api_gpu.local"


class NotThere(MetaPathFinder):
    """Finds none of the modules."""

    def find_spec(self, fullname, path, target=None):
        """Raise ImportError for one of them."""
        if fullname in MODULES:
            raise ImportError(f"{fullname} is not on Windows")


def main() -> None:
    """Take all that away, and import."""
    sys.meta_path.insert(0, NotThere())
    for name in MODULES:
        sys.modules.pop(name, None)
    for module, names in NAMES.items():
        for name in names.split():
            delattr(module, name)
    import api_gpu
    from api_gpu.cli.main import main as command_line

    for name in api_gpu.__all__:
        getattr(api_gpu, name)
    sys.argv = ["api-gpu", "--help"]
    command_line()


if __name__ == "__main__":
    main()
