"""deployments/compose.yaml as Docker Compose reads it, and its processes without Docker."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.integration.deployments.conftest import DEPLOYMENTS

FILE = DEPLOYMENTS / "compose.yaml"
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")


class NotGiven(Exception):
    """A variable that must be given and is not."""


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
    return found


def filled(text: str, given: Mapping[str, str]) -> str:
    """A value with its variables, as the Compose specification has them. Raises NotGiven."""

    def value(found: "re.Match[str]") -> str:
        name, how, rest = found.groups()
        if given.get(name):
            return given[name]
        if how == ":?":
            raise NotGiven(f"{name}: {rest}")
        return rest or ""

    return _VARIABLE.sub(value, text)


@dataclass(frozen=True)
class Stack:
    """Where its services are without Docker: their addresses by those that they have there."""

    given: Mapping[str, str]
    moved: Mapping[str, str]
    home: Path

    def environment(self, service: str) -> dict[str, str]:
        """What the service is started with, and nothing else of Prefect's."""
        base = {
            name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")
        }
        of_file = services()[service]["environment"]
        values = {name: self.here(filled(str(of_file[name]), self.given)) for name in of_file}
        home = {"HOME": str(self.home / service), "PREFECT_HOME": str(self.home / service)}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**base, **values, **home, "PATH": path}

    def here(self, text: str) -> str:
        for there, here in self.moved.items():
            text = re.sub(rf"(?<![\w-]){re.escape(there)}(?![\w-])", here, text)
        return text

    def command(self, service: str) -> list[str]:
        return [self.here(str(each)) for each in services()[service]["command"]]

    def is_healthy(self, service: str) -> bool:
        """What the service's own check says."""
        kind, *words = services()[service]["healthcheck"]["test"]
        assert kind == "CMD"
        done = subprocess.run(
            [self.here(word) for word in words],
            env=self.environment(service),
            capture_output=True,
            check=False,
        )
        return done.returncode == 0
