"""One container: made, started, spoken to, removed."""

import logging
import os
import time
import weakref
from base64 import b64encode
from contextlib import suppress
from functools import partial
from json import dumps
from pathlib import Path
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError, GovernorError, SandboxLost
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.bubblewrap.seccomp import MACHINES, filter_program
from prefect_governor.blocks.sandboxes.docker.engine import Engine
from prefect_governor.blocks.sandboxes.docker.frames import (
    PING,
    Channel,
    ChannelClosed,
    ChannelSilent,
)
from prefect_governor.blocks.sandboxes.docker.hardening import LEAST_MEMORY_MIB, options

logger = logging.getLogger(__name__)

# How long the first process may take to answer for the first time, in seconds: with many at once on
# few cores it is the start of a Python.
_START_SECONDS = 30.0
# How long one that waits in the pool may take, in seconds.
_ALIVE_SECONDS = 2.0
# The files of what runs inside, in the order of their imports, by the names that these have. The
# last one is what is run.
_INSIDE = Path(__file__).with_name("inside")
_ROOM = f"{__package__}.inside"
_FILES = ("kernel", "supervisor")
_BEGIN = """
import json, sys, types
for name, text in json.loads(sys.argv[1]):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
module.main()
"""


class Container:
    """A container that runs, and its first process. It lives no longer than this process: the
    engine closes its input when we are gone, and removes it when it has ended by that.

    Attributes:
        id: the engine's.
        channel: what the first process is spoken to by.
    """

    def __init__(self, engine: Engine, container: str, channel: Channel) -> None:
        self._engine = engine
        self.id = container
        self.channel = channel
        self.made = time.time()
        _containers.add(self)

    def alive(self) -> bool:
        """Whether its first process answers."""
        try:
            self.channel.report(PING, seconds=_ALIVE_SECONDS)
        except (ChannelClosed, ChannelSilent):
            return False
        return True

    def ran_out_of_memory(self) -> bool:
        """Whether the engine was told so by the kernel, also of a container that is gone by now.

        Raises SandboxLost.
        """
        with self._engine.asked("what became of a container"):
            told = self._engine.client().events(
                since=int(self.made) - 1,
                until=int(time.time()) + 1,
                filters={"container": self.id, "event": "oom"},
                decode=True,
            )
            return any(True for _ in told)

    def remove(self) -> None:
        """Kill it with all that it runs. Where the engine is gone, so is what it knows of it, and
        the closed channel ends it."""
        self.channel.close()
        _containers.discard(self)
        try:
            self._engine.remove(self.id)
        except GovernorError as error:
            logger.warning("the container %s was not seen to be removed: %s", self.id[:12], error)


def make(
    engine: Engine,
    image: str,
    bounds: SandboxBounds,
    *,
    labels: dict[str, str],
    container_runtime: str | None,
) -> Container:
    """A container whose first process has answered. Blocks.

    Raises ConfigurationError for what cannot be made here, SandboxLost.
    """
    if bounds.memory_mib < LEAST_MEMORY_MIB:
        raise ConfigurationError(
            f"a container cannot be started with {bounds.memory_mib} MiB of memory: give it"
            f" {LEAST_MEMORY_MIB} MiB or more"
        )
    client = engine.client()
    created = _created(engine, client, image, bounds, labels, container_runtime)
    try:
        with engine.asked("to start a container"):
            # Before it starts: an input that nobody is attached to is never closed.
            attached = client.api.attach_socket(
                created, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            )
            channel = Channel(getattr(attached, "_sock", attached), partial(_close, attached))
            client.api.start(created)
        container = Container(engine, created, channel)
        try:
            channel.report(PING, seconds=_START_SECONDS)
        except (ChannelClosed, ChannelSilent) as error:
            raise SandboxLost(
                f"a container of {image!r} was started and does not answer ({error}): it needs"
                " `python3` (3.8 or later), `tar` and the memory for them"
            ) from None
    except BaseException:
        with suppress(GovernorError):
            engine.remove(created)
        raise
    return container


def _created(
    engine: Engine,
    client: Any,
    image: str,
    bounds: SandboxBounds,
    labels: dict[str, str],
    container_runtime: str | None,
) -> str:
    from docker.errors import APIError, ImageNotFound
    from docker.types import Ulimit

    told = options(bounds)
    told["ulimits"] = [Ulimit(**each) for each in told["ulimits"]]
    if container_runtime is not None:
        told["runtime"] = container_runtime
    with engine.asked("to make a container"):
        try:
            container = client.containers.create(
                image,
                command(),
                entrypoint=["python3"],
                labels=labels,
                # The engine closes the input with the one attachment, and removes what has ended.
                stdin_open=True,
                detach=False,
                auto_remove=True,
                **told,
            )
        except ImageNotFound:
            raise engine.no_image(image) from None
        except APIError as error:
            if error.is_client_error():
                raise ConfigurationError(
                    f"the Docker engine at {engine.where} makes no container as it is asked to:"
                    f" {error.explanation}"
                ) from None
            raise
    return str(container.id)


def _close(attached: Any) -> None:
    """Close the answer that a socket came with: as long as one of the two is open, so is it."""
    for each in (getattr(attached, "_response", None), attached):
        if each is not None:
            each.close()


def command() -> list[str]:
    """The arguments of the Python that is a container's first process: the texts of what it runs,
    and the filters of system calls by machine, as that of the engine need not be this one."""
    texts = [
        (f"{_ROOM}.{name}", (_INSIDE / f"{name}.py").read_text(encoding="utf-8")) for name in _FILES
    ]
    filters = {name: b64encode(filter_program(name, counted=True)).decode() for name in MACHINES}
    return ["-I", "-S", "-c", _BEGIN, dumps(texts), dumps(filters)]


_containers: "weakref.WeakSet[Container]" = weakref.WeakSet()


def _after_fork() -> None:
    """A child that holds its parent's ends would keep the containers when the parent has died."""
    for each in list(_containers):
        each.channel.close()
    _containers.clear()


os.register_at_fork(after_in_child=_after_fork)
