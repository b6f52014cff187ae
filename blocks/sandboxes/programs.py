"""What can be started as a program at all. Pure."""

from collections.abc import Mapping, Sequence

from prefect_governor.blocks.errors import ConfigurationError


def check_program(argv: Sequence[str], environment: Mapping[str, str]) -> None:
    """Raises ConfigurationError for what no program can be started with."""
    if not argv or not argv[0]:
        raise ConfigurationError("no program to run: give its name and its arguments")
    words = [*argv, *environment, *environment.values()]
    if any("\0" in word for word in words):
        raise ConfigurationError("an argument or a variable holds a null character")
    if any(not name or "=" in name for name in environment):
        raise ConfigurationError("the name of a variable is empty or holds '='")
