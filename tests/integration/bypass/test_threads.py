"""Calls that a program or a library makes in threads are inside the scope that they come from."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from threading import Thread, Timer

import httpx
import pytest

from tests.integration.bypass.senders import BODY, HEADERS, url
from tests.integration.bypass.test_bypass import governor
from tests.integration.models.bill import assert_spent_is_the_bill, figures
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home"), QUIET]


def ask(provider: ProviderProcess) -> int:
    return httpx.post(url(provider), json=BODY, headers=HEADERS).status_code


def test_what_a_pool_is_given_inside_a_scope_is_governed_and_what_it_is_given_after_is_not(
    provider: ProviderProcess,
) -> None:
    team, other = governor(10**9), governor(10**9)
    with ThreadPoolExecutor(1) as pool:
        with team:
            assert list(pool.map(ask, [provider] * 2)) == [200, 200]
        assert_spent_is_the_bill(team, provider, requests=2)
        spent = figures(team).spent_nano
        # The same thread, for somebody else and for nobody.
        with other:
            assert pool.submit(ask, provider).result() == 200
        assert pool.submit(ask, provider).result() == 200
    assert figures(team).spent_nano == spent == 2 * figures(other).spent_nano
    assert provider.settled_stats()["billed_nano"] == 2 * spent


def test_a_thread_that_is_started_inside_a_scope_is_governed(provider: ProviderProcess) -> None:
    class Asking(Thread):
        def run(self) -> None:
            ask(provider)

    team = governor(10**9)
    threads = [Thread(target=ask, args=(provider,)), Asking(), Timer(0, ask, (provider,))]
    with team:
        for each in threads:
            each.start()
    for each in threads:
        each.join()
        assert "run" not in vars(each), "a thread that holds itself is collected late"
    with team, ThreadPool(2) as pool:
        assert pool.map(ask, [provider] * 2) == [200, 200]
    assert_spent_is_the_bill(team, provider, requests=5)


async def test_what_a_loop_hands_to_its_threads_is_governed(provider: ProviderProcess) -> None:
    team = governor(10**9)
    with team:
        status = await asyncio.get_running_loop().run_in_executor(None, ask, provider)
    assert status == 200
    assert_spent_is_the_bill(team, provider, requests=1)


def test_what_a_governed_client_sends_in_a_pool_is_counted_once(provider: ProviderProcess) -> None:
    team = governor(10**9)
    with team, team.http_client() as client, ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(client.post, url(provider), json=BODY, headers=HEADERS) for _ in "ab"]
        assert [each.result().status_code for each in sent] == [200, 200]
    assert_spent_is_the_bill(team, provider, requests=2)
