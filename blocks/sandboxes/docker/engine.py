"""The engine that containers are made by: Docker's, or another one that speaks as it does."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError, SandboxLost

# What is installed to use it.
EXTRA = "pip install 'prefect-governor[docker]'"
# The engine's answer to one question, in seconds; a program's is waited for elsewhere.
_ANSWER_SECONDS = 30
# As many questions at once as cells are made and removed at once.
_CONNECTIONS = 64
_USUAL = "unix:///var/run/docker.sock"
BUILD = "deployments/sandbox/build"


class Engine:
    """A client, made when it is first asked for, anew in a forked child.

    Args:
        host: the engine's address, `unix:///run/podman/podman.sock` or `tcp://10.0.0.2:2376`; None
            for DOCKER_HOST of the environment, else Docker's usual socket.
    """

    def __init__(self, host: str | None = None) -> None:
        self.host = host
        self._lock = threading.Lock()
        self._client: Any = None
        self._pid = 0

    @property
    def where(self) -> str:
        """Its address, for people."""
        return self.host or os.environ.get("DOCKER_HOST") or _USUAL

    def client(self) -> Any:
        """docker-py's client, through the block of prefect-docker.

        Raises ConfigurationError: prefect-docker is not installed, or no engine answers.
        """
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client, self._pid = self._connect(), os.getpid()
            return self._client

    def check(self, image: str) -> None:
        """Raises ConfigurationError where no engine answers, where it does not have the image, and
        for one with volumes: each container would be given a folder of the host's, without a bound.
        """
        client = self.client()
        from docker.errors import ImageNotFound

        with self.asked("for its images"):
            try:
                found = client.images.get(image)
            except ImageNotFound:
                raise self.no_image(image) from None
        if volumes := (found.attrs.get("Config") or {}).get("Volumes"):
            raise ConfigurationError(
                f"the image {image!r} has volumes ({', '.join(sorted(volumes))}), which are folders"
                " of the host that nothing bounds: build it without VOLUME"
            )

    def no_image(self, image: str) -> ConfigurationError:
        return ConfigurationError(
            f"the Docker engine at {self.where} has no image {image!r}, and none is pulled unasked:"
            f" build it with `DOCKER_HOST={self.where} {BUILD}`, or name one that is there"
        )

    @contextmanager
    def asked(self, what: str) -> Iterator[None]:
        """Raises SandboxLost for an engine that fails what it is asked for."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        try:
            yield
        except (DockerException, RequestException, OSError) as error:
            raise SandboxLost(
                f"the Docker engine at {self.where} failed when it was asked {what}:"
                f" {_first_line(error)}"
            ) from error

    def containers(self, labels: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
        """The ids and labels of the containers with these labels, in whatever state. Raises
        SandboxLost."""
        client = self.client()
        filters = {"label": [f"{name}={value}" for name, value in labels.items()]}
        with self.asked("for its containers"):
            found = client.api.containers(all=True, filters=filters)
        return [(each["Id"], each.get("Labels") or {}) for each in found]

    def remove(self, container: str) -> None:
        """Kill and remove a container, whatever it does; one that is gone is gone. Raises
        SandboxLost."""
        client = self.client()
        from docker.errors import APIError, NotFound

        with self.asked("to remove a container"):
            try:
                client.api.remove_container(container, v=True, force=True)
            except NotFound:
                return
            except APIError as error:
                if error.response is None or error.response.status_code != 409:
                    raise
                # It ended by itself, and the engine is about it.
                self._await_removed(client, container)

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            client.close()

    def _await_removed(self, client: Any, container: str) -> None:
        from docker.errors import NotFound

        try:
            client.api.wait(container, timeout=_ANSWER_SECONDS, condition="removed")
        except NotFound:
            return

    def _connect(self) -> Any:
        # What the import costs is not paid where there is nothing to speak to.
        socket = self.where.removeprefix("unix://")
        if socket != self.where and not Path(socket).exists():
            raise self._unreachable("there is no such socket")
        try:
            from docker.errors import DockerException
            from prefect_docker.host import DockerHost
        except ImportError as error:
            raise ConfigurationError(
                f"sandboxes in containers need prefect-docker, which is not installed ({error}):"
                f" {EXTRA}"
            ) from None
        block = DockerHost(base_url=self.host, timeout=_ANSWER_SECONDS, max_pool_size=_CONNECTIONS)
        try:
            return block.get_client()
        except DockerException as error:
            raise self._unreachable(_first_line(error)) from None

    def _unreachable(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"no Docker engine answers at {self.where} ({why}): start it, or name another by"
            " DOCKER_HOST or the Sandbox's host"
        )


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
