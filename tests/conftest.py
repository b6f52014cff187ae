"""What every test runs under: a home of its own, no telemetry, no key of the person's."""

import gc
import importlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest
from hypothesis import HealthCheck, settings

from tests.integration.databases import Databases
from tests.leftovers import end_with_this_process
from tests.warm import WarmParent

# In a worker, until all tests are collected: the process that hands them out collects none.
if "PYTEST_XDIST_WORKER" in os.environ:
    gc.disable()

# Before anything imports Prefect or LiteLLM: both read their settings once.
_HOME = tempfile.TemporaryDirectory(prefix="prefect-governor-tests-")

# Every HTTP client reads the authorities that it trusts, a thirtieth of a second for all of them,
# and Prefect makes clients by the dozen. No test asks anything beyond this machine: one will do.
_AUTHORITY = Path(_HOME.name, "authority.pem")
_LAST_LINE = "-----END CERTIFICATE-----\n"
_AUTHORITY.write_text(certifi.contents().partition(_LAST_LINE)[0] + _LAST_LINE)

# But those that ask the package index: `tests.frameworks.environments` gives uv the person's own.
os.environ.setdefault("PREFECT_GOVERNOR_TESTS_AUTHORITIES", os.environ.get("SSL_CERT_FILE", ""))

os.environ.update(
    SSL_CERT_FILE=str(_AUTHORITY),
    PREFECT_HOME=_HOME.name,
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DO_NOT_TRACK="1",
    LITELLM_LOCAL_MODEL_COST_MAP="True",
    # Tasks that a test calls outside a flow have no run to log to.
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW="ignore",
)
for _name in list(os.environ):
    if _name == "PREFECT_API_URL" or _name.endswith(("_API_KEY", "_API_BASE", "_BASE_URL")):
        del os.environ[_name]

# Where a run decides whether a change lands, the examples are the same each time; elsewhere every
# run looks for new ones. How long one takes says how busy the machine is, and nothing of the code.
_untimed = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("anywhere", _untimed)
settings.register_profile("long", _untimed, max_examples=1000)
settings.register_profile("landing", _untimed, derandomize=True)
settings.load_profile("landing" if os.environ.get("CI") else "anywhere")

pytest_plugins = ["tests.provider.fixtures"]


end_with_this_process()

# Under nohup, or in the background of a script, SIGINT is ignored, and so it would be in every
# process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What CI leaves out takes minutes by design.
LONG = ("chaos", "engines", "recipes", "resolving", "scale", "ui")
LONG_SECONDS = 3600


def _room(item: pytest.Item) -> str:
    """The folder of `tests/` that it lies in."""
    return item.path.relative_to(Path(__file__).parent).parts[0]


# A minute and more each, the longest first. The first few, one a worker, need no server: its
# database is made meanwhile, for which all others would wait.
LONGEST = (
    "integration/fan_out/test_deployed.py",
    "integration/sandbox/test_servers.py",
    "chaos/test_ceiling_chaos.py",
    "integration/claims/test_interrupted.py",
    "integration/fan_out/test_fan_out.py",
    "integration/deployments/test_scheduled.py",
    "integration/cli/test_server.py",
    "integration/runner/test_stops.py",
    "integration/cli/test_cli.py",
    "integration/cli/test_estimate.py",
    "integration/leases/test_leases.py",
    "integration/fan_out/test_injections.py",
    "integration/documents/test_notices.py",
    "integration/documents/test_identity.py",
    "integration/runner/test_behaviours.py",
    "integration/documents/test_limit_edited.py",
)

# Seconds of imports each, most of them of compiling where it is the first time.
HEAVY = ("prefect.main", "litellm", "anthropic", "google.genai", "mcp")


def pytest_collection(session: pytest.Session) -> None:
    """Each worker begins with a library of its own: as all of them import the same in the same
    order, each would compile all of it on a new machine."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and session.config.args == session.config.getini("testpaths"):
        first = int(worker.removeprefix("gw")) % len(HEAVY)
        for name in (*HEAVY[first:], *HEAVY[:first]):
            importlib.import_module(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first: one that begins last is waited for alone."""
    tests = Path(__file__).parent
    places = {tests / name: place for place, name in enumerate(LONGEST)}
    last = len(LONGEST)
    items.sort(key=lambda item: places.get(item.path, last + (_room(item) != "integration")))
    for item in items:
        if any(item.get_closest_marker(name) for name in LONG):
            item.add_marker(pytest.mark.timeout(LONG_SECONDS))


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the garbage collector need not look through
    it again and again, neither now nor while it grew. Nor for what each test leaves so often as by
    default: that is a sixteenth of the time."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


def pytest_sessionfinish() -> None:
    """A worker of xdist may be ended before what it registered for its exit is done."""
    from tests import engine, postgres

    postgres.stop_shared()
    engine.stop_shared()


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmParent]:
    """For commands of a process of their own that need not import everything anew."""
    with WarmParent() as parent:
        yield parent


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    folder = tmp_path_factory.getbasetemp()
    # The folder of a worker of xdist lies in that of its run.
    return Databases(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A `PREFECT_HOME`, and so a ledger, for one test alone."""
    folder = tmp_path / "prefect-home"
    monkeypatch.setenv("PREFECT_HOME", str(folder))
    yield folder
    # A worker runs hundreds of tests: were their ledgers left open, all of them would be kept up.
    if "prefect_governor.blocks.work.ledgers" in sys.modules:
        from prefect_governor.blocks.machine.home import state_folder
        from prefect_governor.blocks.work.ledgers import close
        from prefect_governor.blocks.work.registry import stop_all

        monkeypatch.setenv("PREFECT_HOME", str(folder))
        stop_all()
        close(state_folder())
