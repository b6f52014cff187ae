"""The stream to a container's first process, over a real socket."""

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from prefect_governor.blocks.sandboxes.docker.frames import (
    DATA,
    PACK,
    PING,
    Channel,
    ChannelClosed,
    ChannelSilent,
)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    here, there = socket.socketpair()
    yield Channel(here), there
    here.close()
    there.close()


def engine_frame(payload: bytes, which: int = 1) -> bytes:
    return struct.pack(">BxxxI", which, len(payload)) + payload


def frame(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">cI", kind, len(payload)) + payload


def test_frames_are_read_however_the_engine_cuts_them(
    ends: tuple[Channel, socket.socket],
) -> None:
    channel, there = ends
    said = frame(DATA, b"a" * 70_000) + frame(b"X", b'{"status": 0}')
    cut = [said[:3], said[3:11], said[11:60_000], said[60_000:]]
    told = b"".join([engine_frame(b"noise", 2), *map(engine_frame, cut)])
    # More than a socket holds: by another thread.
    sender = threading.Thread(target=there.sendall, args=(told,))
    sender.start()
    found = list(channel.ask(PACK, seconds=10))
    sender.join()
    assert found == [(DATA, b"a" * 70_000), (b"X", b'{"status": 0}')]
    assert there.recv(100) == frame(PACK, b"")


def test_one_who_says_nothing_is_not_waited_for_longer_than_was_said(
    ends: tuple[Channel, socket.socket],
) -> None:
    with pytest.raises(ChannelSilent):
        ends[0].report(PING, seconds=0.2)


def test_one_who_is_abandoned_is_not_waited_for(ends: tuple[Channel, socket.socket]) -> None:
    abandoned = iter([False, False, True])
    with pytest.raises(ChannelSilent):
        ends[0].report(PING, seconds=600, abandoned=lambda: next(abandoned))


def test_one_who_has_ended_is_told_from_one_who_is_silent(
    ends: tuple[Channel, socket.socket],
) -> None:
    channel, there = ends
    there.close()
    with pytest.raises(ChannelClosed):
        channel.report(PING, seconds=10)


@pytest.mark.parametrize(
    "said",
    [struct.pack(">cI", b"X", 2**31), frame(b"X", b"\xff no json")],
    ids=["larger than any", "no report"],
)
def test_nonsense_is_taken_for_an_end(ends: tuple[Channel, socket.socket], said: bytes) -> None:
    channel, there = ends
    there.sendall(engine_frame(said))
    with pytest.raises(ChannelClosed):
        channel.report(PING, seconds=10)
