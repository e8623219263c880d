"""Golden steps of tokenizer.json: which there are, what their options are called, and what some of them make of texts.

Run from the repository's root:  python test/golden/make_tokenizer_steps.py
Made with tokenizers 0.23.3. Writes tokenizer/steps.json.
"""
import base64
import inspect
import json
import pathlib
import zlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

golden = pathlib.Path(__file__).parent / "tokenizer"

# What classes without defaults are made with.
arguments = {
    "Prepend": ("x",), "Replace": ("a", "b"), "CharDelimiterSplit": ("-",), "Split": ("a", "isolated"), "BertProcessing": (("s", 1), ("c", 0)), "RobertaProcessing": (("s", 1), ("c", 0)),
    "Strip": (), "Unigram": ([("a", 0.0)], 0), "WordLevel": ({"a": 0}, "a"), ("model", "WordPiece"): ({"a": 0},),
}
step_list = {"normalizers": [normalizers.NFC()], "pre_tokenizers": [pre_tokenizers.Whitespace()], "processors": [processors.ByteLevel()], "decoders": [decoders.Fuse()]}
kinds = {"normalizer": normalizers, "pre_tokenizer": pre_tokenizers, "model": models, "post_processor": processors, "decoder": decoders}
bases = {"Normalizer", "PreTokenizer", "Model", "PostProcessor", "Decoder", "DecodeStream"}
steps = {}
for kind, module in kinds.items():
    steps[kind] = {}
    for name in dir(module):
        value = getattr(module, name)
        if not inspect.isclass(value) or name in bases:
            continue
        if name == "Precompiled":
            steps[kind][name] = ["precompiled_charsmap"]  # cannot be made without a table
            continue
        made = value(step_list[module.__name__.split(".")[1]]) if name == "Sequence" else value(*arguments.get((kind, name), arguments.get(name, ())))
        options = json.loads(made.__getstate__())
        type = options.pop("type")
        steps[kind][type] = sorted(options)
whole = Tokenizer(models.WordLevel({"a": 0}, "a"))
whole.enable_padding()
whole.enable_truncation(5)
whole.add_tokens(["x"])
options = json.loads(whole.to_str())
steps["file"] = sorted(options)
steps.update({name: sorted(options[name]) for name in ("padding", "truncation")}, added_tokens=sorted(options["added_tokens"][0]))

# SentencePiece 0.2.1's table, deflated, of the rules A to a, B to b, ﬁ to fi, e and U+0301 to é, U+200D to nothing, Ａ to a, 가 to ga
# (SentencePieceTrainer.train with normalization_rule_tsv).
table = zlib.decompress(base64.b64decode(
    "eNod0nWs11UUAPDLe7DBGP8A0jBiSHeDpII0SHe3gdII6A+UUHh0S496DMajlO5uFJSU7pAOJfz8+G6fnXPv9+xu554bEgdfolA5WQhV0kezEInlcNKYMDRJCMnlkcIxIS5FtC5EEjLFhIj9pPLlQc"
    "2QECwj82uEkEpBSj4gNWlJg2NDOjKSgcxkYvP6mJBFzEZWcpCdnHROiA25xA/JQ27ykZcC5KcQBSlCYYpRlBIUpxQlKUNpylGW8nxERSpQmUp8TBWq8gmfUg2therUoiZ1qE096vIZ9WlIAxrTiKY0"
    "oTnNaEkLWtOKtrShPe3oSIdo73SiK13oTjc+pwdf8gU9+Ypv+Jre9KIvfehPPwYygEF8i5GFwXzPdwyNDpYfGMZwfmQkI/iJUYzmZ+IYwzjGMoHxTGIiU5jMNKYyg+n8wkxmM4u5zGE+87iyNIQF4i"
    "IWsoTFxONXuGMoy8QVLGcl/xj0KjGBNaxmHWv5jV/ZwHo2sZEt0bfHNrayg+3sYid72M0+9nKA/RziIEc4zDGOcoLj/MHvnOIkf/EnZzjNOc5ygfNc5G8uc4mr0TvgOte4yQ1uc4u70TvgPveivfOA"
    "RzzkCY95xlNe8JxXvOQ//uUNr3nH2/D+AXYIXbqHru3DrvjwP5W0kS8="
))

# The same of SentencePiece 0.2.3, of rules for marks, alone and behind what they stand on: ﾊ to a, ﾊﾞ to b, ﾞ to c, U+0344 to de, U+061C to f, U+200D to g, U+0301
# to 1, U+0323 to 2, e and U+0301 to é
marks = zlib.decompress(base64.b64decode(
    "eNoV0wXMF2UcB/Aff2LoxhibI0RiggOV1gnSiAgIgnSKirygSEiHoO8ryAhB2qC7S9IY0iAloaACCijSoRjk4HO3fe57d3vueW7P73eRJSLGZoq0ypljb6Qio0BEroj0jByRHOkphmaNeFBOlR6nj37AqU"
    "wqcoqNE1ORJckuqcgmszM9X8RDXs5DbtxGXvLzMJaIRyhEQUZujigsi/Aoj1GUYszJiHhcFudJnqAkJShNKcpShqcox/RpEU/L8jzDs1SgEhWpQmWqUZUaVKcmz1GL56nNC9SlDvV4kZeoT0Ma0IiXaUJj"
    "mtGUFjSnFS1pQ2teoS2v0o7XeY03aE8aHehER97iTd6mM13pQne60YN36EVP+tCbfvRlAP15l4EMZhDv8x4ZSaEZwgd8yFBO2+RhcgTDGcXVcxGj5Ud8zBjGJS3EBMYziYl8wmQ+41Om8DnKE1OZkdSKWc"
    "xMas1s5jGXBcxn78qIfSZc4noxy1jKCpazCkNiNV+wljWsZx1fsoGv+YqfFkZ8I79lI9ovNrGVLWxnGzvZwXfsYg+72Zd8E9+zn4Mc4DCH+JEfOMoRfk7W5Bi/cILj/MavnOIkvyd7zhn+4Cx/ch7bHhe5"
    "wGUuJbXgCn9xjev8zb/8w//8x01ucJtb3OUO95I5qmfy/5TTg+31X4c0Ddcpti6K+6HWmGM="
))
N, P = normalizers, pre_tokenizers
letters = [*"abcdefgmy½Â", "Ġ", "Ċ", "▁", "#", "-", "é", "@", "##", "a-", "-b", "ab", "Â½", "1", "2", "ć", "ı", "<unk>"]


def words(normalizer=None, pre_tokenizer=None, added=(), model=None, decoder=None):
    tokenizer = Tokenizer(model or models.WordPiece({token: id for id, token in enumerate(dict.fromkeys([*letters, *["##" + letter for letter in letters]]))}, unk_token="<unk>", max_input_chars_per_word=1000))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    if decoder is not None:
        tokenizer.decoder = decoder
    tokenizer.add_tokens(list(added))
    return tokenizer


byte_pieces = [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
unigram = lambda bytes_too: models.Unigram([("<unk>", 0.0), ("▁", -1.0), ("a", -2.0), ("b", -2.5), ("aa", -3.5), ("▁a", -2.2), *byte_pieces], 0, bytes_too)
bpe = lambda **more: models.BPE({token: id for id, token in enumerate(["<unk>", "a", "b", "##a", "##b", "ab", "a</w>", "b</w>", "##a</w>", "##b</w>", *[piece for piece, _ in byte_pieces]])}, [], **more)
everywhere = "ab-cd--e 1½２ ##a\ufeffb\u200d\u0085é"
tokenizers = {
    "byte_fallback": (words(None, P.Metaspace(), model=unigram(True)), ["aé", "é", "日本 a", "aéb é"]),
    "unknown together": (words(None, P.Metaspace(), model=unigram(False)), ["aéééb é", "日本"]),
    "a prefix at the text's beginning alone": (words(N.Lowercase(), P.Metaspace(prepend_scheme="first"), [AddedToken("abcd", normalized=True)]), ["abcdgym", "gymabcd gym", " a", "ABCDgym"]),
    "first after strip": (words(N.Strip(), P.Metaspace(prepend_scheme="first")), [" a", "a"]),
    "digits": (words(None, P.Sequence([P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=False)])), ["a ½", "12", "２"]),
    "digits together": (words(None, P.Digits()), ["a½12b"]),
    **{f"punctuation {behavior}": (words(None, P.Punctuation(behavior)), ["##", "a-b--c#", everywhere]) for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")},
    **{f"split {behavior} {'all but ' if invert else ''}{kind}": (words(None, P.Split(pattern, behavior, invert)), ["a-b", "--a--b", everywhere])
       for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous") for invert in (False, True)
       for kind, pattern in (("a text", "-"), ("an expression", Regex(r"[-#]+")))},
    "without regard to case": (words(None, P.Split(Regex("(?i:'s|k)"), "isolated")), ["a'ſb'Sc'sd", "\u212aaK"]),
    "white space": (words(None, P.Whitespace()), [everywhere, "a\u0085b\u00a0c\ufeffd"]),
    "white space alone": (words(None, P.WhitespaceSplit()), [everywhere, "a\u0085b\u00a0c\ufeffd"]),
    "fixed length": (words(None, P.FixedLength(length=2)), ["abcde", "a😀b"]),
    "delimiter": (words(None, P.CharDelimiterSplit("-")), ["a-b--c"]),
    "prefix and suffix": (words(model=bpe(unk_token="<unk>", continuing_subword_prefix="##", end_of_word_suffix="</w>")), ["a", "ab", "aba", "aéb"]),
    "unknown and bytes": (words(model=bpe(unk_token="<unk>", byte_fallback=True, fuse_unk=True)), ["aéb"]),
    "unknown twice": (words(model=bpe(unk_token="<unk>")), ["aéüb"]),
    "unknown fused": (words(model=bpe(unk_token="<unk>", fuse_unk=True)), ["aéüb"]),
    "a prefix of nothing": (words(N.Prepend("▁")), ["", "a"]),
    "replaced by a text that looks like a reference": (words(N.Replace("a", "$&b")), ["aa"]),
    "a table of characters": (words(N.Precompiled(table)), ["ABａＡ", "ﬁe\u0301 e\u0301\u0323", "a\u200db A\u200dB", "가각", "\ufeffA é"]),
    "a table of marks": (words(N.Precompiled(marks)), [
        "ﾊﾞﾊ", "ﾞ", "a\u200dmy", "a\u0344", "\u0344b", "e\u0301\u0323", "e\u0323\u0301", "a\u0301\u0301", "a\u061cb", "\u061c\u0301", "ﾊ\u0301ﾞ"]),
    "nmt": (words(N.Nmt()), [everywhere, "a\x01b\x0bc\u2581d\u200be"]),
    "bytes as a normalizer": (words(N.ByteLevel()), ["é a\n"]),
    "accents": (words(N.Sequence([N.NFD(), N.StripAccents()])), ["é a\u0903b"]),
    "ends": (words(N.Strip()), ["\u0085 a\ufeff \u00a0", "\ufeffa"]),
    "words alone": (words(N.Lowercase(), P.Whitespace(), [AddedToken("ab", single_word=True), AddedToken("cd", lstrip=True, rstrip=True)]), ["ab aba éab ab😀 a_ab", "a \u0085cd\ufeff b"]),
    "decoded": (words(decoder=decoders.WordPiece(cleanup=True)), ["ab", "a"]),
}
cases = []
for name, (tokenizer, texts) in tokenizers.items():
    rows = [{"text": text, "ids": ids, "decoded": tokenizer.decode(ids)} for text in texts for ids in [tokenizer.encode(text).ids]]
    cases.append({"name": name, "json": json.loads(tokenizer.to_str()), "rows": rows})
dump = lambda value: json.dumps(value, separators=(",", ":"))
(golden / "steps.json").write_text('{"steps": ' + dump(steps) + ',\n"cases": [\n' + ",\n".join(map(dump, cases)) + "\n]}\n")
