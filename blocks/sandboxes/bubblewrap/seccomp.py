"""System calls that no program in a sandbox may make, as the kernel takes it: classic BPF. Pure.

Whoever is not named here may: programs are of any kind, and what they reach is bounded by their
namespaces. Named is what would reach the kernel itself, other processes, or a new user namespace,
in which one is root again. In the kernel: Documentation/userspace-api/seccomp_filter.rst.
"""

import struct

# `struct seccomp_data`: the number, the architecture, the arguments (their lower halves).
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
# <linux/bpf_common.h>: load a word, compare, test bits, give back.
_LOAD, _EQUAL, _NOT_BELOW, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# <linux/seccomp.h>.
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97

# `platform.machine()`: AUDIT_ARCH of <linux/audit.h>, and the place in the pairs below.
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
MACHINES = tuple(_MACHINES)
# From this number on they are of another ABI of the same architecture (x32), whose numbers differ.
_X32 = 0x40000000

# Numbers on x86_64 (arch/x86/entry/syscalls/syscall_64.tbl) and on aarch64
# (include/uapi/asm-generic/unistd.h); None where there is no such call.
_DENIED: dict[str, tuple[int, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, None),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "ustat": (136, None),
    "vhangup": (153, 58),
}
# Memory that is no process's own: only a cgroup counts it.
_UNCOUNTED: dict[str, tuple[int, int | None]] = {
    "memfd_create": (319, 279),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "semget": (64, 190),
    "shmget": (29, 194),
}
_CLONE, _CLONE3, _SOCKET, _IOCTL = (56, 220), (435, 435), (41, 198), (16, 29)
_PRLIMIT64 = (302, 261)

# <linux/sched.h>: mount, cgroup, UTS, IPC, user, PID and network namespaces. That of time shares
# its bit with the signal of `clone`, and is to be had by `clone3` and `unshare` alone.
_NEW_NAMESPACE = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000
_NEW_NAMESPACE |= 0x40000000
# AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: all of them of the sandbox's own network namespace. Those
# of a virtual machine's host (AF_VSOCK) are of none.
_FAMILIES = (1, 2, 10, 16)
# TIOCSTI and TIOCLINUX of <asm-generic/ioctls.h>: what types into a terminal.
_TYPES_INTO_TERMINALS = (0x5412, 0x541C)


def known(machine: str) -> bool:
    """Whether there is a filter for what `platform.machine()` says."""
    return machine in _MACHINES


def filter_program(machine: str, *, counted: bool) -> bytes:
    """The filter, as `bwrap --seccomp` reads it: an array of `struct sock_filter`.

    Args:
        machine: what `platform.machine()` says; KeyError for one that is not `known`.
        counted: whether a cgroup counts the sandbox's memory. Where none does, what would hold
            memory outside of any process is denied as well.
    """
    architecture, place = _MACHINES[machine]
    program = [
        _step(_LOAD, _ARCHITECTURE),
        *_unless(_EQUAL, architecture, _step(_RETURN, _KILL)),
        _step(_LOAD, _NUMBER),
        *_when(_NOT_BELOW, _X32, _step(_RETURN, _ERROR | _EPERM)),
    ]
    denied = _DENIED if counted else _DENIED | _UNCOUNTED
    for numbers in denied.values():
        if (number := numbers[place]) is not None:
            program += _when(_EQUAL, number, _step(_RETURN, _ERROR | _EPERM))
    # Its flags are in memory, which a filter does not see; libraries fall back to `clone`.
    program += _when(_EQUAL, _CLONE3[place], _step(_RETURN, _ERROR | _ENOSYS))
    program += _when(
        _EQUAL,
        _CLONE[place],
        _step(_LOAD, _ARGUMENTS),
        *_when(_ANY_BIT, _NEW_NAMESPACE, _step(_RETURN, _ERROR | _EPERM)),
        _step(_RETURN, _ALLOW),
    )
    # Its own limits a process lowers as it likes. With those of another of its user, such as a
    # container's first process, it would end that.
    program += _when(
        _EQUAL,
        _PRLIMIT64[place],
        _step(_LOAD, _ARGUMENTS),
        *_unless(_EQUAL, 0, _step(_RETURN, _ERROR | _EPERM)),
        _step(_RETURN, _ALLOW),
    )
    families = [step for each in _FAMILIES for step in _when(_EQUAL, each, _step(_RETURN, _ALLOW))]
    program += _when(
        _EQUAL,
        _SOCKET[place],
        _step(_LOAD, _ARGUMENTS),
        *families,
        _step(_RETURN, _ERROR | _EAFNOSUPPORT),
    )
    requests = [
        step
        for each in _TYPES_INTO_TERMINALS
        for step in _when(_EQUAL, each, _step(_RETURN, _ERROR | _EPERM))
    ]
    program += _when(
        _EQUAL, _IOCTL[place], _step(_LOAD, _ARGUMENTS + 8), *requests, _step(_RETURN, _ALLOW)
    )
    program.append(_step(_RETURN, _ALLOW))
    return b"".join(program)


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def _when(code: int, value: int, *steps: bytes) -> list[bytes]:
    """`steps` where the comparison holds."""
    return [_step(code, value, otherwise=len(steps)), *steps]


def _unless(code: int, value: int, *steps: bytes) -> list[bytes]:
    return [_step(code, value, then=len(steps)), *steps]
