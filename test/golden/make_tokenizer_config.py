"""Golden token ids of tokenizer.json beside tokenizer_config.json, as AutoTokenizer reads the two.

Run from the repository's root:  python test/golden/make_tokenizer_config.py
Made with tokenizers 0.23.3, transformers 5.24.0. Writes tokenizer/configured.json.
"""
import copy
import json
import pathlib
import tempfile

import transformers
from transformers import AutoTokenizer

transformers.logging.set_verbosity_error()
golden = pathlib.Path(__file__).parent / "tokenizer"


def special(contents):
    return [{"id": id, "content": content, "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False} for id, content in enumerate(contents)]


def template(single, pair, ids):
    items = lambda text: [{"Sequence": {"id": part[1:], "type_id": 0}} if part[0] == "$" else {"SpecialToken": {"id": part, "type_id": 0}} for part in text.split()]
    return {"type": "TemplateProcessing", "single": items(single), "pair": items(pair), "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]} for token, id in ids.items()}}


pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Abc", "abc", "é", "e", "日", "本", "日本", "a", "##b", "##c", "'", "s", "<", "pad", ">", "##é", "É"]
bert = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": special(pieces[:5]),
    "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": False},
    "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", {"[CLS]": 2, "[SEP]": 3}),
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {token: id for id, token in enumerate(pieces)}},
}
llama = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": special(["<unk>", "<s>", "</s>"]),
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    "pre_tokenizer": None, "post_processor": template("<s> $A", "<s> $A <s> $B", {"<s>": 1}), "decoder": None,
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "dropout": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
              "ignore_merges": False, "vocab": {token: id for id, token in enumerate(["<unk>", "<s>", "</s>", "▁", "a", "b", "▁a"])}, "merges": [["▁", "a"]]},
}
bytes_ = json.loads((golden / "bytes" / "tokenizer.json").read_text())
digits = {**bytes_, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, bytes_["pre_tokenizer"]]}}
prefixed = {**bytes_, "pre_tokenizer": {**bytes_["pre_tokenizer"], "add_prefix_space": True}}
sides = {**bert, "padding": {"strategy": {"Fixed": 6}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}}
unlike = copy.deepcopy(bert)
unlike["post_processor"] = None
unlike["model"]["continuing_subword_prefix"] = "__"
added = copy.deepcopy(bert)
added["added_tokens"].append({"id": 22, "content": "<X>", "special": False, "single_word": False, "lstrip": True, "rstrip": False, "normalized": True})
fast = {"tokenizer_class": "PreTrainedTokenizerFast"}
pad = {"content": "<pad>", "special": True, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False}
mask = {"content": "<m>", "__type": "AddedToken", "lstrip": True, "rstrip": False, "normalized": True, "single_word": False, "special": False}
B, texts = "BertTokenizer", ["Abc É e 日本 é 's <pad> a <X>a <m> a<pad>a"]
R = ["hello <mask> a<s>b", "a b", "a ½ 123", " x"]
L = ["a b", " a", "a<s>a c", "<s> a"]

# base, tokenizer_config.json, config.json, texts, further files
cases = [
    *[(bert, {"tokenizer_class": name, **more}, None, texts, {}) for name, more in [
        (B, {}), ("BertTokenizerFast", {"do_lower_case": False}), (B, {"do_lower_case": True, "strip_accents": False}), (B, {"do_lower_case": False, "strip_accents": True}),
        (B, {"tokenize_chinese_chars": False}), ("DistilBertTokenizer", {}), ("ElectraTokenizer", {}), (B, {"pad_token": "<pad>", "added_tokens_decoder": {"22": pad}}),
        (B, {"cls_token": "abc"}), (B, {"unk_token": "e"}), (B, {"clean_up_tokenization_spaces": True}),
    ]],
    *[(bert, {**fast, **more}, None, texts, {}) for more in [
        {}, {"do_lower_case": True}, {"pad_token": "<pad>", "added_tokens_decoder": {"22": pad}}, {"pad_token": "<pad>", "added_tokens_decoder": {"30": pad}}, {"pad_token": "<pad>"},
        {"extra_special_tokens": ["<pad>"]}, {"additional_special_tokens": ["<pad>", "é"]}, {"pad_token": "pad"}, {"add_bos_token": True, "bos_token": "abc"},
        {"clean_up_tokenization_spaces": True}, {"mask_token": mask}, {"mask_token": "<m>"}, {"add_prefix_space": True},
    ]],
    (bert, {"do_lower_case": True}, {"model_type": "bert"}, texts, {}), (bert, {}, {"model_type": "bert"}, texts, {}), (bert, None, {"model_type": "bert"}, texts, {}),
    (bert, {"do_lower_case": True}, None, texts, {}), (bert, {**fast, "do_lower_case": True}, {"model_type": "bert"}, texts, {}),
    (bert, fast, None, texts, {"special_tokens_map.json": {"pad_token": "<pad>"}}), (bert, fast, None, texts, {"added_tokens.json": {"<pad>": 22}}),
    (sides, fast, None, texts, {}), (sides, {**fast, "padding_side": "right"}, None, texts, {}), (unlike, {"tokenizer_class": B}, None, texts, {}),
    (added, {"tokenizer_class": B}, None, texts, {}), (added, {"tokenizer_class": B, "additional_special_tokens": ["a"]}, None, texts, {}), (added, {**fast, "additional_special_tokens": ["É", "<X>"]}, None, texts, {}),
    *[(base, {"tokenizer_class": name, **more}, None, R, {}) for base in ("bytes", "digits", "prefixed") for name, more in [
        ("RobertaTokenizer", {}), ("RobertaTokenizer", {"add_prefix_space": True}), ("GPT2Tokenizer", {}), ("GPT2TokenizerFast", {"add_prefix_space": True}),
        ("Qwen2Tokenizer", {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": None}), ("LlamaTokenizer", {}), ("PreTrainedTokenizerFast", {"add_prefix_space": True, "mask_token": "<mask>"}),
    ]],
    ("prefixed", {}, {"model_type": "gpt2"}, R, {}), ("prefixed", {}, {"model_type": "roberta"}, R, {}),
    *[(llama, config, {"model_type": "llama"}, L, {}) for config in [
        {"tokenizer_class": "LlamaTokenizer"}, {"tokenizer_class": "LlamaTokenizer", "legacy": True}, {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False},
        {"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": False, "add_eos_token": True}, fast, {},
    ]],
]
named = {"bytes": bytes_, "digits": digits, "prefixed": prefixed}
out = []
for base, config, model, texts, more in cases:
    files = {"tokenizer.json": named.get(base, base) if isinstance(base, str) else base, **more}
    if config is not None:
        files["tokenizer_config.json"] = config
    if model is not None:
        files["config.json"] = model
    with tempfile.TemporaryDirectory() as folder:
        for name, value in files.items():
            (pathlib.Path(folder) / name).write_text(json.dumps(value))
        tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in texts:
        ids = tokenizer(text)["input_ids"]
        rows.append({"text": text, "ids": ids, "decoded": tokenizer.decode(ids), "plain": tokenizer.decode(ids, skip_special_tokens=True)})
    files["tokenizer.json"] = base
    out.append({"files": files, "rows": rows, "padId": tokenizer.pad_token_id, "paddingSide": tokenizer.padding_side})
bases = {name: {key: value for key, value in base.items() if key == "pre_tokenizer"} for name, base in named.items()}
lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in out)
(golden / "configured.json").write_text('{"bases": ' + json.dumps(bases) + ',\n"cases": [\n' + lines + "\n]}\n")
