"""Documents are read in processes: what is slow, large or breaks its reader is one failed item."""

import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.documents import worker
from prefect_governor.flows.items.documents.workers import read_document

PAGE = b"<h1>Title</h1><p>words</p>"
# Some seconds' work: a page of 3 MB in small pieces.
SLOW = b"<p>a <b>b</b></p>" * 400_000


def children() -> list[psutil.Process]:
    return [
        each
        for each in psutil.Process().children()
        if each.is_running() and worker.__name__ in each.cmdline()
    ]


def test_a_document_that_takes_too_long_is_one_failure_and_the_next_is_read() -> None:
    said: list[str] = []

    def read_slow() -> None:
        with pytest.raises(ItemFailed) as caught:
            read_document("slow.html", SLOW, suffix=".html", seconds=1)
        said.append(str(caught.value))

    slow = threading.Thread(target=read_slow)
    slow.start()
    # Beside it, and after it.
    assert read_document("a.html", PAGE, suffix=".html").text == "# Title\n\nwords"
    slow.join()
    assert "could not be taken out in 1 s of CPU" in said[0]
    assert read_document("a.html", PAGE, suffix=".html", seconds=1).text == "# Title\n\nwords"


def test_a_reader_knows_nothing_of_the_environment_and_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-told-to-nobody")
    # A process of its own: no other has so many seconds.
    read_document("a.html", PAGE, suffix=".html", seconds=77)
    (one,) = [each for each in children() if "77" in each.cmdline()]
    assert set(one.environ()) <= {"PYTHONPATH", "LC_CTYPE"}
    read_document("b.html", PAGE, suffix=".html", seconds=77)
    assert [each.pid for each in children() if "77" in each.cmdline()] == [one.pid]


def test_a_reader_that_is_killed_is_replaced() -> None:
    read_document("a.html", PAGE, suffix=".html", seconds=78)
    (one,) = [each for each in children() if "78" in each.cmdline()]
    one.kill()
    one.wait()
    assert read_document("a.html", PAGE, suffix=".html", seconds=78).text == "# Title\n\nwords"


def test_readers_end_with_who_asked_them(tmp_path: Path) -> None:
    """Killed, it ends none of them by itself."""
    program = (
        "import os, psutil\n"
        "from prefect_governor.flows.items.documents.workers import read_document\n"
        "read_document('a.html', b'<p>x</p>', suffix='.html')\n"
        "print(psutil.Process().children()[0].pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    pid = int(done.stdout)
    try:
        psutil.Process(pid).wait(timeout=60)
    except psutil.NoSuchProcess:
        return
    assert not psutil.pid_exists(pid)


def test_plain_text_is_read_where_it_is_asked_for() -> None:
    before = {each.pid for each in children()}
    assert read_document("a.txt", b"words", suffix=".txt", seconds=79).text == "words"
    assert {each.pid for each in children()} <= before
