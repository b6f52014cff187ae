"""How a run's items are cut up, and among how many processes. Pure."""

from typing import Any

from prefect_governor.blocks.errors import ConfigurationError

AUTO = "auto"
# Chunks that a shard takes if all are alike: what one that is slow, or dead, has in hand is then a
# sixteenth of its part, and the others have the rest.
CHUNKS_A_SHARD = 16
# All claims of a run are read for each, in the one transaction that everybody waits for.
MOST_CHUNKS = 1_000
# Larger ones save nothing any more: a claim takes milliseconds.
MOST_ITEMS_A_CHUNK = 64
MOST_SHARDS = 256
# A process takes seconds of a core to import Prefect and LiteLLM, in which one that is
# there has asked about so many items.
WORTH_A_PROCESS = 100
# What one takes in memory, in bytes (measured: 225 MB, and what its items hold).
PROCESS_BYTES = 320 * 2**20


def chunk_size(total: int, shards: int) -> int:
    """How many items are claimed together."""
    even = min(MOST_ITEMS_A_CHUNK, total // (CHUNKS_A_SHARD * shards))
    return max(1, even, -(-total // MOST_CHUNKS))


def check_count(given: Any, *, name: str) -> int | None:
    """How many shards or processes were asked for; None where nobody did. "auto" only of processes.

    Raises ConfigurationError.
    """
    if given is None:
        return None
    try:
        count = int(given) if isinstance(given, str) else given
    except ValueError:
        count = None
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_SHARDS:
        auto = f", or {AUTO!r}" if name == "processes" else ""
        raise ConfigurationError(
            f"{name} must be a whole number of at least 1 and at most {MOST_SHARDS:,}{auto}, not"
            f" {given!r}"
        )
    return count


def processes_for(total: int, *, cores: int, free_bytes: int | None) -> int:
    """As many as bring something: one a core, none that has less to do than its start costs, and no
    more than memory holds."""
    most = [cores, total // WORTH_A_PROCESS]
    if free_bytes is not None:
        most.append(free_bytes // PROCESS_BYTES)
    return max(1, min(most))
