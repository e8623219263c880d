"""Golden matches of Oniguruma's expressions, the patterns of tokenizer.json: tokenizer/oniguruma.json, where Python's tokenizers finds each in some
texts, [start, end] in characters; null where it cannot be one.

Run from the repository's root:  python test/golden/make_oniguruma.py
Made with tokenizers 0.23.3.
"""
import json
import pathlib

from tokenizers import Regex, pre_tokenizers

PATTERNS = [
    r"\d+", r"\s+", r"\w+", r"\W+", r"[^\s\w]", r"[\w]+", r"\b\w", r"\B.", r"\h+", r"\H", r"\p{Han}+", r"\p{L}+", r"\P{L}+", r"\p{^L}+",
    r"[[:alpha:]]+", r"[[:^space:]]+", r"[[:punct:]]", r"[[:digit:][:upper:]]", r"\p{Alpha}+", r"\p{Punct}", r"\p{Upper}", r"[a-z&&[^aeiou]]+",
    r"[^a-z&&\w]", r"[]a]", r"[^]a]", r"[a-]", r"[-a]", r"[\w-]", r"^a", r"b$", r"\Aa", r"b\z", r"b\Z", r".", r"a*+b", r"(?>a+)b", r"a{2}+",
    r"a{2}?", r"a{1,2}?b", r"a{,2}b", r"a{,}", r"{a}", r"a**", r"(?i:k|ss?)", r"(?i)é|a", r"a(?i)b|c", r"(?i:[a-f\u00e0])+", r"(?i:a(?-i:b))",
    r"(?#x)a", r"(?<n>a)b", r"(a)(b)", r"\x41|\x{1F600}|\u0062", r"\t|\n|\r", r"[\n\t]", r"\/|\#|\-", r"a|", r"(?<=a)b", r"(?<!a)b", r"(?=a)",
    r"(?:ab)+?", r"\p{Greek}+", r"\p{Lu}\p{Ll}*", r"\p{Cyrillic}", r"\p{Sc}", r"[\p{L}&&[^\p{Han}]]+", r"\$|\^", r"[+--]", r"[.*+?(){}|^$]+",
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+", r"\p{Katakana}+|\p{Hiragana}+", r"[\x00-\x1f]", r"(?i:σ)", r"[[:blank:]]", r"[[:cntrl:]]", r"[[:word:]]+",
    r"[[:alnum:]]+", r"[[:lower:]]+", r"[[:xdigit:]]+", r"[[:ascii:]]+", r"\p{Blank}", r"(?i:[^a])",
    r"[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+", r" ?[^(\s|[.,!?…。，、।۔،])]+", r"[一-龥぀-ゟ゠-ヿ]+",
    r"\p{Alphabetic}+", r"[\p{M}\p{Lm}]+", r"\A\s*|\s*\z", r"[ \t]*[\r\n]+",
]
TEXTS = [
    'aab b abab aB Ab AABb a{2} {a}aaa ab',
    'a\nb\nab\n',
    'bab',
    'a b\x85c\xa0d\ufefff 1\xbd\uff12\u2460\xb2 \uff14x_y-z.',
    "don't I'LL '\u017f \u212a ss SS \xdf \u1e9e \xe9 \xc9 \xe0 \xc0 F f \u03a3\u03c3\u03c2",
    '\u6f22\u5b57 \u30ab\u30bf\u30ab\u30ca \u3072\u3089\u304c\u306a \u03b1\u03b2\u03b3 \u03a9\u0434 \u0416 $\u20ac \U0001f600a\u0301 \xc0\xc9 \u01c5 \xaa',
    '\t\r\n []a-^$.*+?(){}|/# \x00\x1fA b+,-',
    'ab\r\nc  \u2028d\u200be',
]


def found(pattern, text):
    return [list(place) for _, place in pre_tokenizers.Split(Regex(pattern), "removed", invert=True).pre_tokenize_str(text)]


rows = {}
for pattern in PATTERNS:
    try:
        rows[pattern] = [found(pattern, text) for text in TEXTS]
    except Exception:
        rows[pattern] = None
dump = lambda value: json.dumps(value, separators=(",", ":"))
lines = ",\n".join(f"{dump(pattern)}: {dump(places)}" for pattern, places in rows.items())
path = pathlib.Path(__file__).parent / "tokenizer" / "oniguruma.json"
path.write_text('{"texts": ' + dump(TEXTS) + ',\n"patterns": {\n' + lines + "\n}}\n")
