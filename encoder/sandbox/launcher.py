"""A program of its own: `launcher.py [--driver] [--preload LIBRARY] LIMITS READABLE WRITABLE COMMAND …` gives up
rights and becomes COMMAND.

LIMITS are CPU seconds, bytes of address space, bytes of a file and processes, with colons between; READABLE and
WRITABLE are paths, a line each. With --driver COMMAND may load the driver of a graphics card: the bytes are those of
private memory, and it may listen on a socket. With --preload a library is loaded before COMMAND. It imports only what
every start can pay for, and knows nothing of the project.

Sources: landlock(7), linux/landlock.h; seccomp(2), linux/seccomp.h, linux/filter.h, linux/audit.h.
"""

import ctypes
import errno
import os
import platform
import resource
import struct
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH = 1
PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 1, 15, 38, 22, 2

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL_DEV = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
# What an ABI of Landlock can handle: 13 rights at first, then REFER, TRUNCATE and IOCTL_DEV.
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
# Rights that a rule for a single file may hold.
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
TCP_RIGHTS = 0b11  # bind, connect; from ABI 4
SCOPES = 0b11  # abstract unix sockets, signals; from ABI 6

# System calls that are refused, by machine: socket, ptrace, process_vm_readv, process_vm_writev, io_uring_setup.
REFUSED = {"x86_64": (41, 101, 310, 311, 425), "aarch64": (198, 117, 270, 271, 425)}
# To what may load a driver: connect, accept, accept4. CUDA listens on a local socket for other processes that would
# share its memory, and does not start where it may not: so it may, but reaches nobody, and lets nobody in.
REFUSED_WITH_DRIVER = {"x86_64": (42, 43, 288), "aarch64": (203, 202, 242)}
AF_UNIX, SOCK_SEQPACKET, SOCK_TYPE_MASK = 1, 5, 0xF
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000
# Refused beside those to what becomes no other program: fork, vfork, execve, execveat; kill, tkill, tgkill,
# rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal.
REFUSED_ALONE = {
    "x86_64": (57, 58, 59, 322, 62, 200, 234, 129, 297, 424),
    "aarch64": (221, 281, 129, 130, 131, 138, 240, 424),
}
CLONE, CLONE_3 = {"x86_64": 56, "aarch64": 220}, 435
CLONE_THREAD = 0x00010000
SIGKILL = 9
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
REFUSE, UNKNOWN = ERROR | errno.EPERM, ERROR | errno.ENOSYS
LOAD, EQUAL, AT_LEAST, HAS, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
# Where the number of a call, the machine and the first two arguments are.
CALL, MACHINE, ARGUMENT, ARGUMENT_2 = 0, 4, 16, 24
# Where soft and hard limit are the same, the kernel kills without a word of why.
CPU_GRACE_SECONDS = 5
# What is beneath it is of one process alone, and forgotten by the kernel when memory runs short and nobody holds it:
# what is looked up then is another file, which the rule does not know.
OWN = "/proc/self"

# What starts this program, before the words that `become` takes.
COMMAND = (sys.executable, "-I", "-S", os.path.realpath(__file__))

# Names a library that is loaded before a program. Source: ld.so(8).
PRELOAD = "LD_PRELOAD"

libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """Return the version of Landlock in this kernel. Raises OSError where it has none."""
    if sys.platform != "linux":  # where the number is that of another call
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return _syscall(CREATE_RULESET, None, ctypes.c_size_t(0), CREATE_RULESET_VERSION)


def limit(cpu_seconds: int, memory_bytes: int, file_bytes: int, processes: int, *, driver: bool = False) -> None:
    """Set the limits; none is raised above what is in force. Memory is address space; with a `driver`, which reserves
    much more of that than there is, private memory that can be written to (Linux 4.7)."""
    limits = {
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_DATA if driver else resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NPROC: processes,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        hard = resource.getrlimit(kind)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        last = value + CPU_GRACE_SECONDS if kind == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else value
        resource.setrlimit(kind, (value, last))


def set_name(name: bytes) -> None:
    """Name this process, in at most 15 bytes."""
    libc.prctl(PR_SET_NAME, name, 0, 0, 0)


def end_with(parent: int) -> None:
    """Have the kernel kill this process, which `parent` has just forked, when that ends."""
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it has ended before that
        os._exit(1)


def shut_in(readable: list[str], writable: list[str]) -> None:
    """Leave this process no file but those beneath the paths, and no TCP. Raises OSError."""
    version = abi()
    rights = (1 << FILE_RIGHTS.get(version, 16)) - 1
    parts = [rights, TCP_RIGHTS if version >= 4 else 0, SCOPES if version >= 6 else 0]
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("=QQQ", *parts)[:size]
    ruleset = _syscall(CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    for path in readable:
        _allow(ruleset, path, rights & (EXECUTE | READ_FILE | READ_DIR))
    for path in writable:
        _allow(ruleset, path, rights & ~EXECUTE)
    _syscall(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def refuse_calls(*, alone: bool = False, driver: bool = False) -> None:
    """Refuse the system calls of REFUSED from now on, with EPERM; to what is `alone` those of REFUSED_ALONE too, and
    any new process: threads it may have. What may load a `driver` may listen on a local socket, which is of no use.
    Raises OSError."""
    machine = platform.machine()
    calls = REFUSED[machine] + (REFUSED_ALONE[machine] if alone else ())
    if driver:
        calls += REFUSED_WITH_DRIVER[machine]
    # Each step: code, steps to leap when true, when false, value.
    steps = [(LOAD, 0, 0, MACHINE), (EQUAL, 1, 0, AUDIT_ARCH[machine]), (RETURN, 0, 0, KILL), (LOAD, 0, 0, CALL)]
    steps += [(AT_LEAST, 0, 1, X32_BIT), (RETURN, 0, 0, KILL)]
    if alone:
        # The arguments of the newer call lie in memory, where nothing can be held against them.
        steps += [(EQUAL, 0, 1, CLONE_3), (RETURN, 0, 0, UNKNOWN), (EQUAL, 0, 4, CLONE[machine])]
        steps += [(LOAD, 0, 0, ARGUMENT), (HAS, 0, 1, CLONE_THREAD), (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    if driver:
        steps += [(EQUAL, 0, 7, REFUSED[machine][0]), (LOAD, 0, 0, ARGUMENT), (EQUAL, 0, 3, AF_UNIX)]
        steps += [(LOAD, 0, 0, ARGUMENT_2), (AND, 0, 0, SOCK_TYPE_MASK), (EQUAL, 1, 0, SOCK_SEQPACKET)]
        steps += [(RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
    steps += [(EQUAL, len(calls) - number, 0, call) for number, call in enumerate(calls)]
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(steps), ctypes.addressof(buffer))
    _check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0))


def _allow(ruleset: int, path: str, rights: int) -> None:
    if sys.platform != "linux":
        raise NotImplementedError
    file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        held = rights if os.path.isdir(path) else rights & OF_FILES
        rule = struct.pack("=Qi", held, file)
        _syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0)
    finally:
        if path.startswith(OWN):
            os.set_inheritable(file, True)
        else:
            os.close(file)


def _syscall(number: int, *arguments: object) -> int:
    return _check(libc.syscall(number, *arguments))


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def is_available() -> bool:
    """Return True if this kernel and this machine have all that it takes."""
    try:
        return abi() > 0 and platform.machine() in REFUSED
    except OSError:
        return False


def enter(readable: list[str], writable: list[str]) -> None:
    """Have this process, which has one thread and becomes no other program, give up all rights but those to the paths,
    which must exist. Raises OSError."""
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    shut_in(readable, writable)
    refuse_calls(alone=True)


def become(words: list[str]) -> None:
    """Give up rights, and become the command: `words` are those of the command line after the launcher's own. Raises
    OSError."""
    driver = words[0] == "--driver"
    words = words[driver:]
    if words[0] == "--preload":
        os.environ[PRELOAD] = words[1]
        words = words[2:]
    limits, readable, writable, *command = words
    cpu_seconds, memory_bytes, file_bytes, processes = map(int, limits.split(":"))
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    shut_in(readable.splitlines(), writable.splitlines())
    refuse_calls(driver=driver)
    # Last, as a process that was forked may have more memory already than the command is to have.
    limit(cpu_seconds, memory_bytes, file_bytes, processes, driver=driver)
    os.execv(command[0], command)


if __name__ == "__main__":
    become(sys.argv[1:])
