"""Golden token ids: what Python's tokenizers makes of awkward texts.

Run from the repository's root:  python test/golden/make_tokenizer.py FOLDER
where FOLDER holds the files of sentence-transformers/all-MiniLM-L6-v2 (they are not kept here).
Made with tokenizers 0.23.3, transformers 5.24.0.

minilm.json         WordPiece of MiniLM: ids, type ids, special tokens, offsets, truncation of pairs, decoding
bytes/, unigram/, words/   tiny tokenizers of other kinds, trained here, with what they make of the same texts
"""
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

golden = pathlib.Path(__file__).parent / "tokenizer"
golden.mkdir(exist_ok=True)

texts = [
    "", " ", "\n\t ", "a", "Hello, world!", "unaffable embeddings", "don't can't I'd they'll",
    "  leading and   inner and trailing  ", "CAFÉ café cafe\u0301 naïve Ünïcödé İstanbul ΣΊΣΥΦΟΣ ΑΣ. straße",
    "日本語のテキスト mixed 漢字kanji 中文", "astral ideographs \U00020000\U00020001x\U0002A700", "한국어 텍스트", "עברית ‏ العربية",
    "emoji 😀👍🏽👨‍👩‍👧 flags 🇩🇪 ❤️ done", "zero\u200bwidth\u00adsoft\ufeffbom nbsp\u00a0here line\u2028sep",
    "control \x00\x01\x1f\x7f\x85 chars \ufffd", "a.b,c;d:e!f?g(h)i[j]k{l}m<n>o@p#q$r%s^t&u*v_w+x=y~z`|\\/\"'-",
    "prices: $1,234.56 €99 £5 ¥100 50% ½ ²", "snake_case CamelCase kebab-case http://example.com/a?b=c&d=e user@example.com",
    "[CLS] literal [SEP] special [MASK] tokens [UNK] and [PAD] [mask] [Mask]", "x" * 99 + " " + "y" * 100 + " " + "z" * 101,
    "supercalifragilisticexpialidocious antidisestablishmentarianism", "line one\r\nline two\rline three\n\n\nline five",
    "\U0001F9FF\u0301 combining after space \u0301x e\u0301\u0323", "<s> </s> <pad> <mask> <unk>",
]
mail = """From: "Jane Q. Public" <jane@example.org>
Subject: RE: [list] FREE!!! Make $$$ fast -- act NOW
Dear friend,

You have been selected :-) to receive 1,000,000 (one million) dollars; click http://win.example.com/?id=42&x=%20
=09=20Soft=line=3D breaks,   tabs\t and   runs of    blanks.
"""
texts += [mail, " ".join(mail * 6), (mail + "ünïcode ✓ 日本 ") * 12]
generator = random.Random(0)
alphabet = [*"aeiou nrst.,-", "é", "ß", "日", "ह", "ि", "ы", "😀", "\u0301", "\n", " ", "X", "7"]
texts += ["".join(generator.choices(alphabet, k=generator.randrange(5, 120))) for _ in range(40)]
pairs = [("short", "a somewhat longer second text, with more words in it"), ("a somewhat longer first text, with more words in it", "short"),
         ("one two three four five six seven", "one two three four five six seven"), ("", "only second"), ("only first", ""), ("", ""),
         (mail, mail), ("Question?", mail), (mail, "Question?")]


def utf16(text, offsets):
    """Offsets in UTF-16 units, as JavaScript counts, from those in code points."""
    places = [0]
    for character in text:
        places.append(places[-1] + len(character.encode("utf-16-le")) // 2)
    return [[places[begin], places[end]] for begin, end in offsets]


def row(encoding, *text, offsets=True):
    out = {"ids": encoding.ids, "typeIds": encoding.type_ids, "special": encoding.special_tokens_mask}
    if offsets:
        out["offsets"] = [[0, 0] if which is None else utf16(text[which], [span])[0] for which, span in zip(encoding.sequence_ids, encoding.offsets)]
    return out


def try_encode(tokenizer, pair, length, strategy):
    tokenizer.enable_truncation(length, strategy=strategy)
    try:
        return tokenizer.encode(*pair).ids
    except BaseException:  # a Rust panic or an exception: the first text alone cannot make the room
        return None


def write(path, value):
    # One case a line, ASCII alone.
    lines = [f"{json.dumps(key)}: [\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]" for key, cases in value.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def cases(tokenizer, offsets, texts=texts):
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return {
        "texts": [{"text": text, **row(tokenizer.encode(text), text, offsets=offsets)} for text in texts],
        "pairs": [{"pair": pair, **row(tokenizer.encode(*pair), *pair, offsets=offsets)} for pair in pairs],
        "decoded": [{"ids": ids, "text": tokenizer.decode(ids), "withSpecial": tokenizer.decode(ids, skip_special_tokens=False)}
                    for ids in (tokenizer.encode(text).ids for text in texts[:24])],
    }


def truncated(tokenizer):
    """Texts and pairs by their places in the lists above."""
    return {
        "truncatedTexts": [{"text": text, "maxLength": length, "ids": try_encode(tokenizer, (texts[text],), length, "longest_first")}
                           for text in (4, 8, 25, 26, 27) for length in (2, 3, 16, 128)],
        "truncatedPairs": [{"pair": pair, "maxLength": length, "truncation": strategy, "ids": try_encode(tokenizer, pairs[pair], length, strategy)}
                           for pair in range(len(pairs)) for strategy in ("longest_first", "only_first") for length in (3, 4, 5, 8, 9, 10, 11, 12, 13, 15, 18, 40, 41)],
    }


minilm = Tokenizer.from_file(str(pathlib.Path(sys.argv[1]) / "tokenizer.json"))
write(golden / "minilm.json", {**cases(minilm, offsets=True), **truncated(minilm)})
auto = AutoTokenizer.from_pretrained(sys.argv[1])
minilm.no_truncation()
for text in texts:
    assert auto(text)["input_ids"] == minilm.encode(text).ids, text  # transformers says the same

# GPT-2 and RoBERTa: bytes, BPE.
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
special = ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)]
tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
tiny = {"bytes": (tokenizer, {"pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>", "padding_side": "left"})}

# T5 and XLM-R: Unigram over blanks as U+2581.
tokenizer = Tokenizer(models.Unigram())
tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" ", " ")])
tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
tokenizer.decoder = decoders.Metaspace()
tokenizer.train_from_iterator(texts, trainers.UnigramTrainer(vocab_size=300, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>"))
tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
tiny["unigram"] = (tokenizer, {"pad_token": {"content": "<pad>", "__type": "AddedToken"}, "eos_token": "</s>", "unk_token": "<unk>"})

# Whole words, and some that only occur as such.
tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
tokenizer.normalizer = normalizers.Lowercase()
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.train_from_iterator(texts, trainers.WordLevelTrainer(vocab_size=120, special_tokens=["[UNK]", "[PAD]"]))
tokenizer.add_tokens([AddedToken("line", single_word=True), AddedToken("two", lstrip=True, rstrip=True)])
tiny["words"] = (tokenizer, {"pad_token": "[PAD]"})

for name, (tokenizer, config) in tiny.items():
    folder = golden / name
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    # A run of one letter has many segmentations of equal probability, among which implementations choose differently.
    write(folder / "golden.json", cases(tokenizer, offsets=False, texts=[text for text in texts if name != "unigram" or "xxx" not in text]))
