"""What every command of the command line is made of. Imports nothing heavy."""

import logging
import os
import re
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from prefect_governor.blocks.errors import ConfigurationError, GovernorError
from prefect_governor.blocks.machine.files import write_whole
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.machine.private import make_folder
from prefect_governor.blocks.secrets.exits import scrubbed, scrubbed_error

F = TypeVar("F", bound=Callable[..., Any])

USAGE = 2
FAILED = 1
INTERRUPTED = 3
# Set by --debug too.
DEBUG = "PREFECT_GOVERNOR_DEBUG"
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# Options that are called otherwise as parameters of the flows.
PARAMETERS = {
    "rpm": "requests_per_minute",
    "tpm": "tokens_per_minute",
    "allow_host": "allow_hosts",
    "deny_host": "deny_hosts",
}

# Newer releases of click raise it where a group is called without a command.
_ASKED_FOR_HELP: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())


class UsageProblem(click.ClickException):
    """Something given to us is wrong: one line that says what to do, exit 2."""

    exit_code = USAGE

    def show(self, file: Any = None) -> None:
        click.echo(scrubbed(f"prefect-governor: {self.message}"), err=True)


class RunBroken(Exception):
    """What nobody expected ended a run, which can be gone on with. Its cause says what."""

    def __init__(self, run_id: str, way_on: str) -> None:
        super().__init__(run_id, way_on)
        self.run_id = run_id
        self.way_on = way_on


class Command(click.Command):
    """A command whose variables stand in one table of its help, below the options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, and the variables that stand for them."""
        super().format_options(ctx, formatter)
        rows = [
            (each.opts[0], each.envvar)
            for each in self.params
            if isinstance(each, click.Option) and isinstance(each.envvar, str)
        ]
        if rows:
            with formatter.section("Variables, in place of options"):
                formatter.write_dl(rows)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


class Teaching(Group):
    """A group whose commands turn bad input into one line and exit 2, and what nobody expected into
    one line that says where the rest is, and exit 1."""

    def invoke(self, ctx: click.Context) -> Any:
        # Prefect's sender of events warns as a command ends that it still has some to send.
        logging.getLogger("EventsWorker").setLevel(logging.ERROR)
        try:
            return super().invoke(ctx)
        except _ASKED_FOR_HELP:
            raise
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else ctx.command_path
            raise UsageProblem(f"{error.format_message()} (see `{path} --help`)") from None
        except ConfigurationError as error:
            raise UsageProblem(as_typed(str(error), self._options(ctx))) from None
        except (KeyboardInterrupt, click.Abort):
            # Abort is a question's: Ctrl-C, or Ctrl-D, in place of an answer.
            click.echo("prefect-governor: interrupted before anything was started", err=True)
            ctx.exit(INTERRUPTED)
        except GovernorError as error:
            click.echo(scrubbed(f"prefect-governor: {error}"), err=True)
            ctx.exit(FAILED)
        except OSError as error:
            if not _is_of_the_home(error):
                _say_unexpected(error)
                ctx.exit(FAILED)
            raise UsageProblem(
                f"{state_folder()} cannot be used ({error.strerror}): set PREFECT_HOME to a folder"
                " that this user may write"
            ) from None
        except click.exceptions.Exit:
            raise
        except click.ClickException:
            raise
        except SystemExit:
            # The exit status of a command.
            raise
        except BaseException as error:
            _say_unexpected(error)
            ctx.exit(FAILED)

    def _options(self, ctx: click.Context) -> list[click.Parameter]:
        """Of the command that was called, or of all in its group."""
        called = self.commands.get(ctx.invoked_subcommand or "")
        ahead = [] if called is None else [called]
        found: list[click.Parameter] = []
        while ahead:
            command = ahead.pop()
            found += command.params
            if isinstance(command, click.Group):
                ahead += command.commands.values()
        return found


def working_folder() -> str:
    """Where the command was called. Raises ConfigurationError where that was removed since."""
    try:
        return os.getcwd()
    except OSError as error:
        raise ConfigurationError(
            f"the working directory is not there any more ({error.strerror}): cd to another one"
        ) from None


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """An option with its PREFECT_GOVERNOR_… variable, shown in the table of `--help`."""
    name = names[0].lstrip("-").replace("-", "_").upper()
    return click.option(
        *names, cls=_Option, envvar=f"PREFECT_GOVERNOR_{name}", show_envvar=True, **settings
    )


class _Option(click.Option):
    """One whose variable is named where it is wrong, and not in its own lines of the help."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Its lines of the help."""
        self.show_envvar = False
        try:
            return super().get_help_record(ctx)
        finally:
            self.show_envvar = True


def as_typed(message: str, options: Iterable[click.Parameter]) -> str:
    """A message that begins with the name of a flow's parameter, beginning with the option that a
    person typed."""
    for each in options:
        if isinstance(each, click.Option) and each.name is not None:
            name = PARAMETERS.get(each.name, each.name)
            found = re.match(rf"{re.escape(name)}(?=:? (must|is|are|names|has)\b|: )", message)
            if found:
                return each.opts[0] + message[found.end() :]
    return message


def _say_unexpected(error: BaseException) -> None:
    """One line: what went wrong, the run that it ended and how to go on with it, and where the
    traceback is; the traceback itself with --debug."""
    scrubbed_error(error)
    cause = error.__cause__ if isinstance(error, RunBroken) and error.__cause__ else error
    text = scrubbed("".join(traceback.format_exception(type(cause), cause, cause.__traceback__)))
    if os.environ.get(DEBUG):
        click.echo(text, err=True)
    parts = [" ".join(f"{type(cause).__name__}: {cause}".split())]
    if isinstance(error, RunBroken):
        parts.append(f"run {error.run_id} was started; go on with it: {error.way_on}")
    parts.append(_kept(text))
    click.echo(scrubbed(f"prefect-governor: {'; '.join(parts)}"), err=True)


def _kept(text: str) -> str:
    """Where a traceback is kept."""
    path = state_folder() / "errors" / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
    try:
        make_folder(path.parent)
        write_whole(path, text)
    except OSError:
        return "--debug shows where it happened"
    return f"where it happened: {path} (--debug shows it)"


def _is_of_the_home(error: OSError) -> bool:
    """Whether it is PREFECT_HOME that cannot be used."""
    if error.filename is None:
        return False
    path, home = Path(os.fsdecode(error.filename)), state_folder()
    return path == home or path in home.parents or home in path.parents
