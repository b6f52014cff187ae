"""The system call filter, run as the kernel runs it."""

import struct

import pytest

from prefect_governor.blocks.sandboxes.bubblewrap import seccomp

ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def outcome(
    program: bytes, number: int, arguments: tuple[int, ...] = (), *, architecture: int
) -> int:
    """What the filter gives back for a call: classic BPF, the five instructions that it is of."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *(*arguments, *[0] * 6)[:6])
    steps = list(struct.iter_unpack("=HBBI", program))
    at, held = 0, 0
    while True:
        code, then, otherwise, value = steps[at]
        at += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            (held,) = struct.unpack_from("=I", data, value)
            continue
        holds = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[code]
        at += then if holds else otherwise


@pytest.mark.parametrize("machine", sorted(ARCHITECTURES))
@pytest.mark.parametrize("counted", [True, False])
def test_calls_that_reach_the_kernel_are_denied_and_those_of_programs_are_not(
    machine: str, counted: bool
) -> None:
    program = seccomp.filter_program(machine, counted=counted)
    place = sorted(ARCHITECTURES, reverse=True).index(machine)
    of_this = ARCHITECTURES[machine]
    # ptrace, bpf, keyctl, mount, unshare, setns, userfaultfd, io_uring_setup, perf_event_open.
    denied = [(101, 117), (321, 280), (250, 219), (165, 40), (272, 97), (308, 268), (323, 282)]
    denied += [(425, 425), (298, 241)]
    for numbers in denied:
        assert outcome(program, numbers[place], architecture=of_this) == ERROR | 1
    # read, execve, openat, wait4, futex, mmap, exit_group.
    allowed = [(0, 63), (59, 221), (257, 56), (61, 260), (202, 98), (9, 222), (231, 94)]
    for numbers in allowed:
        assert outcome(program, numbers[place], architecture=of_this) == ALLOW
    memfd_create, shmget = (319, 279)[place], (29, 194)[place]
    for number in (memfd_create, shmget):
        assert outcome(program, number, architecture=of_this) == (ALLOW if counted else ERROR | 1)


@pytest.mark.parametrize("machine", sorted(ARCHITECTURES))
def test_a_process_may_be_made_and_a_namespace_may_not(machine: str) -> None:
    program = seccomp.filter_program(machine, counted=True)
    of_this = ARCHITECTURES[machine]
    clone, clone3 = {"x86_64": (56, 435), "aarch64": (220, 435)}[machine]
    fork, thread = 0x11, 0x3D0F00
    assert outcome(program, clone, (fork,), architecture=of_this) == ALLOW
    assert outcome(program, clone, (thread,), architecture=of_this) == ALLOW
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert outcome(program, clone, (flag | fork,), architecture=of_this) == ERROR | 1
    assert outcome(program, clone3, architecture=of_this) == ERROR | 38


@pytest.mark.parametrize("machine", sorted(ARCHITECTURES))
def test_sockets_are_of_the_sandboxes_own_network_and_no_terminal_is_typed_into(
    machine: str,
) -> None:
    program = seccomp.filter_program(machine, counted=True)
    of_this = ARCHITECTURES[machine]
    socket, ioctl = {"x86_64": (41, 16), "aarch64": (198, 29)}[machine]
    for family in range(50):
        came = outcome(program, socket, (family,), architecture=of_this)
        assert came == (ALLOW if family in (1, 2, 10, 16) else ERROR | 97)
    assert outcome(program, ioctl, (0, 0x5412), architecture=of_this) == ERROR | 1
    assert outcome(program, ioctl, (0, 0x5413), architecture=of_this) == ALLOW


@pytest.mark.parametrize("machine", sorted(ARCHITECTURES))
def test_a_process_lowers_its_own_limits_and_not_those_of_who_watches_it(machine: str) -> None:
    program = seccomp.filter_program(machine, counted=True)
    of_this = ARCHITECTURES[machine]
    prlimit = {"x86_64": 302, "aarch64": 261}[machine]
    assert outcome(program, prlimit, (0, 7), architecture=of_this) == ALLOW
    for other in (1, 2, 0xFFFFFFFF):
        assert outcome(program, prlimit, (other, 7), architecture=of_this) == ERROR | 1


def test_calls_of_another_architecture_or_another_abi_of_it_get_nowhere() -> None:
    program = seccomp.filter_program("x86_64", counted=True)
    i386 = 0x40000003
    assert outcome(program, 26, architecture=i386) == KILL
    assert outcome(program, 101, architecture=ARCHITECTURES["aarch64"]) == KILL
    x32_ptrace = 0x40000000 | 521
    assert outcome(program, x32_ptrace, architecture=ARCHITECTURES["x86_64"]) == ERROR | 1


def test_a_machine_without_a_filter_is_told_before_anything_runs() -> None:
    assert seccomp.known("x86_64") and seccomp.known("aarch64")
    assert not seccomp.known("riscv64")
    with pytest.raises(KeyError):
        seccomp.filter_program("riscv64", counted=True)
