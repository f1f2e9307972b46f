"""A stand-in for macOS, by PYTHONPATH: Python says that it is there, and lacks what Linux alone has.

What the standard library chooses by the system it has chosen before: its modules are imported here.
"""

import asyncio  # noqa: F401
import concurrent.futures.process  # noqa: F401
import ctypes.util  # noqa: F401
import fcntl
import importlib.metadata  # noqa: F401
import locale  # noqa: F401
import mimetypes  # noqa: F401
import multiprocessing.connection  # noqa: F401
import os
import platform
import resource
import select
import shutil  # noqa: F401
import signal
import socket
import ssl  # noqa: F401
import subprocess  # noqa: F401
import sys
import sysconfig
import tempfile  # noqa: F401
import urllib.request  # noqa: F401
import uuid  # noqa: F401

OF_LINUX = {
    os: "O_PATH O_TMPFILE copy_file_range eventfd getrandom memfd_create pidfd_open pipe2 posix_fadvise "
    "posix_fallocate sched_getaffinity sched_setaffinity setns splice unshare",
    fcntl: "F_GETPIPE_SZ F_SETPIPE_SZ",
    resource: "prlimit",
    select: "epoll",
    signal: "pidfd_send_signal sigtimedwait sigwaitinfo",
    socket: "SOCK_CLOEXEC SOCK_NONBLOCK SO_DOMAIN SO_PEERCRED SO_PROTOCOL TCP_USER_TIMEOUT",
}
for module, names in OF_LINUX.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
sysconfig.get_config_vars()  # read from a file that is named after the system
platform.machine = lambda: "arm64"
sys.platform = "darwin"
