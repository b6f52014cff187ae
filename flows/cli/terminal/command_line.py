"""What every command of the command line is made of. Imports nothing heavy."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from prefect_governor.blocks.errors import ConfigurationError, GovernorError
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.secrets.exits import scrubbed, scrubbed_error

F = TypeVar("F", bound=Callable[..., Any])

USAGE = 2
FAILED = 1
INTERRUPTED = 3
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# Newer releases of click raise it where a group is called without a command.
_ASKED_FOR_HELP: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())


class UsageProblem(click.ClickException):
    """Something given to us is wrong: one line that says what to do, exit 2."""

    exit_code = USAGE

    def show(self, file: Any = None) -> None:
        click.echo(scrubbed(f"prefect-governor: {self.message}"), err=True)


class Teaching(click.Group):
    """A group whose commands turn bad input into one line and exit 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except _ASKED_FOR_HELP:
            raise
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else ctx.command_path
            raise UsageProblem(f"{error.format_message()} (see `{path} --help`)") from None
        except ConfigurationError as error:
            raise UsageProblem(str(error)) from None
        except KeyboardInterrupt:
            click.echo("prefect-governor: interrupted before anything was started", err=True)
            ctx.exit(INTERRUPTED)
        except GovernorError as error:
            click.echo(scrubbed(f"prefect-governor: {error}"), err=True)
            ctx.exit(FAILED)
        except OSError as error:
            if not _is_of_the_home(error):
                scrubbed_error(error)
                raise
            raise UsageProblem(
                f"{state_folder()} cannot be used ({error.strerror}): set PREFECT_HOME to a folder"
                " that this user may write"
            ) from None
        except Exception as error:
            # Python prints it.
            scrubbed_error(error)
            raise


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """An option with its PREFECT_GOVERNOR_… variable, shown in `--help`."""
    name = names[0].lstrip("-").replace("-", "_").upper()
    return click.option(*names, envvar=f"PREFECT_GOVERNOR_{name}", show_envvar=True, **settings)


def later(what: str, instead: str) -> UsageProblem:
    """What comes with a later release, and what to do until then."""
    return UsageProblem(f"{what} comes with a later release; until then {instead}")


def promise(group: click.Group, name: str, instead: str) -> None:
    """A command of a later release, which says so."""

    @group.command(
        name,
        hidden=True,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    @click.pass_context
    def command(_: click.Context) -> None:
        raise later(f"`{name}`", instead)


def _is_of_the_home(error: OSError) -> bool:
    """Whether it is PREFECT_HOME that cannot be used."""
    if error.filename is None:
        return False
    path, home = Path(os.fsdecode(error.filename)), state_folder()
    return path == home or path in home.parents or home in path.parents
