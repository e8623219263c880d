"""Writes gpt2/token_classification/, llama/token_classification/ and qwen3/token_classification/ (see families.py), and

objectives.safetensors:
  minilm/<pooling>       embeddings [4, 384] of minilm.safetensors' rows by the real all-MiniLM-L6-v2 (its folder is the
      argument): mean over the mask divided by its length, as 1_Pooling and 2_Normalize of that model have it, and the
      first token's vector as it is (cls)
  contrastive/vectors [10, 6], labels [4], loss, grad
      cross entropy of 20 times the cosines of the first 4 vectors with the other 6, in float64; that is
      MultipleNegativesRankingLoss of sentence-transformers with two hard negatives beside the in-batch ones

entities.json: [{actual, predicted, default, strict}], tags of several rows and seqeval's micro averages [precision, recall,
f1] by its default rule and by mode='strict', scheme=IOB2; `iobes` the same in IOBES. Needs seqeval 1.2.2 besides the requirements."""

import json
import random
import sys
import warnings

import torch
from seqeval.metrics import sequence_labeling, v1
from seqeval.scheme import IOB2, IOBES
from transformers import (
    AutoModel,
    GPT2Config,
    GPT2ForTokenClassification,
    LlamaConfig,
    LlamaForTokenClassification,
    Qwen3Config,
    Qwen3ForTokenClassification,
)

from families import decoder_calls, encoder_batch, make
from reference import HERE, VERSIONS, save
from safetensors.torch import load_file

warnings.simplefilter("ignore")


def decoders():
    gpt2 = GPT2Config(vocab_size=37, n_embd=24, n_layer=2, n_head=4, n_positions=24, num_labels=5, bos_token_id=1, eos_token_id=2)
    small = dict(vocab_size=37, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                 intermediate_size=40, max_position_embeddings=24, pad_token_id=0, bos_token_id=1, eos_token_id=2, num_labels=5)
    for family, model_class, config, seed in [
        ("gpt2", GPT2ForTokenClassification, gpt2, 41),
        ("llama", LlamaForTokenClassification, LlamaConfig(**small), 42),
        ("qwen3", Qwen3ForTokenClassification, Qwen3Config(**small, head_dim=8), 43),
    ]:
        batch = encoder_batch(seed, config.vocab_size)
        make(family, "token_classification", model_class, config, seed, batch, decoder_calls(batch))


def embeddings(folder):
    golden = load_file(HERE / "minilm.safetensors")
    batch = {name: golden[name].long() for name in ("input_ids", "attention_mask")}
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        tokens = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1).float()
    mean = (tokens * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
    return {"minilm/mean": torch.nn.functional.normalize(mean, dim=1), "minilm/cls": tokens[:, 0]}


def contrastive():
    vectors = torch.randn(10, 6, generator=torch.Generator().manual_seed(44)).requires_grad_()
    labels = torch.tensor([0, 1, 2, 3])
    unit = torch.nn.functional.normalize(vectors.double(), dim=1)
    loss = torch.nn.functional.cross_entropy(20 * unit[:4] @ unit[4:].T, labels)
    loss.backward()
    names = {"vectors": vectors, "labels": labels, "loss": loss, "grad": vectors.grad}
    return {f"contrastive/{name}": value for name, value in names.items()}


def drawn_rows(seed, tags):
    draw = random.Random(seed)
    return lambda: [[draw.choice(tags) for _ in range(length)] for length in (7, 5, 1, 9)]


def entities():
    rows = drawn_rows(45, ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
    cases = [
        ([["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]],
         [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]),
        ([["B-PER", "I-PER"]], [["I-PER", "I-PER"]]),  # no beginning: an entity by the default rule alone
        ([["B-PER", "B-PER", "O"]], [["B-PER", "I-PER", "O"]]),
        ([["B-PER", "I-LOC"]], [["B-PER", "B-LOC"]]),
        ([["O", "O"]], [["O", "O"]]),
        ([["B-PER"]], [["O"]]),
        *((rows(), rows()) for _ in range(6)),
    ]
    return scored(cases, IOB2)


def entities_with_ends():
    rows = drawn_rows(46, ["O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "E-LOC", "S-LOC"])
    cases = [
        ([["B-PER", "I-PER", "E-PER", "O", "S-LOC"]], [["B-PER", "I-PER", "E-PER", "O", "S-LOC"]]),
        ([["B-PER", "E-PER", "S-PER"]], [["B-PER", "I-PER", "E-PER"]]),
        ([["B-PER", "I-PER", "O"]], [["B-PER", "I-PER", "O"]]),  # no end: an entity by the default rule alone
        ([["S-PER", "S-PER"]], [["B-PER", "E-PER"]]),
        *((rows(), rows()) for _ in range(12)),
    ]
    return scored(cases, IOBES)


def scored(cases, scheme):
    how = dict(average="micro", zero_division=0)
    numbers = lambda scores: [float(x) for x in scores[:3]]
    return [
        {
            "actual": actual,
            "predicted": predicted,
            "default": numbers(sequence_labeling.precision_recall_fscore_support(actual, predicted, **how)),
            "strict": numbers(v1.precision_recall_fscore_support(actual, predicted, scheme=scheme, **how)),
        }
        for actual, predicted in cases
    ]


if __name__ == "__main__":
    decoders()
    save(HERE / "objectives.safetensors", {**embeddings(sys.argv[1]), **contrastive()})
    versions = {**VERSIONS, "seqeval": "1.2.2"}
    (HERE / "entities.json").write_text(json.dumps({"versions": versions, "cases": entities(), "iobes": entities_with_ends()}) + "\n")
