"""Parquet files as records, a batch at a time."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items.tables.records import NotATable, Record, Records

_BATCH_ROWS = 1_000


def parquet_records(path: Path, name: str) -> Records:
    """Each row as a mapping by its columns.

    Raises NotATable for what cannot be opened; ConfigurationError, with the extra that is needed,
    without pyarrow.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigurationError(
            f"{name}: Parquet needs pyarrow: pip install 'prefect-governor[parquet]'"
        ) from None
    number = 0
    with path.open("rb") as opened:
        try:
            file = parquet.ParquetFile(opened)
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
                for values in _plain(batch, pyarrow).to_pylist():
                    number += 1
                    yield Record(f"{name}:{number}", {k: _value(v) for k, v in values.items()})
        except (pyarrow.ArrowException, OSError) as error:
            why = " ".join(str(error).split())[:200]
            raise NotATable(name, f"not Parquet, or a broken file: {why}") from None


def _plain(batch: Any, pyarrow: Any) -> Any:
    """A batch whose values Python has, which knows no nanoseconds."""
    types = pyarrow.types
    for at, field in enumerate(batch.schema):
        if not hasattr(field.type, "unit") or field.type.unit != "ns":
            continue
        if types.is_timestamp(field.type):
            column = batch.column(at).cast(pyarrow.string())
        elif types.is_duration(field.type):
            column = batch.column(at).cast(pyarrow.duration("us"), safe=False)
        else:
            continue
        batch = batch.set_column(at, field.name, column)
    return batch


def _value(value: Any) -> Any:
    """A value as JSON has it; NaN is what stands for nothing in tables of figures."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return f"({len(value):,} bytes)"
    if isinstance(value, Mapping):
        return {str(name): _value(each) for name, each in value.items()}
    if isinstance(value, list) and value and all(isinstance(each, tuple) for each in value):
        return {str(name): _value(each) for name, each in value}
    if isinstance(value, list):
        return [_value(each) for each in value]
    if value is None or isinstance(value, (str, bool, int)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
