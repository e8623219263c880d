"""Tokenizers of each kind, and random ones, and what Python's tokenizers makes of real lines with them, for test/peers/tokenizers.peer.ts.

    python bench/peers/tokenizers_random.py --cache FOLDER --seed 1 --count 100 --out FILE FIXED/tokenizer.json ...

The lines are Django's translations (BSD), the clean-up table SentencePiece's nmt_nfkc; both come from the package index,
into FOLDER, the first time.
"""
import argparse
import ast
import base64
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import time
import zipfile

os.environ["RUST_BACKTRACE"] = "0"
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

parser = argparse.ArgumentParser()
parser.add_argument("--cache", type=pathlib.Path, required=True)
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--count", type=int, required=True)
parser.add_argument("--out", type=pathlib.Path, required=True)
parser.add_argument("fixed", nargs="*")
args = parser.parse_args()
args.cache.mkdir(parents=True, exist_ok=True)
chance = random.Random(args.seed)

LOCALES = ["ar", "he", "hi", "ja", "ko", "zh_Hans", "ru", "el", "th", "ka", "hy", "ta", "bn", "my", "km", "vi", "tr", "de", "fr"]


def package(name, version):
    """The package's wheel."""
    found = list(args.cache.glob(f"{name}-{version}-*.whl"))
    if not found:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check", "--only-binary=:all:"]
        subprocess.run([*pip, "-d", str(args.cache), f"{name}=={version}"], check=True, stdout=sys.stderr)
        found = list(args.cache.glob(f"{name}-{version}-*.whl"))
    return found[0]


def real_lines():
    wheel = zipfile.ZipFile(package("django", "5.2.8"))
    lines = []
    for locale in LOCALES:
        for name in sorted(wheel.namelist()):
            if not re.search(rf"/locale/{locale}/LC_MESSAGES/django\.po$", name):
                continue
            text = wheel.read(name).decode()
            for block in re.findall(r'^msgstr(?:\[\d\])? ((?:".*"\n)+)', text, re.M)[1:]:
                line = "".join(ast.literal_eval(part) for part in block.splitlines())
                if line:
                    lines.append(line)
    return sorted(set(lines))


def charsmap():
    """nmt_nfkc's table, out of a model that SentencePiece trains on one line."""
    target = args.cache / "sentencepiece"
    if not target.exists():
        with zipfile.ZipFile(package("sentencepiece", "0.2.1")) as wheel:
            wheel.extractall(target)
    sys.path.insert(0, str(target))
    import io
    import sentencepiece
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(["a b c d e f g h"]), model_writer=model, vocab_size=13, hard_vocab_limit=False,
                                             normalization_rule_name="nmt_nfkc", minloglevel=2)
    data = model.getvalue()

    def fields(data):
        at = 0

        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        while at < len(data):
            key = varint()
            if key & 7 == 2:
                size = varint()
                yield key >> 3, data[at:at + size]
                at += size
            elif key & 7 == 0:
                yield key >> 3, varint()
            else:
                size = 4 if key & 7 == 5 else 8
                yield key >> 3, data[at:at + size]
                at += size
    spec = next(value for number, value in fields(data) if number == 3)  # ModelProto.normalizer_spec
    return next(value for number, value in fields(spec) if number == 2)  # precompiled_charsmap


everything = real_lines()
chance.shuffle(everything)
lines = everything[:10_000]
odd = ["", " ", "\n\t ", "a ½ １２ ① ²", "##", "a-b--c", "\ufeffa b", "a\u200db ﾊﾞ \u0344 \u061c ạ̈̄", "ΣΑΣ ΑΣ. İstanbul", "x" * 300, "don't I'LL 'ſ", "a<x>b <x> <y>zz<y>",
       "abcd abcdgym gymabcd ABCD", "日本語のテキスト 漢字kanji", "emoji 😀👍🏽👨‍👩‍👧 🇩🇪", "zero\u200bwidth\u00adsoft nbsp\u00a0line\u2028sep\u0085", "1,234.56 and 1st", "a\r\n\r\nb  c   d", "▁a ▁▁b", "e\u0301\u0323 \u0301x", "\x00\x01\x7f\u0085"]
table = charsmap()
PATTERNS = [r"\d+", r"\s+", r"[aeiou]", r"\p{L}+", r"[^\s\w]", r" ", r"'s|'t", r" ?\p{L}+| ?\p{N}+|\s+",
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            r"\w+", r"\W++", r"(?>\p{L}+)", r"[[:punct:]]", r"[^[:alnum:]]", r"[\p{L}&&[^a-z]]+", r"(?i:[a-m]+|é)", r"\b\w", r"\p{Han}|\p{Hangul}+", r"^.|.$"]
STRINGS = ["a", " ", "-", "the", "##", "、"]
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
flag = lambda: chance.random() < 0.5
pattern = lambda: Regex(chance.choice(PATTERNS)) if flag() else chance.choice(STRINGS)
NORMALIZERS = [
    lambda: normalizers.BertNormalizer(clean_text=flag(), handle_chinese_chars=flag(), strip_accents=chance.choice([None, True, False]), lowercase=flag()),
    normalizers.NFC, normalizers.NFD, normalizers.NFKC, normalizers.NFKD, normalizers.Nmt, normalizers.Lowercase, normalizers.StripAccents, normalizers.ByteLevel,
    lambda: normalizers.Strip(left=flag(), right=flag()), lambda: normalizers.Prepend("▁"), lambda: normalizers.Precompiled(table),
    lambda: normalizers.Replace(pattern(), chance.choice(["", "▁", "$&", "x"])),
]
PRE_TOKENIZERS = [
    pre_tokenizers.BertPreTokenizer, pre_tokenizers.Whitespace, pre_tokenizers.WhitespaceSplit, pre_tokenizers.UnicodeScripts,
    lambda: pre_tokenizers.ByteLevel(add_prefix_space=flag(), use_regex=flag()), lambda: pre_tokenizers.CharDelimiterSplit(chance.choice("a- ")),
    lambda: pre_tokenizers.Digits(individual_digits=flag()), lambda: pre_tokenizers.FixedLength(length=chance.choice([1, 3, 7])),
    lambda: pre_tokenizers.Metaspace(prepend_scheme=chance.choice(["always", "first", "never"]), split=flag()),
    lambda: pre_tokenizers.Punctuation(chance.choice(BEHAVIORS)), lambda: pre_tokenizers.Split(pattern(), chance.choice(BEHAVIORS), invert=flag()),
]
DECODERS = [
    decoders.ByteLevel, decoders.ByteFallback, decoders.Fuse, decoders.BPEDecoder, decoders.CTC, lambda: decoders.WordPiece(cleanup=flag()),
    lambda: decoders.Metaspace(prepend_scheme=chance.choice(["always", "first", "never"])), lambda: decoders.Strip(chance.choice(" ▁a"), chance.choice([0, 1, 2]), chance.choice([0, 1])),
    lambda: decoders.Replace(pattern(), chance.choice(["", " "])),
]


def some(kind, makers, most=3):
    made = [chance.choice(makers)() for _ in range(chance.randrange(most + 1))]
    return None if not made else made[0] if len(made) == 1 else kind(made)


def make():
    kind = chance.choice(["BPE", "BPE", "Unigram", "WordPiece", "WordLevel"])
    bytes_too = [f"<0x{byte:02X}>" for byte in range(256)] if flag() else []
    special = ["<unk>", "<pad>", "<s>", "</s>", *bytes_too]
    if kind == "BPE":
        prefix = chance.choice([None, None, "##"])
        tokenizer = Tokenizer(models.BPE(unk_token=chance.choice([None, "<unk>"]), fuse_unk=flag(), byte_fallback=bool(bytes_too), ignore_merges=flag(),
                                         continuing_subword_prefix=prefix, end_of_word_suffix=chance.choice([None, None, "</w>"])))
        trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=special, show_progress=False, continuing_subword_prefix=prefix, limit_alphabet=200,
                                      end_of_word_suffix=tokenizer.model.end_of_word_suffix)
    elif kind == "Unigram":
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(vocab_size=900, special_tokens=special, unk_token="<unk>", show_progress=False)
    elif kind == "WordPiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>", max_input_chars_per_word=chance.choice([10, 100])))
        trainer = trainers.WordPieceTrainer(vocab_size=900, special_tokens=special, show_progress=False, limit_alphabet=200)
    else:
        tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
        trainer = trainers.WordLevelTrainer(vocab_size=900, special_tokens=special, show_progress=False)
    normalizer, pre_tokenizer, decoder = some(normalizers.Sequence, NORMALIZERS), some(pre_tokenizers.Sequence, PRE_TOKENIZERS), some(decoders.Sequence, DECODERS)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    if decoder is not None:
        tokenizer.decoder = decoder
    tokenizer.train_from_iterator(chance.sample(lines, 300), trainer)
    if kind == "Unigram" and bytes_too:  # no option of the trainer
        tokenizer = Tokenizer.from_str(json.dumps({**json.loads(tokenizer.to_str()), "model": {**json.loads(tokenizer.to_str())["model"], "byte_fallback": True}}))
    token = lambda content: AddedToken(content, single_word=flag(), lstrip=flag(), rstrip=flag(), normalized=flag(), special=flag())
    tokenizer.add_tokens([token(content) for content in chance.sample(["<x>", "<y>", "abcd", "the", "ab", "ة", "日本"], chance.randrange(4))])
    tokenizer.post_processor = chance.choice([
        processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 2), ("</s>", 3)]),
        processors.BertProcessing(("</s>", 3), ("<s>", 2)), processors.RobertaProcessing(("</s>", 3), ("<s>", 2)),
    ])
    return Tokenizer.from_str(tokenizer.to_str())  # as a file has it: the flags of added tokens mean more there


def rows(tokenizer, texts):
    """Ids of the texts and what they are decoded to; None where Python itself fails."""
    out = []
    for text in texts:
        try:
            ids = tokenizer.encode(text).ids
            out.append({"text": text, "ids": ids, "decoded": tokenizer.decode(ids)})
        except BaseException as error:  # also a panic of Rust's
            if isinstance(error, KeyboardInterrupt):
                raise
            out.append({"text": text, "ids": None})
    return out


def kinds():
    """A tokenizer of each kind of model, with the steps that people use it with."""
    def trained(model, trainer, **steps):
        tokenizer = Tokenizer(model)
        for name, step in steps.items():
            setattr(tokenizer, name, step)
        tokenizer.train_from_iterator(lines[:3000], trainer)
        return tokenizer
    special = ["<unk>", "<s>", "</s>"]
    fallback = [*special, *(f"<0x{byte:02X}>" for byte in range(256))]
    spaces = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    yield "BPE of bytes", trained(models.BPE(), trainers.BpeTrainer(vocab_size=8000, special_tokens=special, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()),
                                  pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False), decoder=decoders.ByteLevel())
    yield "BPE with byte fallback", trained(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True), trainers.BpeTrainer(vocab_size=8000, special_tokens=fallback, show_progress=False, limit_alphabet=800),
                                            normalizer=spaces, pre_tokenizer=pre_tokenizers.Split("▁", "merged_with_next"),
                                            decoder=decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]))
    yield "Unigram", trained(models.Unigram(), trainers.UnigramTrainer(vocab_size=8000, special_tokens=special, unk_token="<unk>", show_progress=False),
                             normalizer=normalizers.Precompiled(table), pre_tokenizer=pre_tokenizers.Metaspace(), decoder=decoders.Metaspace())
    yield "WordPiece", trained(models.WordPiece(unk_token="<unk>"), trainers.WordPieceTrainer(vocab_size=8000, special_tokens=special, show_progress=False, limit_alphabet=800),
                               normalizer=normalizers.BertNormalizer(), pre_tokenizer=pre_tokenizers.BertPreTokenizer(), decoder=decoders.WordPiece())
    yield "WordLevel", trained(models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(vocab_size=8000, special_tokens=special, show_progress=False),
                               pre_tokenizer=pre_tokenizers.Whitespace())


def seconds(tokenizer, text):
    """Of the processor, for one text; the best of three."""
    found = []
    for _ in range(3):
        begin = time.process_time()
        tokenizer.encode(text)
        found.append(time.process_time() - begin)
    return min(found)


megabyte = (" ".join(lines) * 9).encode()[:1_000_000].decode(errors="ignore")
cases = []
for kind, tokenizer in kinds():
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    cases.append({"kind": kind, "json": json.loads(tokenizer.to_str()), "rows": rows(tokenizer, odd + lines), "seconds": seconds(tokenizer, megabyte)})
for path in args.fixed:
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    cases.append({"json": json.loads(pathlib.Path(path).read_text()), "rows": rows(tokenizer, odd + lines)})
failed = 0
while len(cases) < 5 + len(args.fixed) + args.count:
    try:
        tokenizer = make()
        cases.append({"json": json.loads(tokenizer.to_str()), "rows": rows(tokenizer, odd + chance.sample(lines, 100))})
    except BaseException as error:  # a combination that cannot be trained
        if isinstance(error, KeyboardInterrupt):
            raise
        failed += 1
print(f"{len(everything)} lines; {failed} combinations could not be trained", file=sys.stderr)
args.out.write_text(json.dumps({"lines": len(lines), "megabyte": megabyte, "cases": cases}))
