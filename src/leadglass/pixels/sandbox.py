"""What a worker may still do once it is locked down: compute, read its standard input, write its standard output.

Two walls, each enough by itself: Landlock without any rule (no file by name, no TCP) and a seccomp filter that allows
the system calls of computing and no others. Neither needs a privilege, a namespace or a set-uid helper, so both work
in containers and in a hardened unit (docs/adr/0005-sandbox.md). Locking down cannot be undone, and must come
after everything is imported.
"""

import ctypes
import os
import resource
from pathlib import Path
from typing import Final

from leadglass.pixels.limits import DecoderLimits

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38

# include/uapi/linux/landlock.h. The numbers of these two calls are the same on every architecture that Python runs on.
_LANDLOCK_CREATE_RULESET: Final = 444
_LANDLOCK_RESTRICT_SELF: Final = 446
_LANDLOCK_CREATE_RULESET_VERSION: Final = 1
#: For each version of Landlock's interface the rights on files, rights on TCP and scopes that it can take away.
_LANDLOCK_RIGHTS: Final = (
    (0, 0, 0),
    ((1 << 13) - 1, 0, 0),
    ((1 << 14) - 1, 0, 0),
    ((1 << 15) - 1, 0, 0),
    ((1 << 15) - 1, 3, 0),
    ((1 << 16) - 1, 3, 0),
    ((1 << 16) - 1, 3, 3),
)

# seccomp.h of libseccomp.
_ALLOW: Final = 0x7FFF0000
_KILL_PROCESS: Final = 0x80000000
_EPERM: Final = 0x00050000 | 1
_EQUAL: Final = 4
_MASKED_EQUAL: Final = 7
_NO_SUCH_CALL: Final = -1
_PROT_EXEC: Final = 4

#: Memory, signals of the process itself, time and its end.
_COMPUTING: Final = (
    *("brk", "munmap", "mremap", "madvise", "futex", "sched_yield", "sched_getaffinity", "getrandom"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"),
    *("clock_gettime", "clock_getres", "gettimeofday", "time", "getpid", "gettid", "exit", "exit_group"),
)
#: What no codec ever does, and code of somebody else's would: the process ends there, and the pool hears of it.
_HOSTILE: Final = (
    *("execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd"),
    *("socket", "connect", "bind", "kill", "bpf", "unshare", "setns", "mount", "userfaultfd", "io_uring_setup"),
    *("perf_event_open", "keyctl", "add_key", "request_key", "init_module", "finit_module"),
)


class SandboxUnavailable(Exception):
    """This machine cannot lock a worker down; the message says what is missing."""


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class _LandlockRuleset(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


def lock_down(limits: DecoderLimits) -> None:
    """Ends this process's access to everything but descriptors 0 and 1. Raises SandboxUnavailable."""
    if len(list(Path("/proc/self/task").iterdir())) != 1:
        raise SandboxUnavailable("A worker has more than one thread.")
    libc = ctypes.CDLL(None, use_errno=True)
    seccomp = load_libseccomp()
    _bound(limits)
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise SandboxUnavailable("prctl is refused.")
    restrict_files(libc)
    # After Landlock, which needs a descriptor; from here on none can be opened, nor a process started.
    for what in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):
        resource.setrlimit(what, (0, 0))
    filter_calls(seccomp)
    _prove()


def _bound(limits: DecoderLimits) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    space = pages * resource.getpagesize() + limits.memory_bytes
    seconds = int(limits.worker_seconds + limits.job_seconds) + 1
    for what, bound in (
        (resource.RLIMIT_AS, space),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        resource.setrlimit(what, (bound, bound))


def restrict_files(libc: ctypes.CDLL) -> None:
    """Landlock. Needs no_new_privs. Raises SandboxUnavailable."""
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    if version < 1:
        raise SandboxUnavailable("The kernel has no Landlock, or a filter forbids it.")
    attributes = _LandlockRuleset(*_LANDLOCK_RIGHTS[min(version, len(_LANDLOCK_RIGHTS) - 1)])
    size = ctypes.sizeof(attributes)
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    if ruleset < 0:
        raise SandboxUnavailable("The kernel refuses a Landlock ruleset.")
    restricted = libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    if restricted != 0:
        raise SandboxUnavailable("The kernel refuses to apply Landlock.")


def load_libseccomp() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        raise SandboxUnavailable("libseccomp is not installed.") from None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_rule_add_array.argtypes = (
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int),
        *(ctypes.c_uint, ctypes.POINTER(_Comparison)),
    )
    library.seccomp_load.argtypes = (ctypes.c_void_p,)
    return library


def filter_calls(library: ctypes.CDLL) -> None:
    """seccomp. Everything that is not named is answered with EPERM, as a library expects of a call that it can do
    without. Raises SandboxUnavailable."""
    context = library.seccomp_init(_EPERM)
    if not context:
        raise SandboxUnavailable("libseccomp gives no filter.")
    no_code = _Comparison(2, _MASKED_EQUAL, _PROT_EXEC, 0)
    rules: list[tuple[int, str, tuple[_Comparison, ...]]] = [
        (_ALLOW, "read", (_Comparison(0, _EQUAL, 0, 0),)),
        (_ALLOW, "write", (_Comparison(0, _EQUAL, 1, 0),)),
        (_ALLOW, "mmap", (no_code,)),
        (_ALLOW, "mprotect", (no_code,)),
        *((_ALLOW, name, ()) for name in _COMPUTING),
        *((_KILL_PROCESS, name, ()) for name in _HOSTILE),
    ]
    for action, name, comparisons in rules:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == _NO_SUCH_CALL:
            if action == _ALLOW:
                raise SandboxUnavailable(f"libseccomp does not know {name}.")
            continue  # Refused all the same, as everything unnamed is.
        array = (_Comparison * len(comparisons))(*comparisons)
        if library.seccomp_rule_add_array(context, action, number, len(comparisons), array) != 0:
            raise SandboxUnavailable(f"libseccomp takes no rule for {name}.")
    if library.seccomp_load(context) != 0:
        raise SandboxUnavailable("The kernel takes no seccomp filter.")


def _prove() -> None:
    try:
        os.close(os.open("/", os.O_RDONLY))
    except PermissionError:
        return
    raise SandboxUnavailable("A worker that is locked down opens files all the same.")
