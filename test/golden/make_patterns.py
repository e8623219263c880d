"""Writes patterns.json: what Python's `re` finds in names of modules, for expressions of every kind and for random ones.

{"python": version, "texts": [...], "patterns": [[pattern, error or null, fullmatch, match], ...]}
  fullmatch   indices of the texts that re.fullmatch finds
  match       {index: groupdict() without what is None} for each text that re.match finds
"""

import json
import platform
import random
import re
import signal
from pathlib import Path

TEXTS = [
    "", "query", "Query", "xquery", "query\n", "classifier", "pre_classifier", "lm_head", "h.0.attn.c_attn", "h.10.mlp.c_fc",
    "bert.encoder.layer.0.attention.self.query", "bert.encoder.layer.1.attention.output.dense",
    "bert.encoder.layer.11.output.dense", "model.layers.3.self_attn.q_proj", "model.layers.12.mlp.experts.5.down_proj",
    "transformer.layer.2.ffn.lin1", "distilbert.embeddings.word_embeddings", "a", "aa", "aab", "ab.ba", "é.Ä٣", "a b\tc", "A_1-]^",
]
PATTERNS = [
    r"", r".*", r".*query", r".*\.query", r"(?i).*QUERY", r"(?i:Q)uery", r"(?-i:q)uery", r"(?s).*", r"(?m)^query$", r"query$", r"query\Z",
    r".*\.(query|dense)", r".*\.(?P<name>query|key)", r"(?P<n>a)(?P<m>b)?.*", r"(?:bert|model)\..*", r".*layers?\.(?P<idx>\d+)\..*",
    r".*?\.[^.]*\.(?P<idx>\d+)\.", r"(?:^|.*?\.)layers\.(?P<idx>\d+)\.", r"(?:^|.*?\.)h|layers\.(?P<idx>\d+)\.", r"(.*\.)?(query)$",
    r"(.*\.)?(a|b)$", r"(.*\.)?((?i)query)$", r"a(?i)b", r"(?i)(?s)A.*", r"(?x) a  a # comment", r"(?x)[ ]*a", r"(?a)\w+", r"\w+", r"\W", r"[\w.]+",
    r"(?u)a", r"(?L)a", r"(?q)a", r"a{2}", r"a{,2}b?", r"a{1,}b", r"a{2,1}", r"a{}", r"a{,}", r"a{x}", r"a{2", r"a**", r"a*?", r"a*?b", r"a*+", r"a*+a",
    r"a++b", r"a?+a", r"a{1,2}+b", r"(?>a*)b", r"(?>a|aa)b", r"(?>a*)*", r"(?>(?:|a)*)", r"(?:|a)*", r"(a*)*b", r"(?:a|b|)*", r"*a", r"+", r"?a", r"^*", r"a|*",
    r"$*", r"\b*", r"(?=a)*a", r"(?=a)a+", r"(?!a).+", r"(?!.*\.1\.).*layer.*", r".*(?<=self)\.query", r".*(?<!self)\.\w+", r"(?<=a|bb)b", r"(?<=a|b)b", r"(?<=ab)",
    r"(?=(?P<n>a+))a*", r".*\b1\b.*", r"\Aa\Z", r"a\B.*", r"\B", r"[a-z_]+", r"[^.]+", r"[]a]", r"[^]a]+", r"[a", r"[", r"[b-a]", r"[a-\d]", r"[\d-a]", r"[-a]+", r"[a-]+",
    r"[\]^-]+", r"A_1[-\]^]+", r"[\b]", r"[\A]", r"[.]", r"(?i)[a-z]+", r"(?i)[^q]+", r"(?i)[A-F]+b", r"\d", r".*\d", r"\D+", r"a\sb\tc", r"[\s\S]*", r"\S+", r"\x61+", r"\x6",
    r"\u0061", r"\U00000061", r"\U00110000", r"\141", r"\0", r"\8", r"(a)\1", r"(?P<n>a)(?P=n)", r"(a)?(?(1)a|b)", r"\N{LATIN SMALL LETTER A}", r"\p{L}", r"\Q", r"\-", r"\é", "\\",
    r"(", r")", r"(a", r"a)", r"(?:a", r"(?P<n>a", r"(?P<n", r"(?P<1>a)", r"(?P<n>a)(?P<n>b)", r"(?Pn)", r"(?", r"(?<n>a)", r"(?#note)a", r"a(?#note)+", r"(?#note", r"é\..*", r"(?i)é.*", r"\w\.\w\w",
    r"[é-ü]\..+", r"(?i)k", r"a||b", r"|", r"(|a)+b", r"((a|b)*\.)*ba", r"(a+)+$", r"(a|aa)+b", r"(x+x+)+y", r".*.*.*=.*", r"(?:(?:a?){5}){5}", r"{", r"}", r"]", r"a{1}{2}", r"(?i:(?-i:Q)uery)",
]


def random_pattern(draw, depth=0):
    def atom():
        kinds = ["char"] * 6 + ["dot", "class", "escape"] + (["group", "look", "atomic"] if depth < 3 else [])
        kind = draw.choice(kinds)
        inner = lambda: random_pattern(draw, depth + 1)
        if kind == "char":
            return draw.choice(["a", "b", "q", "u", "e", "r", "y", r"\.", "layer", "query", "0", "1", "_"])
        if kind == "dot":
            return "."
        if kind == "class":
            return draw.choice(["[a-q]", "[^.]", r"[\d_]", "[abq]", r"[^\w]", "[r-z.]"])
        if kind == "escape":
            return draw.choice([r"\d", r"\w", r"\s", r"\W", r"\b", "^", "$", r"\B"])
        if kind == "group":
            return draw.choice(["(", "(?:", "(?i:"]) + inner() + ")"
        if kind == "look":
            return draw.choice(["(?=", "(?!", "(?<=", "(?<!"]) + inner() + ")"
        return "(?>" + inner() + ")"

    def piece():
        return atom() + draw.choice([""] * 4 + ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "*+", "++"])

    branches = ["".join(piece() for _ in range(draw.randint(1, 4))) for _ in range(draw.choice([1, 1, 1, 2]))]
    return "|".join(branches)


def found(pattern):
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        return [pattern, str(error), [], {}]
    whole = [i for i, text in enumerate(TEXTS) if compiled.fullmatch(text)]
    starts = {i: compiled.match(text) for i, text in enumerate(TEXTS)}
    groups = {i: {k: v for k, v in m.groupdict().items() if v is not None} for i, m in starts.items() if m}
    return [pattern, None, whole, groups]


def found_in_time(pattern):
    """None for a random expression that Python does not finish within a second."""

    def stop(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 1)
    try:
        return found(pattern)
    except TimeoutError:
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    draw = random.Random(7)
    patterns = PATTERNS + [random_pattern(draw) for _ in range(800)]
    records = [record for pattern in dict.fromkeys(patterns) if (record := found_in_time(pattern)) is not None]
    lines = ",\n".join(json.dumps(record, ensure_ascii=True) for record in records)
    text = f'{{"python": "{platform.python_version()}", "texts": {json.dumps(TEXTS)}, "patterns": [\n{lines}\n]}}\n'
    (Path(__file__).parent / "patterns.json").write_text(text)
    print(f"{len(records)} patterns, {sum(1 for r in records if r[1])} of them refused by Python")
