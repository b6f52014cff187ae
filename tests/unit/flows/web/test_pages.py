"""What a page says becomes numbered lines that stay what they were, for all agents of a run."""

import asyncio
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from prefect_governor.flows.agent.citations import Citation
from prefect_governor.flows.agent.evidence import Evidence, check_citations
from prefect_governor.flows.agent.tools import Tool
from prefect_governor.flows.web import extractor, reader
from prefect_governor.flows.web.kept import Kept
from prefect_governor.flows.web.network.fetching import Fetched
from prefect_governor.flows.web.network.guard import NotFetched
from prefect_governor.flows.web.pages import page_of
from prefect_governor.flows.web.settings import WebSettings
from prefect_governor.flows.web.tools import web_tools
from prefect_governor.flows.web.web import Web
from tests.unit.flows.web.site import Resolver, Site, redirect, reply, rules_for

URL = "http://example.org/page"
HTML = "<head><title>x</title></head><h1>Depots</h1><script>x</script><p>A has 12.</p><p>B has 7."


async def lines(
    data: bytes | str, type: str = "text/html", charset: str | None = "utf-8", seconds: float = 20.0
) -> list[str]:
    data = data.encode() if isinstance(data, str) else data
    page = await page_of(Fetched(URL, type, charset, data), seconds=seconds)
    return list(page.lines)


def web(site: Site, resolver: Resolver, folder: Path) -> Web:
    return Web(WebSettings(), folder, rules=rules_for(site), resolve=resolver)


def fetch_of(web: Web) -> Tool:
    [tool] = web_tools(web, lambda: pytest.fail("a page costs no money"))
    assert tool.name == "fetch"
    return tool


async def test_html_is_read_as_fan_out_reads_it() -> None:
    assert await lines(HTML) == ["# Depots", "", "A has 12.", "", "B has 7."]
    # A type that says nothing.
    assert (await lines(f"<!DOCTYPE html>{HTML}", "", None))[0] == "# Depots"
    assert await lines("a\r\nb", "text/plain") == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("<p>\u00fcber".encode("latin-1"), "iso8859-1", "\u00fcber"),
        ("<p>\u65e5\u672c".encode("shift_jis"), "shift_jis", "\u65e5\u672c"),
        # The header goes before what the page says of itself.
        ('<meta charset="shift_jis"><p>\u00fcber'.encode(), "utf-8", "\u00fcber"),
        ('<meta charset="iso-8859-1"><p>\u00fcber'.encode("latin-1"), None, "\u00fcber"),
    ],
)
async def test_a_page_is_in_the_encoding_that_it_was_sent_in(
    data: bytes, charset: str | None, text: str
) -> None:
    assert await lines(data, charset=charset) == [text]


@pytest.mark.parametrize("named", ["base64", "zlib", "undefined", "rot13"])
async def test_a_charset_that_makes_no_text_is_as_one_that_nobody_knows(
    named: str, site: Site, resolver: Resolver, tmp_path: Path
) -> None:
    site.replies["/page"] = reply("A has 12.", type=f"text/plain; charset={named}")
    page = await web(site, resolver, tmp_path).page(f"{site.url}/page")
    assert page.lines == ("A has 12.",)


async def test_many_pages_at_once_are_read_by_few_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_work, most = 0, 0

    async def run(*args: Any, **options: Any) -> SimpleNamespace:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        for _ in range(10):
            await asyncio.sleep(0)
        at_work -= 1
        return SimpleNamespace(stdout=b'{"text": "a", "kind": "html", "pages": []}')

    monkeypatch.setattr(anyio, "run_process", run)
    assert await asyncio.gather(*(lines(HTML) for _ in range(60))) == [["a"]] * 60
    assert 1 < most <= reader.AT_ONCE


def test_a_small_file_with_an_endless_text_is_not_held_by_whoever_waits() -> None:
    told = extractor.told(b"<p>" + b"a" * 3_000_000, ".html")
    assert len(str(told["text"])) == extractor.MOST_CHARACTERS + 1


async def test_a_page_in_one_line_can_be_read_on_and_cited() -> None:
    made = await lines(" ".join(f"word{at}" for at in range(2_000)), "text/plain")
    assert max(map(len, made)) <= 500 and " ".join(made).split()[-1] == "word1999"
    assert [len(line) for line in await lines("x" * 1_200, "text/plain")] == [500, 500, 200]


async def test_characters_that_are_not_seen_are_left_out() -> None:
    assert await lines("a\u200bb\u202ec\U000e0041d", "text/plain") == ["abcd"]


@pytest.mark.parametrize(
    ("data", "type"),
    [
        (b"", "text/plain"),
        (b"\x00\x01\x02" * 99, "text/plain"),
        (b"<script>all of it</script>", "text/html"),
        (b"no PDF", "application/pdf"),
        (b"%PDF-1.4 broken", "application/pdf"),
        (b"<b>" * 3_000, "text/html"),
    ],
)
async def test_what_holds_no_text_says_so(data: bytes, type: str) -> None:
    with pytest.raises(NotFetched, match="no text in it"):
        await lines(data, type, None)


async def test_a_page_that_takes_a_parser_for_ever_is_left_in_time() -> None:
    """Half a minute and more of CPU in 200 KB, which no thread could be made to leave."""
    began = time.monotonic()
    with pytest.raises(NotFetched, match=r"could not be read in 1 s"):
        await lines(b"<!--" * 50_000, seconds=1.0)
    assert time.monotonic() - began < 10


async def test_a_page_that_fills_the_memory_ends_its_own_reader_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "_MOST_MEMORY_MIB", 128)
    with pytest.raises(NotFetched, match=r"memory|could not be read"):
        await lines(b"<p>" + b"a" * 40_000_000)


async def test_the_reader_has_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    environment = tmp_path / "environment"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nenv > {environment}\nexec {sys.executable} "$@"\n')
    python.chmod(0o700)
    monkeypatch.setattr(reader, "sys", SimpleNamespace(executable=str(python), path=sys.path))
    assert await lines("<p>hello") == ["hello"]
    assert "sk-planted" not in environment.read_text() and "PYTHONPATH" in environment.read_text()


async def test_the_lines_that_were_shown_may_be_cited_by_the_pages_url_and_no_others(
    site: Site, resolver: Resolver, tmp_path: Path
) -> None:
    site.replies["/moved"] = redirect("/page")
    site.replies["/page"] = reply("\n".join(f"fact {at}" for at in range(1, 41)))
    tool = fetch_of(web(site, resolver, tmp_path))
    told = await tool.call(f'{{"url": "{site.url}/moved", "first": 12, "last": 18}}')
    page = f"{site.url}/page"
    assert told.text.startswith(f"[{page}:12-18]\n12  fact 12\n")
    evidence = Evidence()
    evidence.update(told.lines)
    answer = f"a [{page}:12-18] b [{page}:10-20] c [{page}:30] d [http://never.example.org/x:3]"
    checked = check_citations(answer, evidence)
    assert checked.kept == (Citation(page, 12, 18),)
    assert checked.text.strip() == f"a [{page}:12-18] b [{page}:12-18] c d"
    assert "[http://never.example.org/x:3]" in checked.removed


async def test_a_page_stays_what_it_was_for_all_agents_and_when_the_run_is_gone_on_with(
    site: Site, resolver: Resolver, tmp_path: Path
) -> None:
    site.replies["/page"] = reply("first")
    assert (await web(site, resolver, tmp_path).page(f"{site.url}/page")).lines == ("first",)
    site.replies["/page"] = reply("second")
    again = web(site, resolver, tmp_path)
    assert (await again.page(f"{site.url}/page")).lines == ("first",)
    assert site.paths == ["/page"]
    assert again.line(f"{site.url}/page", 1) == "first"
    assert again.line(f"{site.url}/page", 2) == again.line("http://other/", 1) == ""
    # What is denied by now is denied, kept or not.
    denied = Web(
        WebSettings(), tmp_path, rules=rules_for(site, deny=("example.org",)), resolve=resolver
    )
    with pytest.raises(NotFetched, match="denied"):
        await denied.page(f"{site.url}/page")


async def test_of_two_that_fetch_at_once_both_have_the_same(
    site: Site, resolver: Resolver, tmp_path: Path
) -> None:
    count = 0

    async def another(writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        writer.write(reply(f"version {count}"))
        await writer.drain()

    site.replies["/page"] = another
    mine = web(site, resolver, tmp_path)
    found = await asyncio.gather(*(mine.page(f"{site.url}/page") for _ in range(8)))
    assert len({each.lines for each in found}) == 1
    assert (await mine.page(f"{site.url}/page")).lines == found[0].lines


def test_what_is_kept_is_bounded_and_a_file_that_is_broken_is_none(tmp_path: Path) -> None:
    kept = Kept(tmp_path, most=200)
    assert kept.put("pages", "a", {"text": "x" * 50})["text"] == "x" * 50
    assert kept.get("pages", "a") is not None
    assert kept.put("pages", "b", {"text": "y" * 300})["text"] == "y" * 300
    assert kept.get("pages", "b") is None
    [file] = (tmp_path / "pages").glob("*.json")
    assert file.stat().st_mode & 0o077 == 0
    file.write_text("{")
    assert kept.get("pages", "a") is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"url": "http://127.0.0.1/"}', "NotFetched: 127.0.0.1 is no address of the public"),
        ('{"url": "PAGE", "first": 99}', "has 1 lines"),
        ('{"url": "PAGE", "page": 2}', "has 0 pages"),
        ('{"url": "PAGE", "depth": 9}', "Extra inputs"),
        ("{}", "url: Field required"),
    ],
)
async def test_what_goes_wrong_is_an_answer_to_the_agent(
    arguments: str, said: str, site: Site, resolver: Resolver, tmp_path: Path
) -> None:
    site.replies["/page"] = reply("hello")
    tool = fetch_of(web(site, resolver, tmp_path))
    told = await tool.call(arguments.replace("PAGE", f"{site.url}/page"))
    assert told.text.startswith("error: ") and said in told.text and not told.lines.sources
