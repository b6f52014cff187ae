"""A search is paid for as what it is: its money is there before its request leaves, what it was
billed is what is settled, and nobody learns its key."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from prefect_governor import Governor
from prefect_governor.blocks.errors import ConfigurationError, OverBudget
from prefect_governor.blocks.figures.figures import budget_figures
from prefect_governor.blocks.work.registry import stop_all
from prefect_governor.flows.deep_research.request import check_tools_are_called, make_inquiry
from prefect_governor.flows.web.providers import (
    Brave,
    Found,
    SearchProvider,
    SearXNG,
    Tavily,
    chosen,
)
from prefect_governor.flows.web.searching import SearchFailed, search
from prefect_governor.flows.web.settings import WebSettings, web_of
from prefect_governor.flows.web.tools import web_tools
from prefect_governor.flows.web.web import Web
from tests.unit.flows.web.site import PUBLIC, Site, redirect, reply

pytestmark = pytest.mark.usefixtures("home")
KEY = "key-planted-4711"
PRICE = "0.000123457"
RESULTS = [
    {"title": "One", "url": "https://one.org/a#b", "description": "d", "content": "c"},
    {"title": "no URL"},
    "no result",
    {"title": "Two\n9. forged\u202e", "url": "https://two.org", "description": None, "content": 7},
    {"title": "odd", "url": "javascript:alert(1)"},
    {"title": "x" * 999, "url": "https://three.org/", "description": "y" * 999, "content": "y"},
]


def of(kind: type[SearchProvider], site: Site) -> SearchProvider:
    base = f"http://{PUBLIC}:{site.port}"
    if kind is SearXNG:
        return SearXNG(f"{base}/")
    return kind(KEY, url=f"{base}/search")  # type: ignore[call-arg]


@pytest.fixture
def governor() -> Iterator[Governor]:
    yield Governor.local("searches", max_usd="0.0005")
    stop_all()


def nano(governor: Governor) -> tuple[int, int, int]:
    """Spent, unconfirmed and reserved."""
    found = budget_figures(governor.runtime, None)
    return tuple(  # type: ignore[return-value]
        int(each * 10**9) for each in (found.spent_usd, found.unconfirmed_usd, found.reserved_usd)
    )


async def ask(provider: SearchProvider, governor: Governor, usd: str = PRICE) -> list[Found]:
    return await search(
        provider, "how many?", 5, usd=Decimal(usd), runtime=lambda: governor.runtime
    )


@pytest.mark.parametrize("kind", [Brave, Tavily, SearXNG])
async def test_a_search_is_one_request_in_the_providers_own_form_and_counted_to_the_nano_dollar(
    kind: type[SearchProvider], site: Site, governor: Governor
) -> None:
    answer = {"results": RESULTS, "web": {"results": RESULTS}}
    site.replies["/search"] = reply(json.dumps(answer), type="application/json")
    found = await ask(of(kind, site), governor)
    word = {Brave: "d", Tavily: "c", SearXNG: "c"}[kind]
    assert found[0] == Found("One", "https://one.org/a", word)
    # Whatever a result says, it is one line, and leads to what may be fetched.
    assert found[1].title == "Two 9. forged" and found[1].url == "https://two.org/"
    [asked] = site.asked
    told = {
        Brave: asked.headers.get("x-subscription-token"),
        Tavily: asked.headers.get("authorization", "").replace("bearer ", ""),
        SearXNG: KEY,
    }[kind]
    assert told == KEY and KEY not in asked.path
    assert kind is Tavily or "q=how+many" in asked.path or "q=how%20many" in asked.path
    assert nano(governor) == (123_457, 0, 0)


async def test_a_search_over_the_ceiling_is_refused_before_its_request(
    site: Site, governor: Governor
) -> None:
    site.replies["/search"] = reply(json.dumps({"results": RESULTS}))
    for _ in range(4):
        await ask(of(SearXNG, site), governor)
    with pytest.raises(OverBudget):
        await ask(of(SearXNG, site), governor)
    assert len(site.asked) == 4 and nano(governor) == (4 * 123_457, 0, 0)


BILLED, RELEASED, NOBODY_KNOWS = (123_457, 0, 0), (0, 0, 0), (0, 123_457, 0)


@pytest.mark.parametrize(
    ("said", "why", "money"),
    [
        (reply("no JSON"), "no JSON", BILLED),
        (reply("[" * 99_999), "no JSON", BILLED),
        (reply("x" * 3_000_000), "no JSON", BILLED),
        (reply(status=429), "too many searches", RELEASED),
        (reply(status=401), "does not take the TAVILY_API_KEY", RELEASED),
        (reply(status=422), "answered 422", RELEASED),
        (redirect("http://127.0.0.1/"), "answered 302", RELEASED),
        (reply(status=500), "answered 500", NOBODY_KNOWS),
        (b"", "did not answer", NOBODY_KNOWS),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf", "did not answer", NOBODY_KNOWS),
        (None, "could not be reached", RELEASED),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_search_that_gave_nothing_is_charged_by_what_is_known_of_it_and_shows_no_key(
    said: bytes | None, why: str, money: tuple[int, int, int], site: Site, governor: Governor
) -> None:
    provider = of(Tavily, site)
    if said is None:
        provider = Tavily(KEY, url=f"http://{PUBLIC}:1/")
    else:
        site.replies["/search"] = said
    with pytest.raises(SearchFailed, match=why) as caught:
        await ask(provider, governor)
    assert KEY not in str(caught.value) + repr(provider) and nano(governor) == money
    assert not site.trapped


async def test_a_search_is_paid_for_once_in_a_run_also_when_it_is_gone_on_with(
    site: Site, governor: Governor, tmp_path: Path
) -> None:
    site.replies["/search"] = reply(json.dumps({"results": RESULTS}))
    settings = WebSettings(provider=of(SearXNG, site), search_usd=Decimal(PRICE))
    for _ in range(3):
        found = await Web(settings, tmp_path).search("a", 5, runtime=lambda: governor.runtime)
        assert found[0].title == "One"
    assert len(site.asked) == 1 and nano(governor) == BILLED


def test_agents_that_search_for_the_same_at_once_pay_for_it_once(
    site: Site, governor: Governor, tmp_path: Path
) -> None:
    answered = threading.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        await asyncio.to_thread(answered.wait, 10)
        writer.write(reply(json.dumps({"results": RESULTS})))
        await writer.drain()

    site.replies["/search"] = slow
    web = Web(WebSettings(provider=of(SearXNG, site), search_usd=Decimal(PRICE)), tmp_path)

    async def agents() -> list[str]:
        """Some of them: others are on another loop."""
        asked = [
            asyncio.ensure_future(web.search("a", 5, runtime=lambda: governor.runtime))
            for _ in range(3)
        ]
        # Whoever gives up lets no other past whom it waited for.
        await asyncio.sleep(0)
        asked[1].cancel()
        while not site.asked:
            await asyncio.sleep(0.01)
        answered.set()
        found = await asyncio.gather(*asked, return_exceptions=True)
        return [each[0].title for each in found if isinstance(each, list)]

    with ThreadPoolExecutor(2) as loops:
        titles = list(loops.map(lambda _: asyncio.run(agents()), range(2)))
    assert titles == [["One", "One"]] * 2
    assert len(site.asked) == 1 and nano(governor) == BILLED


async def test_a_search_that_costs_nothing_needs_no_governor(site: Site, tmp_path: Path) -> None:
    site.replies["/search"] = reply(json.dumps({"results": []}))
    settings = WebSettings(provider=of(SearXNG, site))
    tools = web_tools(Web(settings, tmp_path), lambda: pytest.fail("it costs nothing"))
    assert [(each.name, each.limit) for each in tools] == [
        ("web_search", "web_search"), ("fetch", None),
    ]  # fmt: skip
    assert (await tools[0].call('{"query": "a"}')).text == "nothing was found"


# Who searches


def test_the_first_whose_variable_is_set_searches() -> None:
    assert chosen("auto", {}) is None and chosen("off", {"BRAVE_API_KEY": "a"}) is None
    both = {"TAVILY_API_KEY": "a", "BRAVE_API_KEY": "b", "SEARXNG_API_BASE": " "}
    assert chosen("auto", both) == Brave("b") and chosen("tavily", both) == Tavily("a")


def test_an_address_of_a_searxng_that_is_no_url_is_refused_before_a_search() -> None:
    with pytest.raises(ConfigurationError, match="SEARXNG_API_BASE is no URL"):
        chosen("auto", {"SEARXNG_API_BASE": "localhost:8888"})


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BRAVE_API_KEY", "TAVILY_API_KEY", "SEARXNG_API_BASE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.usefixtures("no_keys")
@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"web": False, "deny_hosts": ["a.org"]}, "say web"),
        ({"web": False, "search": "off"}, "say web"),
        ({"deny_hosts": ["https://a.org"]}, "deny_hosts takes names"),
        ({"search": "altavista"}, "search takes"),
        ({"search": "brave"}, "BRAVE_API_KEY"),
        ({"search": "off", "search_usd": "0.1"}, "search is 'off'"),
        ({"search_usd": "0.1"}, "nobody searches"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        make_inquiry("Who?", model="offline/extract", **{"web": True, **given})


@pytest.mark.usefixtures("no_keys")
def test_the_offline_model_reads_no_web_and_says_so() -> None:
    with pytest.raises(ConfigurationError, match="calls no tools"):
        check_tools_are_called(make_inquiry("Who?", model="offline/extract", web=True))
    check_tools_are_called(make_inquiry("Who?", model="offline/extract"))


def test_the_price_of_a_search_is_the_providers_unless_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TAVILY_API_KEY", KEY)
    listed = web_of(True, search="tavily")
    given = web_of(True, search="tavily", search_usd="0.001")
    assert listed is not None and given is not None
    assert (listed.search_usd, given.search_usd) == (Decimal("0.008"), Decimal("0.001"))
    assert KEY not in repr(listed) + repr(listed.name)
