"""What a file is, by its bytes and its name; and the page that tells people of it."""

import re

import pytest

from prefect_governor.flows.items.documents.formats.kinds import (
    SUFFIXES,
    UNREAD,
    kind_of,
    reason_unread,
)
from prefect_governor.flows.items.encodings import is_binary
from tests import ROOT
from tests.samples.documents import samples

PAGE = ROOT / "docs" / "how-to" / "items" / "what-is-read.md"


def test_the_page_of_what_is_read_names_every_suffix_where_it_belongs() -> None:
    read, _, skipped = PAGE.read_text().partition("## What is skipped")
    assert set(SUFFIXES) <= set(re.findall(r"`(\.\w+)`", read))
    rows = dict(re.findall(r"^\| ((?:`\.\w+` ?)+) \| (.*?) \|$", skipped, re.MULTILINE))
    told = {reason: set(re.findall(r"`(\.\w+)`", names)) for names, reason in rows.items()}
    assert told == {reason: set(names.split()) for reason, names in UNREAD.items()}


@pytest.mark.parametrize("name", sorted(samples()))
def test_a_folder_leaves_out_what_has_no_reader_and_nothing_else(name: str) -> None:
    sample = samples()[name]
    suffix = f".{name.rpartition('.')[2]}" if "." in name else ""
    head = sample.data[:8192]
    reason = reason_unread(suffix, head, is_binary=is_binary(head))
    assert (reason is not None) == sample.skipped, reason


@pytest.mark.parametrize(
    ("suffix", "head", "kind"),
    [
        (".txt", b"<!doctype html><p>Words", "text"),
        (".html", b"plain words", "html"),
        (".doc", b"\xef\xbb\xbf<html><body>", "html"),
        (".doc", b"From: x\nMIME-Version: 1.0\n", "mhtml"),
        (".doc", b"Dear Sir", "text"),
        (".md", b"  %PDF-1.7", "pdf"),
        (".md", b"about %PDF-1.7", "text"),
        ("", b"{\\rtf1", "rtf"),
        (".key", b"-----BEGIN PRIVATE KEY-----", "text"),
    ],
)
def test_the_bytes_decide_where_they_say_what_they_are(suffix: str, head: bytes, kind: str) -> None:
    assert kind_of(suffix, head) == kind
    assert reason_unread(suffix, head, is_binary=False) is None
