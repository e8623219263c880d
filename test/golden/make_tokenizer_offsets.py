"""Golden places of tokens in their texts, and of words that come split already, for every kind of tokenizer.

Run from the repository's root:  python test/golden/make_tokenizer_offsets.py FOLDER
where FOLDER holds the files of sentence-transformers/all-MiniLM-L6-v2 (they are not kept here).
Made with tokenizers 0.23.3, transformers 5.24.0. Reads the tokenizers that the other make_tokenizer scripts made and writes
tokenizer/offsets.json:

files        of bytes/, unigram/, words/: the texts and pairs of their golden.json; and cut ones
steps        of steps.json's cases; configured: of configured.json's, as AutoTokenizer reads them
made         tokenizers with normalisers that change lengths, and with what other steps do to places
words        of AutoTokenizer with is_split_into_words=True
"""
import json
import pathlib
import sys
import tempfile

import transformers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

transformers.logging.set_verbosity_error()
golden = pathlib.Path(__file__).parent / "tokenizer"
N, P = normalizers, pre_tokenizers


def units(text, offsets):
    """Offsets in UTF-16 units, as JavaScript counts, from those in code points."""
    places = [0]
    for character in text:
        places.append(places[-1] + len(character.encode("utf-16-le")) // 2)
    return [[places[begin], places[end]] for begin, end in offsets]


def row(encoding, *texts):
    return {
        "ids": encoding.ids,
        "offsets": [[0, 0] if which is None else units(texts[which], [span])[0] for which, span in zip(encoding.sequence_ids, encoding.offsets)],
        "wordIds": [-1 if word is None else word for word in encoding.word_ids],
    }


def rows(tokenizer, texts, special=True):
    return [row(tokenizer.encode(*each, add_special_tokens=special), *each) for each in ((text,) if isinstance(text, str) else text for text in texts)]


load = lambda name: Tokenizer.from_file(str(golden / name / "tokenizer.json"))
out = {"files": {}, "steps": {}, "configured": [], "made": [], "words": []}
for name in ("bytes", "unigram", "words"):
    tokenizer, cases = load(name), json.loads((golden / name / "golden.json").read_text())
    texts, pairs = [each["text"] for each in cases["texts"]], [each["pair"] for each in cases["pairs"]]
    long = max(range(len(texts)), key=lambda i: len(texts[i]))
    every = {"texts": rows(tokenizer, texts), "pairs": rows(tokenizer, pairs), "cut": []}
    for direction in ("right", "left"):
        for length in (5, 9):
            tokenizer.enable_truncation(length, direction=direction)
            every["cut"].append({"side": direction, "maxLength": length, "texts": [long, 4, 5, 6], "rows": rows(tokenizer, [texts[i] for i in (long, 4, 5, 6)]), "pairs": rows(tokenizer, pairs)})
    out["files"][name] = every

for case in json.loads((golden / "steps.json").read_text())["cases"]:
    out["steps"][case["name"]] = rows(Tokenizer.from_str(json.dumps(case["json"])), [each["text"] for each in case["rows"]])

configured = json.loads((golden / "configured.json").read_text())
bytes_ = json.loads((golden / "bytes" / "tokenizer.json").read_text())
for case in configured["cases"]:
    files = dict(case["files"])
    if isinstance(files["tokenizer.json"], str):
        files["tokenizer.json"] = {**bytes_, **configured["bases"][files["tokenizer.json"]]}
    with tempfile.TemporaryDirectory() as folder:
        for name, value in files.items():
            (pathlib.Path(folder) / name).write_text(json.dumps(value))
        tokenizer = AutoTokenizer.from_pretrained(folder)
    out["configured"].append([row(tokenizer(each["text"])[0], each["text"]) for each in case["rows"]])

table = next(case["json"]["normalizer"] for case in json.loads((golden / "steps.json").read_text())["cases"] if case["name"] == "a table of characters")
marks = next(case["json"]["normalizer"] for case in json.loads((golden / "steps.json").read_text())["cases"] if case["name"] == "a table of marks")


def characters(texts):
    """A model with a token for each character there may be: its places are those of the normaliser."""
    letters = sorted({letter for text in texts for letter in text})
    return models.BPE({token: id for id, token in enumerate(["<unk>", *letters])}, [], unk_token="<unk>")


awkward = [
    "ﬁ ½ ①Ａé é \u1e69 s\u0323\u0307 s\u0307\u0323 \u212b \u0344x 각 \u1112\u1161\u11ab ﷺ", "ÀÉ À\u0301E\u0327\u0301 İ ß Σς ẞ", "a\u0301\u0301\u0323b \u0323\u0301c", "日本 x\U00020000y 😀é", "  a  b  ",
    "", " ", "\u200da\u200db\u00adc\ufeff", "A\u0344B", "e\u0301 \u0958 \u2126 ﬀﬃ", "\u0301a", "ＡＢＣ ｶﾞ ﾊﾟ", "…‥ ™ ㌀ ㍿", "naïve café\nline\ttab \r\n end",
]
normalizers_ = {
    **{form: getattr(N, form)() for form in ("NFC", "NFD", "NFKC", "NFKD")},
    "lower": N.Lowercase(), "nfd, no accents, lower": N.Sequence([N.NFD(), N.StripAccents(), N.Lowercase()]), "nfkc, lower, nfc": N.Sequence([N.NFKC(), N.Lowercase(), N.NFC()]),
    "bert": N.BertNormalizer(), "bert cased": N.BertNormalizer(lowercase=False), "strip": N.Strip(), "strip left": N.Strip(left=True, right=False), "nmt": N.Nmt(), "bytes": N.ByteLevel(),
    "prepend": N.Prepend("▁▁"), "llama": N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), "shorter": N.Replace(Regex(" {2,}"), " "), "longer": N.Replace(Regex("[aé]"), "xyz"), "gone": N.Replace("b", ""),
    "sentencepiece": N.Sequence([N.Nmt(), N.NFKC(), N.Replace(Regex(" {2,}"), " ")]),
}
for name, normalizer in normalizers_.items():
    for step, pre in (("", None), (" and words", P.Metaspace()), (" and bytes", P.ByteLevel(add_prefix_space=True))):
        known = [normalizer.normalize_str(text) for text in awkward]
        tokenizer = Tokenizer(characters([*known, "▁ ", *([*P.ByteLevel.alphabet()] if pre is not None else [])]))
        tokenizer.normalizer = normalizer
        if pre is not None:
            tokenizer.pre_tokenizer = pre
        out["made"].append({"name": name + step, "json": json.loads(tokenizer.to_str()), "rows": [{"text": text, **each} for text, each in zip(awkward, rows(tokenizer, awkward))]})

table_texts = ["ABａＡ", "ﬁe\u0301 e\u0301\u0323", "a\u200db A\u200dB", "가각", "\ufeffA é", "\u200dAB", "ﬁﬁ\u200d ﬁ", "ﾊﾞﾊ", "a\u0344b", "e\u0323\u0301"]
for name, step in (("a table", table), ("a table of marks", marks)):
    tokenizer = Tokenizer(characters([*table_texts, "abcdefg12 éfigaAB▁"]))
    made = json.loads(tokenizer.to_str())
    made["normalizer"] = {"type": "Sequence", "normalizers": [step, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    out["made"].append({"name": name, "json": made, "rows": [{"text": text, **each} for text, each in zip(table_texts, rows(Tokenizer.from_str(json.dumps(made)), table_texts))]})

# Blanks at the ends of tokens.
trimmed_texts = ["a b", " a b", "  a  b  ", "é é", "a<m> b", "a  <m>  b", "", " ", "\n\na", "😀 a", "😀"]
for name, processor in {
    "trimmed": processors.ByteLevel(trim_offsets=True), "not trimmed": processors.ByteLevel(trim_offsets=False), "trimmed but for the first blank": processors.ByteLevel(trim_offsets=True, add_prefix_space=False),
    "roberta": processors.RobertaProcessing(("</s>", 1), ("<s>", 0)), "roberta not trimmed": processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=False),
    "one after the other": processors.Sequence([processors.ByteLevel(trim_offsets=True), processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B:1", special_tokens=[("<s>", 0)])]),
}.items():
    for prefix in (False, True):
        letters = ["<s>", "</s>", *sorted(P.ByteLevel.alphabet())]
        merges = [("Ġ", "Ġ"), ("Ġ", "a"), ("Ġ", "b"), ("Ã", "©"), ("Ġ", "Ã©")]
        tokenizer = Tokenizer(models.BPE({token: id for id, token in enumerate([*letters, *["".join(pair) for pair in merges]])}, merges))
        tokenizer.pre_tokenizer = P.ByteLevel(add_prefix_space=prefix)
        tokenizer.post_processor = processor
        tokenizer.add_special_tokens(["<s>", "</s>", AddedToken("<m>", lstrip=True, rstrip=True)])
        out["made"].append({"name": f"{name}{', prefixed' if prefix else ''}", "json": json.loads(tokenizer.to_str()), "rows": [{"text": text, **each} for text, each in zip(trimmed_texts, rows(tokenizer, trimmed_texts))]})

split = [["Hello", "unaffable", "world!"], [""], [], ["", "a", ""], ["日本", "é"], [" a", "b ", "c d"], ["<mask>", "x"], ["one"] * 12, ["supercalifragilistic", "e\u0301X"]]
labels = [[i % 5 for i, _ in enumerate(each)] for each in split]
configs = {"minilm": (sys.argv[1], {}), "bytes": (None, {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True}), "unigram": (None, {})}
for name, (folder, more) in configs.items():
    with tempfile.TemporaryDirectory() as own:
        if folder is None:
            (pathlib.Path(own) / "tokenizer.json").write_text((golden / name / "tokenizer.json").read_text())
            config = {**json.loads((golden / name / "tokenizer_config.json").read_text()), "tokenizer_class": "PreTrainedTokenizerFast", "padding_side": "right", **more}
            (pathlib.Path(own) / "tokenizer_config.json").write_text(json.dumps(config))
        tokenizer = AutoTokenizer.from_pretrained(folder or own)
    every = []
    for words, tags in zip(split, labels):
        for length in (None, 6):
            encoded = tokenizer(words, is_split_into_words=True, truncation=length is not None, max_length=length, return_special_tokens_mask=True, return_token_type_ids=True, return_offsets_mapping=True)
            ids = encoded.word_ids(0)
            offsets = [[0, 0] if word is None else units(words[word], [span])[0] for word, span in zip(ids, encoded["offset_mapping"])]
            # As the token classification guide of transformers does it.
            first = [-100 if word is None or (i > 0 and ids[i - 1] == word) else tags[word] for i, word in enumerate(ids)]
            same = [-100 if word is None else tags[word] for word in ids]
            every.append({"words": words, "labels": tags, "maxLength": length, "ids": encoded["input_ids"], "typeIds": encoded["token_type_ids"], "special": encoded["special_tokens_mask"],
                          "offsets": offsets, "wordIds": [-1 if word is None else word for word in ids], "first": first, "same": same})
    out["words"].append({"name": name, "config": None if folder else config, "rows": every})

dump = lambda value: json.dumps(value, separators=(",", ":"))
lines = lambda values: "[\n" + ",\n".join(map(dump, values)) + "\n]"
(golden / "offsets.json").write_text("{" + ",\n".join([
    '"files": {' + ",\n".join(f"{dump(name)}: {dump(value)}" for name, value in out["files"].items()) + "}",
    '"steps": ' + dump(out["steps"]), *[f'"{name}": {lines(out[name])}' for name in ("configured", "made", "words")],
]) + "}\n")
