"""A report's lines as Parquet: typed, so that nobody has to guess what a column of text means."""

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from analytics.domain.report_lines import DIMENSIONS, MEASURES


def as_parquet(lines: Iterable[dict[str, object]]) -> bytes:
    """`hour` is null where the message is not known; amounts are null where there are several currencies."""
    import pyarrow as pa  # 50 MB of memory that only an export needs
    import pyarrow.parquet as pq

    amount = pa.decimal128(24, 6)
    amounts = {"cost": ("costs", "currency"), "revenue": ("revenues", "revenue_currency")}
    fields = [("hour", pa.timestamp("ms", tz="UTC")), *((name, pa.string()) for name in DIMENSIONS[1:])]
    for name in MEASURES:
        if name in amounts:
            fields += [(name, amount), (amounts[name][0], pa.map_(pa.string(), amount))]
        else:
            kind = pa.string() if name.endswith("currency") else pa.float64() if name == "conversions" else pa.int64()
            fields.append((name, kind))
    rows: list[dict[str, Any]] = []
    for line in lines:
        row: dict[str, Any] = dict(line)
        row["hour"] = datetime.fromtimestamp(row["hour"] / 1000, UTC) if row["hour"] else None
        for name, (all_of, currency) in amounts.items():
            found = dict(zip(row[currency].split(), map(Decimal, row[name].split()), strict=False))
            row[all_of] = list(found.items())
            row[name] = next(iter(found.values()), Decimal(0)) if len(found) < 2 else None
            row[currency] = next(iter(found), None) if len(found) < 2 else None
        rows.append(row)
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(fields)), out, compression="zstd")
    return out.getvalue()
