"""Hostile programs, a row each: what it tries, what becomes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.results import SandboxResult

BOUNDS = SandboxBounds(
    memory_mib=96,
    processes=24,
    open_files=64,
    workspace_mib=8,
    workspace_files=100,
    output_kib=32,
    seconds=6,
)


@dataclass(frozen=True)
class Host:
    """What of the host a program may not reach: words that stand in an environment variable of this
    process and in files, their paths, this process's number, a folder beside the workspace's."""

    secret: str
    files: tuple[str, ...]
    pid: int
    outside: Path


@dataclass(frozen=True)
class Row:
    """A program in Python. `reason` is that of the bound that it goes beyond; None where it is kept
    from what it tries, goes on, and says "held" at its end."""

    name: str
    code: str
    reason: str | None = None
    begins_with: tuple[tuple[str, str], ...] = ()
    check: Callable[[SandboxResult, Path], None] | None = None

    def program(self, host: Host) -> str:
        """The code, with what it needs to know of the host."""
        return (
            f"SECRET, FILES, PID, OUTSIDE = {host.secret[::-1]!r}[::-1], {host.files!r},"
            f" {host.pid}, {str(host.outside)!r}\n{self.code}"
        )


def _files(*names: str) -> Callable[[SandboxResult, Path], None]:
    """What it left is this, on the host as well."""

    def check(result: SandboxResult, folder: Path) -> None:
        assert {*result.files} >= {*names}, result
        there = {each.relative_to(folder).as_posix() for each in folder.rglob("*")}
        assert there == {*names}, there
        assert not any(each.is_symlink() for each in folder.rglob("*"))

    return check


def _refused(*parts: str) -> Callable[[SandboxResult, Path], None]:
    """What it left beside plain files was refused, by name."""

    def check(result: SandboxResult, folder: Path) -> None:
        for part in parts:
            assert any(part in each for each in result.refused), (part, result.refused)
        assert not any(each.is_symlink() for each in folder.rglob("*"))

    return check


_SYSTEM_CALLS = """
import ctypes, errno, platform
libc = ctypes.CDLL(None, use_errno=True)
ARM = platform.machine() == "aarch64"
def denied(what, x86, arm, *arguments):
    ctypes.set_errno(0)
    came = libc.syscall(arm if ARM else x86, *arguments)
    assert came == -1, (what, came)
    assert ctypes.get_errno() in (errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT), (
        what, ctypes.get_errno())
"""

TABLE = (
    # Each goes beyond one bound.
    Row(
        "fork bomb",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        "more than 24 processes",
    ),
    Row(
        "thread bomb",
        "import threading, time\nwhile True:\n"
        "    try: threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "    except RuntimeError: pass",
        "more than 24 processes",
    ),
    Row(
        "memory hog",
        "held = []\nwhile True: held.append(b'x' * 1_000_000)",
        "out of memory at 96 MiB",
    ),
    Row(
        "memory hog in children that share the load",
        "import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n"
        "        held = b'x' * 16_000_000; time.sleep(60)\ntime.sleep(60)",
        "out of memory at 96 MiB",
    ),
    Row(
        "disk filler",
        "with open('big', 'wb') as file:\n    while True: file.write(b'x' * 100_000)",
        "workspace full at 8 MiB",
    ),
    Row(
        "disk filler in /tmp and /dev/shm",
        "for at in range(10_000):\n    for folder in ('/tmp', '/dev/shm'):\n"
        "        open(f'{folder}/{at}', 'wb').write(b'x' * 500_000)",
        "workspace full at 8 MiB",
    ),
    Row(
        "inode filler",
        "for at in range(100_000): open(str(at), 'w').close()",
        "workspace full at 100 files",
    ),
    Row("output flood", "while True: print('x' * 1000)", "output above 32 KiB"),
    Row(
        "output flood on standard error",
        "import sys\nwhile True: sys.stderr.write('x' * 1000)",
        "output above 32 KiB",
    ),
    Row("endless loop", "while True: pass", "still running after 6 s"),
    Row(
        "endless loop that takes no signal",
        "import signal\nfor each in range(1, 64):\n    try: signal.signal(each, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass",
        "still running after 6 s",
    ),
    Row(
        "open files",
        "held = [open('/dev/null') for _ in range(1000)]",
        "more than 64 open files",
    ),
    Row(
        "zip bomb as an output: files with holes",
        "for at in range(90):\n    with open(str(at), 'wb') as file: file.truncate(8_000_000)",
        "workspace full at 8 MiB",
    ),
    # Each is kept from what it tries.
    Row(
        "network call",
        "import socket\n"
        "for family, address in ((socket.AF_INET, ('1.1.1.1', 53)),"
        " (socket.AF_INET, ('169.254.169.254', 80)), (socket.AF_INET6, ('2606:4700::1', 53))):\n"
        "    try: socket.socket(family).connect(address)\n    except OSError: continue\n"
        "    raise SystemExit(f'reached {address}')\n"
        "try: socket.getaddrinfo('example.com', 80)\nexcept OSError: pass\n"
        "else: raise SystemExit('resolved')\nprint('held')",
    ),
    Row(
        "reads of /proc and of the host's environment",
        "import glob\nseen = b''\n"
        "for name in glob.glob('/proc/*/environ') + glob.glob('/proc/*/cmdline')"
        " + glob.glob('/proc/*/maps'):\n"
        "    try: seen += open(name, 'rb').read()\n    except OSError: pass\n"
        "assert SECRET.encode() not in seen\n"
        "assert b'pytest' not in seen\n"
        "for name in ('/proc/kcore', '/proc/sysrq-trigger', '/proc/sys/kernel/core_pattern'):\n"
        "    try: open(name, 'r+b')\n    except OSError: continue\n    raise SystemExit(name)\n"
        "print('held')",
    ),
    Row(
        "reads of host paths: the ledger, /root, the engine's socket",
        "import os\nfor name in (*FILES, '/root', '/home', '/var/run/docker.sock', '/etc/shadow',"
        " '/run', '/work', '/proc/1/root/root', '/proc/1/cwd/root'):\n"
        "    try: seen = os.listdir(name) if os.path.isdir(name) else open(name).read(1)\n"
        "    except OSError: continue\n    if seen: raise SystemExit(name)\nprint('held')",
    ),
    Row(
        "writes outside of the workspace",
        "for name in ('/x', '/usr/x', '/usr/bin/x', '/etc/x', '/etc/passwd', '/dev/x', '/proc/x',"
        " '/bin/x', '/run/x', '/sys/x', OUTSIDE + '/x'):\n"
        "    try: open(name, 'a')\n    except OSError: continue\n    raise SystemExit(name)\n"
        "print('held')",
    ),
    Row(
        "signals to the parent and to everybody",
        "import os, signal\n"
        "for pid in (PID, os.getppid(), 1):\n"
        "    try: os.kill(pid, signal.SIGKILL)\n    except OSError: pass\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "try: os.kill(-1, signal.SIGTERM)\nexcept OSError: pass\nprint('held')",
    ),
    Row(
        "symbolic links out of the workspace",
        "import os, shutil\nos.symlink('/etc/passwd', 'passwd')\n"
        "os.symlink(OUTSIDE, 'out')\nos.symlink('..', 'up')\n"
        "shutil.rmtree('kept')\nos.symlink(OUTSIDE, 'kept')\nprint('held')",
        begins_with=(("kept/file", "before"),),
        check=_refused("passwd", "out", "up", "kept"),
    ),
    Row(
        "hard links",
        "import os\nopen('one', 'w').write('1')\nos.link('one', 'two')\n"
        "for name in ('/etc/passwd', '/usr/bin/env', '/proc/self/environ'):\n"
        "    try: os.link(name, 'linked')\n    except OSError: continue\n"
        "    raise SystemExit(name)\nprint('held')",
        check=_refused("a hard link"),
    ),
    Row(
        "pipes and sockets as outputs",
        "import os, socket\nos.mkfifo('pipe')\nsocket.socket(socket.AF_UNIX).bind('socket')\n"
        "try: os.mknod('device', 0o600 | 0o060000, os.makedev(8, 0))\n"
        "except OSError: print('held')",
        check=_refused("pipe"),
    ),
    Row(
        "deleted working directory",
        "import os, shutil\nshutil.rmtree('/workspace', ignore_errors=True)\n"
        "os.mkdir('/workspace/in'); os.chdir('/workspace/in'); os.rmdir('/workspace/in')\n"
        "try: os.rmdir('/workspace')\nexcept OSError: print('held')",
        begins_with=(("file", "before"),),
        check=_files(),
    ),
    Row(
        "workspace closed to its owner",
        "import os\nopen('left', 'w').write('1')\nos.chmod('left', 0)\nos.chmod('/workspace', 0)\n"
        "print('held')",
        check=_files("left"),
    ),
    Row(
        "set-user-id",
        "import os, shutil, subprocess\n"
        "for call, given in ((os.setuid, 0), (os.setgroups, [0]), (os.chroot, '/tmp')):\n"
        "    try: call(given)\n    except OSError: continue\n    raise SystemExit('became root')\n"
        "shutil.copy('/usr/bin/id', 'id')\nos.chmod('id', 0o6755)\n"
        "told = subprocess.run(['./id', '-u'], capture_output=True).stdout.strip()\n"
        "assert told == b'%d' % os.getuid()\n"
        "assert os.getuid() != 0\n"
        "assert 'NoNewPrivs:\\t1' in open('/proc/self/status').read()\n"
        "assert 'CapBnd:\\t0000000000000000' in open('/proc/self/status').read()\nprint('held')",
    ),
    Row(
        "ptrace, namespaces, mounts and the kernel's other doors",
        _SYSTEM_CALLS + "denied('ptrace', 101, 117, 0, 0, 0, 0)\n"
        "denied('unshare', 272, 97, 0x10000000)\ndenied('setns', 308, 268, 0, 0)\n"
        "denied('clone', 56, 220, 0x10000000 | 17, 0, 0, 0, 0)\n"
        "denied('clone3', 435, 435, 0, 0)\n"
        "denied('mount', 165, 40, b'none', b'/tmp', b'tmpfs', 0, 0)\n"
        "denied('keyctl', 250, 219, 0, -3, 0)\ndenied('bpf', 321, 280, 0, 0, 0)\n"
        "denied('userfaultfd', 323, 282, 0)\ndenied('perf_event_open', 298, 241, 0, 0, -1, -1, 0)\n"
        "denied('io_uring_setup', 425, 425, 1, 0)\ndenied('kexec_load', 246, 104, 0, 0, 0, 0)\n"
        # The limits of the first process, which is of the same user.
        "denied('prlimit64', 302, 261, 1, 0, b'\\0' * 16, 0)\n"
        "denied('vsock', 41, 198, 40, 1, 0)\nprint('held')",
    ),
)

# A neighbour of all of them: what it prints, what it leaves.
GOOD = Row(
    "good neighbour",
    "import hashlib, os\n"
    "text = open('in.txt').read()\nos.makedirs('out', exist_ok=True)\n"
    "open('out/sum.txt', 'w').write(hashlib.sha256(text.encode()).hexdigest())\nprint('held')",
)
