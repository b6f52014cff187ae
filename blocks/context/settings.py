"""Prefect's settings, for a thread that goes on when whoever started it has gone on too."""

from collections.abc import Callable
from contextvars import Context
from typing import ParamSpec, TypeVar

from prefect.context import SettingsContext, get_settings_context

P = ParamSpec("P")
T = TypeVar("T")


def under_these_settings(work: Callable[P, T]) -> Callable[P, T]:
    """`work`, for a thread, under the settings of `temporary_settings` or `use_profile` that it is
    wrapped in. Where there are none, under the process's own, as they are by then.

    Nothing else of the context is carried: the clients and runs in it end before the thread does.
    """
    here = get_settings_context()
    if here is Context().run(get_settings_context):
        return work

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with SettingsContext(profile=here.profile, settings=here.settings):
            return work(*args, **kwargs)

    return run
