"""Every connection of a governed transport is known, and can be cut from another thread."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.wire.sockets import cut_all
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport
from tests.certificates import self_signed
from tests.unit.blocks.wire.transports import URL
from tests.unit.fakes import FakeGoverning, chat_reply, chat_request

SECONDS = 20.0
MakePool = Callable[[], httpx.AsyncBaseTransport]


class Upstream:
    """Accepts, reads a request and answers GETs alone; knows who went away."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        self.asked = threading.Semaphore(0)
        self.left = threading.Semaphore(0)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        if self._tls is not None:
            try:
                peer = self._tls.wrap_socket(peer, server_side=True)
            except OSError:
                # Gone before it was a connection.
                peer.close()
                return
        with peer, suppress(OSError):
            while data := peer.recv(65536):
                if data.startswith(b"GET"):
                    peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                elif b"max_tokens" in data:
                    self.asked.release()
        self.left.release()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1, in one file."""
    return self_signed("127.0.0.1", tmp_path_factory.mktemp("tls") / "both.pem")


@pytest.fixture(params=["plain", "tls"])
def upstream(request: pytest.FixtureRequest, certificate: Path) -> Iterator[Upstream]:
    tls = None
    if request.param == "tls":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    made = Upstream(tls)
    yield made
    made.listener.close()


@pytest.fixture(autouse=True)
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return ssl.create_default_context(cafile=str(certificate))


def cut_when_asked(upstream: Upstream) -> "threading.Thread":
    def cut() -> None:
        assert upstream.asked.acquire(timeout=SECONDS)
        assert cut_all() >= 1

    thread = threading.Thread(target=cut)
    thread.start()
    return thread


@pytest.mark.parametrize("reused", [False, True])
def test_blocking_call_is_cut_from_another_thread_and_stays_charged(
    upstream: Upstream, trusted: ssl.SSLContext, reused: bool
) -> None:
    governing = FakeGoverning()
    thread = cut_when_asked(upstream)
    transport = GovernedTransport(httpx.HTTPTransport(verify=trusted))
    with httpx.Client(transport=transport, timeout=SECONDS) as client, scope(Scope(governing)):
        if reused:
            # The connection was made by a request that is not governed.
            assert client.get(f"{upstream.url}/models").text == "ok"
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            client.post(f"{upstream.url}/chat/completions", json=chat_request())
        assert upstream.left.acquire(timeout=SECONDS), "the provider never saw it go"
    thread.join()
    assert governing.desk.outcomes == ["unconfirm"]
    assert governing.desk.unconfirmed > 0


@pytest.mark.parametrize("reused", [False, True])
async def test_awaited_call_is_cut_from_another_thread_and_stays_charged(
    upstream: Upstream, pool: MakePool, reused: bool
) -> None:
    governing = FakeGoverning()
    thread = cut_when_asked(upstream)
    transport = GovernedAsyncTransport(pool())
    async with httpx.AsyncClient(transport=transport, timeout=SECONDS) as client:
        with scope(Scope(governing)):
            if reused:
                assert (await client.get(f"{upstream.url}/models")).text == "ok"
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                await client.post(f"{upstream.url}/chat/completions", json=chat_request())
        assert await asyncio.to_thread(upstream.left.acquire, timeout=SECONDS)
    await asyncio.to_thread(thread.join)
    assert governing.desk.outcomes == ["unconfirm"]


def test_connection_that_was_being_made_at_the_cut_is_cut_too(
    upstream: Upstream, trusted: ssl.SSLContext
) -> None:
    cuts = iter([True])

    def trace(event: str, _: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.started" and next(cuts, False):
            cut_all()

    transport = GovernedTransport(httpx.HTTPTransport(verify=trusted))
    with httpx.Client(transport=transport, timeout=SECONDS) as client:
        request = client.build_request("GET", f"{upstream.url}/models", extensions={"trace": trace})
        with pytest.raises(httpx.TransportError):
            client.send(request)
        # Sent again, it is a request of after the cut.
        assert client.send(request).text == "ok"


async def test_callers_own_trace_goes_on(
    upstream: Upstream, trusted: ssl.SSLContext, pool: MakePool
) -> None:
    seen: list[str] = []

    async def trace(event: str, _: dict[str, Any]) -> None:
        seen.append(event)

    def blocking_trace(event: str, _: dict[str, Any]) -> None:
        seen.append(event)

    transport = GovernedAsyncTransport(pool())
    async with httpx.AsyncClient(transport=transport, timeout=SECONDS) as client:
        await client.get(f"{upstream.url}/models", extensions={"trace": trace})
    assert "connection.connect_tcp.complete" in seen
    seen.clear()
    blocking = GovernedTransport(httpx.HTTPTransport(verify=trusted))
    with httpx.Client(transport=blocking, timeout=SECONDS) as sync_client:
        await asyncio.to_thread(
            sync_client.get, f"{upstream.url}/models", extensions={"trace": blocking_trace}
        )
    assert "connection.connect_tcp.complete" in seen


def test_child_does_not_cut_what_its_parent_talks_over(
    upstream: Upstream, trusted: ssl.SSLContext
) -> None:
    with httpx.Client(transport=GovernedTransport(httpx.HTTPTransport(verify=trusted))) as client:
        assert client.get(f"{upstream.url}/models").text == "ok"
        pid = os.fork()
        if pid == 0:
            os._exit(cut_all())
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert not upstream.left.acquire(blocking=False)
        assert client.get(f"{upstream.url}/models").text == "ok"
        assert cut_all() >= 1
        assert upstream.left.acquire(timeout=SECONDS)


def test_transport_without_sockets_is_none_of_its_business() -> None:
    governing = FakeGoverning()
    answered = httpx.MockTransport(lambda request: httpx.Response(200, json=chat_reply()))
    with scope(Scope(governing)), httpx.Client(transport=GovernedTransport(answered)) as client:
        reply = client.post(URL, json=chat_request())
    assert reply.status_code == 200
