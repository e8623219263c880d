"""What Python's csv.reader makes of CSV files, tidy ones and nasty ones, as JSON.

    data/csv.json   for each dialect its options in this library's names, and texts with their rows; null where a quote is open at the end

Rows without a field, which csv.DictReader passes over, are left out. Any Python will do; made with 3.11."""

import csv
import io
import json
import random
from pathlib import Path

DIALECTS = [
    ({}, {}),
    ({"quote": False}, {"quoting": csv.QUOTE_NONE}),
    ({"quote": False, "separator": "\t"}, {"quoting": csv.QUOTE_NONE, "delimiter": "\t"}),
    ({"escape": "\\"}, {"escapechar": "\\"}),
    ({"escape": "\\", "doubleQuote": False}, {"escapechar": "\\", "doublequote": False}),
    ({"doubleQuote": False}, {"doublequote": False}),
    ({"skipInitialSpace": True}, {"skipinitialspace": True}),
    ({"separator": ";", "quote": "'"}, {"delimiter": ";", "quotechar": "'"}),
]
TEXTS = [
    'a,b\n1,2\n', 'a,b\r\n1,2\r\n', 'a,b\r1,2\r', 'a,b\n\n\n1,2', '"a, b","c\nd"\n', '"a ""b"" c",d\n', '"a"b,c\n', 'a"b",c\n', 'a "b, c" d\n',
    '"a" ,b\n', ' "a",b\n', 'a, "b, c"\n', '"a\r\nb",c\n', '""\n', '"",""\n', ',\n', ',,\n', '"a', '"a\n', '"a""', 'a\\,b\n', '"a\\"b",c\n', 'a\\',
    'a\\\nb\n', 'a\\\r\nb\n', '"a\\', '5\' 10",b\n', "'a;b';c\n", 'ü,漢字,𝒳\n', '\ta\t"b\t\n', ' \n', 'a\n \nb\n',
]
ALPHABET = 'ab,;"\'\\ \t\n\r'


def rows(text, options):
    return [row for row in csv.reader(io.StringIO(text, newline=""), **options) if row]


draw = random.Random(0)
texts = TEXTS + ["".join(draw.choice(ALPHABET) for _ in range(draw.randint(1, 14))) for _ in range(150)]
golden = [
    {"options": ours, "texts": [[text, rows(text, theirs) if rows(text + "\n\nQ", theirs)[-1:] == [["Q"]] else None] for text in texts]}
    for ours, theirs in DIALECTS
]
(Path(__file__).parent / "data" / "csv.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")
