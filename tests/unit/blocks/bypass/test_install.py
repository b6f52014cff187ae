"""Where the hook is put, and what it costs not to need it."""

from tests.unit.imports import imported

HOOKED = """
from prefect_governor.blocks.bypass.install import install
install()
install()
import sys
unused = {"aiohttp", "botocore", "httpx2", "requests", "urllib3"}
assert BEFORE or unused.isdisjoint(sys.modules), "imported for the hook alone"
import aiohttp, httpx, httpx2, lm15.transports, urllib3, botocore.signers
import concurrent.futures.thread, http.client, threading
for method in (
    aiohttp.ClientSession._request,
    botocore.signers.RequestSigner.sign,
    concurrent.futures.thread.ThreadPoolExecutor.submit,
    http.client.HTTPConnection.request,
    httpx.HTTPTransport.handle_request,
    httpx.AsyncHTTPTransport.handle_async_request,
    httpx2.HTTPTransport.handle_request,
    httpx2.AsyncHTTPTransport.handle_async_request,
    threading.Thread.start,
    lm15.transports.StdlibTransport.stream,
    lm15.transports.StdlibAsyncTransport._do_stream,
    urllib3.HTTPConnectionPool.urlopen,
):
    # Once, and around what was there.
    assert method.__wrapped__ and not hasattr(method.__wrapped__, "__wrapped__"), method
"""


def test_a_library_that_nobody_uses_is_not_imported_and_is_hooked_once_it_is() -> None:
    imported(f"BEFORE = False\n{HOOKED}")


def test_what_was_imported_before_is_hooked_too() -> None:
    before = "import aiohttp, http.client, httpx, httpx2, urllib3, botocore.signers\n"
    imported(f"BEFORE = True\n{before}{HOOKED}")


def test_a_library_that_has_changed_is_said_and_still_imported() -> None:
    program = """
import logging, sys, types
from importlib.machinery import ModuleSpec
class Loader:
    def create_module(self, spec): return None
    def exec_module(self, module): module.__version__ = "99"
class Finder:
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, Loader()) if name == "httpx2" else None
said = []
class Handler(logging.Handler):
    def emit(self, record): said.append(record.getMessage())
logging.getLogger("prefect_governor.budget").addHandler(Handler())
sys.meta_path.insert(0, Finder())
from prefect_governor import install
install()
import httpx2
assert len(said) == 1 and "httpx2 99" in said[0], said
"""
    imported(program)


def test_a_library_that_is_kept_out_is_left_out() -> None:
    program = """
import sys
sys.modules["aiohttp"] = None
from prefect_governor import install
install()
import httpx
assert httpx.HTTPTransport.handle_request.__wrapped__
"""
    imported(program)


def test_of_one_loaders_modules_that_one_is_hooked_which_is_meant() -> None:
    """As in an archive; and a folder without code is imported as ever."""
    program = """
import logging, sys
from importlib.machinery import ModuleSpec
class Loader:
    def create_module(self, spec): return None
    def exec_module(self, module):
        class Transport:
            def stream(self, request): pass
            async def _do_stream(self, request): pass
        module.StdlibTransport = module.StdlibAsyncTransport = Transport
        module.TransportResponse = module.AsyncTransportResponse = None
shared = Loader()
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in ("lm15", "lm15.transports", "lm15.another"):
            return ModuleSpec(name, shared, is_package=True)
        return ModuleSpec(name, None, is_package=True) if name == "aiohttp" else None
said = []
class Handler(logging.Handler):
    def emit(self, record): said.append(record.getMessage())
logging.getLogger("prefect_governor.budget").addHandler(Handler())
sys.meta_path.insert(0, Finder())
from prefect_governor import install
install()
import lm15.transports, lm15.another, aiohttp
assert lm15.transports.StdlibTransport.stream.__wrapped__
for module in (lm15, lm15.another):
    assert not hasattr(module.StdlibTransport.stream, "__wrapped__"), module
assert not said, said
"""
    imported(program)
