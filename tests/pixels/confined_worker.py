"""The real worker on a machine that does not let it lock itself down: argument 1 is a system call that a filter around
it forbids, argument 2 whether by an error or by the end of the process."""

import ctypes
import sys

from leadglass.pixels.perform import perform
from leadglass.pixels.worker import main

ACTIONS = {"refused": 0x00050001, "killed": 0x80000000}


def forbid(call: str, action: int) -> None:
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(0x7FFF0000))
    number = library.seccomp_syscall_resolve_name(call.encode())
    assert library.seccomp_rule_add_array(context, action, number, 0, None) == 0
    assert library.seccomp_load(context) == 0


if __name__ == "__main__":
    forbid(sys.argv[1], ACTIONS[sys.argv[2]])
    sys.exit(main(perform))
