"""Golden entities and answers: what transformers' pipelines make of texts with tiny random models.

Run from the repository's root, with two environments (see README.md):
    python test/golden/make_answers.py entities       transformers 5.24.0: pipeline("token-classification")
    $OLDER test/golden/make_answers.py questions      transformers 4.57.6: pipeline("question-answering"), which 5 does not have
Writes answers/pieces/ and answers/marks/ (tokenizers: WordPiece, Unigram), answers/tagger/, answers/reader/ (BERT) and entities.json, questions.json in these.
The tokenizer of tokenizer/bytes is read too.
"""
import json
import pathlib
import sys
import tempfile

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForQuestionAnswering, BertForTokenClassification, PreTrainedTokenizerFast, pipeline

transformers.logging.set_verbosity_error()
golden = pathlib.Path(__file__).parent
answers = golden / "answers"
texts = [
    "Ada Lovelace lived in London, and worked with Charles Babbage.", "Émile Zola  met Paul Cézanne in Aix-en-Provence 😀!", "IBM, Apple and Microsoft don't agree.", "", "Zürich",
    "The minutes of the meeting of the 3rd of May were read by Mrs. O'Neill in the town hall of St. Andrews; nobody objected.",
]
questions = [
    ("Who lived in London?", texts[0]), ("Where did they meet?", texts[1]), ("Who does not agree?", texts[2]),
    ("Who read the minutes?", " ".join([texts[5], texts[0], texts[5], texts[2]])), ("And who?", " ".join(texts * 3)),
]


def marks():
    """Unigram without the mark of a blank alone, which the pipeline takes for a word."""
    words = sorted({"▁" + word for text in texts for word in text.split()})
    parts = sorted({part for word in words for part in (word[:3], word[:4], *word[2:], word[3:], word[4:]) if part not in ("", "▁")})
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), *[(part, -2.0 - 1 / (1 + len(part)) - i / 1000) for i, part in enumerate(parts)]], 0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    (answers / "marks").mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(answers / "marks" / "tokenizer.json"), pretty=False)
    (answers / "marks" / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<unk>", "unk_token": "<unk>", "tokenizer_class": "PreTrainedTokenizerFast"}))


def pieces():
    normalizer, split = normalizers.BertNormalizer(lowercase=False), pre_tokenizers.BertPreTokenizer()
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(normalizer.normalize_str(text))})
    parts = sorted({part for word in words for part in (word[:1], word[:3], *("##" + rest for rest in (word[3:5], *word[1:]) if rest != ""))})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece({token: id for id, token in enumerate([*special, *parts])}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(special)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, split
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    (answers / "pieces").mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(answers / "pieces" / "tokenizer.json"), pretty=False)
    (answers / "pieces" / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]", "tokenizer_class": "PreTrainedTokenizerFast"}))


def tokenizer_of(folder):
    # padding_side left would put the context before the question.
    config = {**json.loads((folder / "tokenizer_config.json").read_text()), "padding_side": "right", "tokenizer_class": "PreTrainedTokenizerFast"}
    with tempfile.TemporaryDirectory() as own:
        (pathlib.Path(own) / "tokenizer.json").write_text((folder / "tokenizer.json").read_text())
        (pathlib.Path(own) / "tokenizer_config.json").write_text(json.dumps(config))
        return PreTrainedTokenizerFast.from_pretrained(own)


def model(kind, folder, **more):
    torch.manual_seed(1)
    config = BertConfig(vocab_size=400, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=160, initializer_range=0.6, **more)
    made = kind(config).eval()
    made.save_pretrained(answers / folder)
    return made


def units(text, place):
    """In UTF-16 units, as JavaScript counts, from code points; without the blanks that some tokenizers count to the word behind them."""
    begin, end = place
    part = text[begin:end]
    begin += len(part) - len(part.lstrip())
    end = begin + len(part.strip())
    return [len(text[:at].encode("utf-16-le")) // 2 for at in (begin, end)]


def write(path, rows):
    path.write_text("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n")


if sys.argv[1] == "entities":
    pieces()
    marks()
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-ORG", "MISC"]
    tagger = model(BertForTokenClassification, "tagger", num_labels=len(names), id2label=dict(enumerate(names)), label2id={name: id for id, name in enumerate(names)})
    rows = []
    for name, folder in (("pieces", answers / "pieces"), ("marks", answers / "marks")):
        for strategy in ("simple", "first"):
            run = pipeline("token-classification", model=tagger, tokenizer=tokenizer_of(folder), aggregation_strategy=strategy, device="cpu")
            for text in texts:
                found = run(text) if text else []
                entities = [{"type": each["entity_group"], "place": units(text, (each["start"], each["end"])), "probability": round(float(each["score"]), 6)} for each in found]
                rows.append({"tokenizer": name, "aggregation": strategy, "text": text, "entities": entities})
    write(answers / "tagger" / "entities.json", rows)
else:
    reader = model(BertForQuestionAnswering, "reader")
    rows = []
    for name, folder in (("pieces", answers / "pieces"), ("bytes", golden / "tokenizer" / "bytes")):
        run = pipeline("question-answering", model=reader, tokenizer=tokenizer_of(folder), device="cpu")
        for question, context in questions:
            for length, stride, most in ((160, None, 15), (160, 30, 4), (64, 16, 15), (64, 5, 3)):
                settings = {"max_seq_len": length, **({} if stride is None else {"doc_stride": stride})}
                found = run(question=question, context=context, max_answer_len=most, **settings)
                # The pipeline adds up what an answer has in each window, which is no probability any more: here it is the best window's.
                windows = [run.postprocess([run.forward(window)], max_answer_len=most) for window in run.preprocess({"question": question, "context": context}, **settings)]
                best = max(windows, key=lambda each: each["score"])
                assert best["answer"] == found["answer"] and best["score"] <= found["score"], (found, best)
                rows.append({"tokenizer": name, "question": question, "context": context, "maxLength": length, "stride": stride, "maxAnswerLength": most, "place": units(context, (best["start"], best["end"])), "probability": round(float(best["score"]), 6)})
    write(answers / "reader" / "questions.json", rows)
