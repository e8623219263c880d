"""Small Parquet files from pyarrow, in the compressions that data sets on the Hub have, and their rows as JSON.

    data/<compression>.parquet   three row groups of 4, 4 and 2 rows
    data/rows.json               the rows; the bigint is text
    data/kinds.parquet           pictures and other bytes beside texts, dictionaries, decimals and dates

Needs pyarrow==26.0.1, in any environment."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path(__file__).parent / "data"
COMPRESSIONS = ("none", "snappy", "gzip", "zstd", "brotli", "lz4")

rows = [
    {
        "text": f"Zeile {i}: grün, \"quoted\"\nand 漢字" if i != 3 else None,
        "label": i % 3,
        "large": 2**53 + 1 + i,
        "score": i / 4,
        "tokens": [f"t{j}" for j in range(i % 4)],
        "answers": {"text": [f"a{i}"], "start": [i]},
    }
    for i in range(10)
]
schema = pa.schema(
    {
        "text": pa.string(),
        "label": pa.int64(),
        "large": pa.int64(),
        "score": pa.float64(),
        "tokens": pa.list_(pa.string()),
        "answers": pa.struct({"text": pa.list_(pa.string()), "start": pa.list_(pa.int32())}),
    }
)
FOLDER.mkdir(exist_ok=True)
for compression in COMPRESSIONS:
    pq.write_table(pa.Table.from_pylist(rows, schema), FOLDER / f"{compression}.parquet", row_group_size=4, compression=compression)
text = json.dumps({"pyarrow": pa.__version__, "rows": [{**row, "large": str(row["large"])} for row in rows]}, ensure_ascii=False, indent=1)
(FOLDER / "rows.json").write_text(text + "\n", encoding="utf-8")

# What a binary column is only its logical type says: those of pictures have none.
picture = bytes([0x89, 0x50, 0x4E, 0x47, 0xFF, 0x00, 0x80])
kinds = pa.schema(
    {
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "raw": pa.binary(),
        "fixed": pa.binary(3),
        "label": pa.dictionary(pa.int32(), pa.string()),
        "price": pa.decimal128(9, 2),
        "day": pa.date32(),
        "many": pa.list_(pa.binary()),
    }
)
some = [
    {"image": {"bytes": picture, "path": "a.png"}, "raw": b"\xff\xfe", "fixed": b"\x00\x80\xff", "label": "ham", "price": Decimal("12.30"), "day": date(2026, 1, 2), "many": [b"\x80", b""]},
    {"image": {"bytes": None, "path": None}, "raw": None, "fixed": None, "label": "spam", "price": None, "day": None, "many": []},
]
pq.write_table(pa.Table.from_pylist(some, kinds), FOLDER / "kinds.parquet")
