"""MCP servers as the clients of MCP are told of them: `{"mcpServers": {NAME: {…}}}`."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.secrets.exits import learn_named, scrubbed_value
from prefect_governor.flows.web.network.guard import NotFetched, Rules, Target, is_local, read_url

_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_HTTP = (None, "http", "streamable-http", "streamableHttp")


@dataclass(frozen=True, kw_only=True)
class McpServer:
    """A server over HTTP (`url`) or a program that speaks on its stdio (`command`).

    Attributes:
        name: stands before the names of its tools.
        headers: of each request; keys are here.
        private: its host may have a private address.
        environment: all that the program gets beside PATH, HOME and TMPDIR.
        folder: what the program's workspace begins as a copy of; None for an empty one.
    """

    name: str
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    private: bool = False
    command: tuple[str, ...] = field(default=(), repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: Path | None = None

    @property
    def target(self) -> Target:
        assert self.url is not None
        return read_url(self.url)

    @property
    def rules(self) -> Rules:
        """Its own host and port, and a private address only where a person wrote that down: as an
        address, as a name of this machine's network, or as `"private": true`."""
        target = self.target
        named = self.private or target.address is not None or is_local(target.host)
        return Rules(
            allow=(target.host,),
            ports=frozenset({target.port}),
            named=frozenset({target.host}) if named else frozenset(),
        )


def servers_of(given: Any, *, folder: Path) -> tuple[McpServer, ...]:
    """The servers of a configuration: the object, or the path of a JSON file that holds it. Its
    path, and the folders that an object names, are relative to `folder`; those that a file names to
    the file. `${NAME}` stands for a variable of the environment.

    Raises ConfigurationError; no text of it shows a header or a variable's value.
    """
    if given is None:
        return ()
    if isinstance(given, (str, Path)):
        file = folder / given
        given, folder = _read(file), file.parent
    servers = given.get("mcpServers") if isinstance(given, Mapping) else None
    if not isinstance(servers, Mapping):
        raise ConfigurationError(
            'MCP servers are told of as {"mcpServers": {"NAME": {"url": "https://…"}}}'
        )
    return tuple(
        _server(str(name), each, folder)
        for name, each in servers.items()
        if not (isinstance(each, Mapping) and each.get("disabled") is True)
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{path} is no JSON") from None


def _server(name: str, given: Any, folder: Path) -> McpServer:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"MCP server {name!r}: a name is up to 32 letters, digits, '_' and '-'"
        )
    if not isinstance(given, Mapping) or ("url" in given) == ("command" in given):
        raise ConfigurationError(f"MCP server {name!r} has either a url or a command")
    if "url" in given:
        return _over_http(name, given)
    command, arguments = given["command"], given.get("args") or []
    if not isinstance(command, str) or not command:
        raise ConfigurationError(f"MCP server {name!r}: its command is the name of a program")
    if not isinstance(arguments, list | tuple):
        raise ConfigurationError(f"MCP server {name!r}: args is a list of texts")
    cwd = given.get("cwd")
    if cwd is not None and not (folder / str(cwd)).is_dir():
        raise ConfigurationError(f"MCP server {name!r}: its cwd {str(cwd)!r} is no folder")
    words = [_expanded(str(each), name) for each in (command, *arguments)]
    if scrubbed_value(words) != words:
        raise ConfigurationError(
            f"MCP server {name!r} has a key among its args, which programs in a sandbox are never"
            " given, as lists of processes show them: give it in env"
        )
    return McpServer(
        name=name,
        command=tuple(words),
        environment=_texts(name, "env", given.get("env")),
        folder=None if cwd is None else folder / str(cwd),
    )


def _over_http(name: str, given: Mapping[str, Any]) -> McpServer:
    if given.get("type") not in _HTTP:
        raise ConfigurationError(
            f"MCP server {name!r} speaks {given['type']!r}; of HTTP only 'http' is spoken, which is"
            " streamable HTTP"
        )
    server = McpServer(
        name=name,
        url=_expanded(str(given["url"]), name),
        headers=_texts(name, "headers", given.get("headers")),
        private=given.get("private") is True,
    )
    try:
        _ = server.target
    except NotFetched as error:
        raise ConfigurationError(f"MCP server {name!r}: {error}") from None
    return server


def _texts(name: str, what: str, given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"MCP server {name!r}: {what} is an object of texts")
    found = {str(key): _expanded(str(value), name) for key, value in given.items()}
    # The server has them, and may say them: in an answer, on its standard error.
    learn_named(found)
    return found


def _expanded(text: str, name: str) -> str:
    def value(match: "re.Match[str]") -> str:
        found = os.environ.get(match[1])
        if not found:
            raise ConfigurationError(f"MCP server {name!r} needs {match[1]} in the environment")
        return found

    return _VARIABLE.sub(value, text)
