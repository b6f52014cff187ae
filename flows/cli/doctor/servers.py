"""What the doctor finds of servers: the one that is used, ours in the background, their clock."""

from collections.abc import Iterator
from importlib.metadata import version
from urllib.parse import urlsplit

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.prefect_internals.settings import durable_lease_storage
from prefect_governor.flows.cli.doctor.finding import Finding
from prefect_governor.flows.server.asking import Answer, is_from_environment
from prefect_governor.flows.server.server import ServerStatus, status, use_server
from prefect_governor.flows.server.tuning import dearer

# A budget's day begins by a clock, and a lease ends by one. A busy server's Date header is some
# seconds old.
CLOCK_WARN_SECONDS = 5.0
CLOCK_FAIL_SECONDS = 60.0
_LEASES = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"


class Servers:
    """Looks at them. `answer` is what the one that is used says of itself, None before that."""

    def __init__(self) -> None:
        self.answer: Answer | None = None

    def findings(self) -> Iterator[Finding]:
        """The server that is used, the background server beside it, the clock."""
        try:
            found = status()
        except (ConfigurationError, OSError) as error:
            yield Finding("fail", "server", f"its state cannot be read: {error}")
            return
        if found.configured_url is None and found.server is not None and found.responding:
            use_server(found.server)
        self.answer = found.answer
        yield from of_status(found)


def of_status(found: ServerStatus) -> Iterator[Finding]:
    """What is to be said of what was found. Pure, but for the versions that are installed here."""
    answer = found.answer
    if answer is None and found.server is None:
        yield Finding("ok", "server", "none; the next command starts one in the background")
    elif answer is None:
        yield Finding(
            "fail",
            "server",
            f"ours in the background, {found.server.ui_url if found.server else '?'}, does not"
            f" answer; its log is {found.log}",
            "stop it; the next command starts another",
            "prefect-governor server stop",
        )
    elif not answer.answers:
        yield _away(answer)
    else:
        yield from _answering(answer, ours=found.configured_url is None)
    if found.server is not None and not _is_used(found):
        yield Finding(
            "warn",
            "background server",
            f"{found.server.ui_url} runs too, and nothing here uses it: PREFECT_API_URL names"
            " another",
            None,
            "prefect-governor server stop",
        )


def _is_used(found: ServerStatus) -> bool:
    """Whether the background server is the one that is used, by whatever name of this machine."""
    if found.configured_url is None or found.server is None:
        return True
    used, ours = urlsplit(found.configured_url), urlsplit(found.server.url)
    return used.port == ours.port and used.hostname in ("localhost", "127.0.0.1")


def _away(answer: Answer) -> Finding:
    unset = "unset PREFECT_API_URL"
    if not is_from_environment():
        unset = "prefect config unset PREFECT_API_URL --yes"
    return Finding(
        "fail",
        "server",
        f"{answer.url} (PREFECT_API_URL) {answer.in_words}",
        "start that server, or correct the URL; without it one is started here",
        unset,
    )


def _answering(answer: Answer, *, ours: bool) -> Iterator[Finding]:
    kind = "ours, in the background" if ours else "PREFECT_API_URL"
    database = _database(answer)
    at = f"{answer.ui_url} ({kind}) {answer.in_words}"
    yield Finding("ok", "server", at if database is None else f"{at}, on {database}")
    here = version("prefect")
    if answer.version is not None and _release(answer.version) < _release(here):
        yield Finding(
            "warn",
            "server",
            f"Prefect {answer.version} is older than the {here} of this machine, which may ask it"
            " what it does not know",
            "where the server runs",
            f"pip install -U 'prefect>={here}'",
        )
    yield from _leases(answer)
    for setting, value in dearer(answer.settings):
        yield _set(
            f"{'.'.join(setting.place[1:])} is {value:g}, {setting.why}: fewer task runs a second"
            " than it could bear",
            setting.variable,
            setting.text,
        )
    yield from of_clock("the server's", answer.ahead_seconds)


def of_clock(whose: str, ahead_seconds: float | None) -> Iterator[Finding]:
    """How far another clock is from this machine's."""
    if ahead_seconds is None:
        return
    off = abs(ahead_seconds)
    if off <= CLOCK_WARN_SECONDS:
        yield Finding("ok", "clock", f"as {whose}, to {CLOCK_WARN_SECONDS:g} s")
        return
    way = "behind" if ahead_seconds > 0 else "ahead of"
    yield Finding(
        "fail" if off > CLOCK_FAIL_SECONDS else "warn",
        "clock",
        f"{off:,.0f} s {way} {whose}: hours and days of budgets begin at another time here",
        "set it by the network's time, here and there",
        "sudo timedatectl set-ntp true",
    )


def _leases(answer: Answer) -> Iterator[Finding]:
    storage = answer.setting("server", "concurrency", "lease_storage")
    durable = durable_lease_storage()
    if durable is not None and isinstance(storage, str) and storage.endswith(".memory"):
        yield _set(
            "it keeps leases in memory: when it is started again, slots that others than governed"
            " runs hold stay taken for ever",
            _LEASES,
            durable,
        )


def _set(text: str, variable: str, value: str) -> Finding:
    return Finding(
        "warn",
        "server",
        text,
        "where the server runs, then start it again",
        f"prefect config set {variable}={value}",
    )


def _database(answer: Answer) -> str | None:
    """Of a server that shares this machine's home, as its settings say; they show no URL."""
    driver = answer.setting("server", "database", "driver")
    if isinstance(driver, str):
        return driver.partition("+")[0]
    if answer.setting("home") != str(state_folder().absolute().parent):
        return None
    from prefect.settings import get_current_settings

    url = get_current_settings().server.database.connection_url
    scheme = "" if url is None else url.get_secret_value().partition(":")[0].partition("+")[0]
    return {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(scheme)


def _release(text: str) -> tuple[int, ...]:
    """A version's major and minor numbers."""
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())
