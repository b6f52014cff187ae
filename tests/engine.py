"""A real Docker engine for tests, by the script that users have, and an image made of this
machine's own programs: started once a process, ended with all that it ran."""

import atexit
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from tests import ROOT

SANDBOX = ROOT / "deployments" / "sandbox"
SCRIPT = SANDBOX / "engine"
IMAGE = "prefect-governor-tests:host"
_SECONDS = 90
# What the hostile programs of the tests use. The image of users is another one: see
# deployments/sandbox; to make it takes minutes.
_PROGRAMS = (
    "bash", "cat", "chmod", "cp", "dd", "df", "echo", "env", "false", "grep", "head", "id",
    "kill", "ln", "ls", "mkdir", "mkfifo", "mknod", "mount", "mv", "nproc", "ps", "pwd", "rm",
    "seq", "setsid", "sh", "sleep", "tar", "tee", "touch", "true", "truncate", "unshare", "wc",
    "yes",
)  # fmt: skip
_PYTHON = "/usr/bin/python3"


class NoEngine(Exception):
    """None can be had here; says why."""


@dataclass
class DockerEngine:
    """An engine that runs. `kill` ends it as a crash does."""

    folder: Path

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    def docker(self, *arguments: str, input: bytes | None = None) -> str:
        """Docker's own program, to look at the engine beside what is tested."""
        done = subprocess.run(
            ["docker", "-H", self.host, *arguments],
            input=input,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env={**os.environ, "DOCKER_BUILDKIT": "0"},
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def containers(self) -> list[str]:
        """The ids of all of its containers, in whatever state."""
        return self.docker("ps", "-aq", "--no-trunc").split()

    def kill(self) -> None:
        """SIGKILL to the engine alone."""
        os.kill(int((self.folder / "docker.pid").read_text()), 9)

    def add_image(self) -> None:
        """Import `IMAGE`."""
        with tempfile.TemporaryFile() as archive:
            with tarfile.open(fileobj=archive, mode="w") as tar:
                for path in sorted(_of_this_machine()):
                    tar.add(path, arcname=path.lstrip("/"), recursive=False)
                for name in ("proc", "sys", "dev", "tmp", "workspace"):
                    entry = tarfile.TarInfo(name)
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(entry)
            archive.seek(0)
            subprocess.run(
                ["docker", "-H", self.host, "import", "-", IMAGE],
                stdin=archive,
                stdout=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=True,
            )


@contextmanager
def engine() -> Iterator[DockerEngine]:
    """One of one's own, with the image of the tests. Raises NoEngine."""
    if not Path(_PYTHON).exists() or sys.platform != "linux":
        raise NoEngine(f"the image of the tests is made of this machine's {_PYTHON}: none here")
    folder, owner = Path(tempfile.mkdtemp(prefix="engine-", dir="/tmp")), os.getpid()
    try:
        done = subprocess.run(
            [SCRIPT, "start", folder],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode:
            raise NoEngine(done.stderr.strip().splitlines()[-1] if done.stderr else "it fails")
        found = DockerEngine(folder)
        found.add_image()
        yield found
    finally:
        # Not in a child that was forked.
        if os.getpid() == owner:
            if (folder / "log").exists():
                subprocess.run([SCRIPT, "stop", folder], timeout=_SECONDS, check=True)
            shutil.rmtree(folder, ignore_errors=True)


_stack = ExitStack()
_shared: list[DockerEngine | NoEngine] = []


def shared() -> DockerEngine:
    """The one of this process, started when it is first asked for. Raises NoEngine."""
    if not _shared:
        try:
            _shared.append(_stack.enter_context(engine()))
        except NoEngine as error:
            _shared.append(error)
    if isinstance(_shared[0], NoEngine):
        raise _shared[0]
    return _shared[0]


def containers() -> list[str]:
    """Those of the shared engine, where one was started."""
    return [each for one in _shared if isinstance(one, DockerEngine) for each in one.containers()]


@atexit.register
def stop_shared() -> None:
    """End it, with all that it runs."""
    _stack.close()
    _shared.clear()


def skip_loudly(why: object) -> NoReturn:
    """Skip a test that needs a sandbox, so that the summary of warnings says so too."""
    with warnings.catch_warnings():
        # It is told, and fails nothing.
        warnings.simplefilter("always")
        warnings.warn(pytest.PytestWarning(str(why)), stacklevel=2)
    pytest.skip(str(why))


def _of_this_machine() -> set[str]:
    """Programs, the libraries they need, Python's standard library, as paths; folders above them
    and what links lead to included."""
    # By the second name too, which may be a link to where programs are.
    programs = [_PYTHON, "/bin/sh", *filter(None, map(shutil.which, _PROGRAMS))]
    wanted = {each for program in programs for each in _with_links(program)}
    standard = Path(os.path.realpath(_PYTHON)).name
    library = Path("/usr/lib") / standard
    for place, folders, names in os.walk(library):
        folders[:] = [each for each in folders if each not in ("test", "idlelib", "__pycache__")]
        wanted.update(os.path.join(place, name) for name in names)
    objects = [*programs, *map(str, library.glob("lib-dynload/*.so"))]
    needed = subprocess.run(["ldd", *objects], capture_output=True, text=True, check=False).stdout
    for line in needed.splitlines():
        words = line.split()
        path = words[2] if "=>" in words and len(words) > 2 else (words[0] if words else "")
        if path.startswith("/") and not path.endswith(":"):
            wanted |= _with_links(path)
    for path in tuple(wanted):
        wanted.update(str(each) for each in Path(path).parents if str(each) != "/")
    return wanted


def _with_links(path: str) -> set[str]:
    """A path, and all that one comes by on the way to what it is."""
    found: set[str] = set()
    parts = Path(path).parts
    at = Path("/")
    for index, part in enumerate(parts[1:], 1):
        at = at / part
        if at.is_symlink():
            found.add(str(at))
            target = os.path.normpath(at.parent / os.readlink(at))
            return found | _with_links(str(Path(target, *parts[index + 1 :])))
    found.add(str(at))
    return found
