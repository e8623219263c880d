"""Writes problem_types/: BertForSequenceClassification of each problem type (float32, CPU) with the loss of transformers and its
gradients:

  <case>/model.safetensors, config.json   as save_pretrained writes them
  golden.safetensors                      <case>/ids, mask, labels, logits, loss, and the gradients of classifier.weight,
                                          classifier.bias and the first layer's query"""

import shutil

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForSequenceClassification

from reference import HERE, VERSIONS

CASES = {"one_number": (1, "regression"), "three_numbers": (3, "regression"), "label_sets": (4, "multi_label_classification"), "unsaid": (1, None)}
QUERY = "bert.encoder.layer.0.attention.self.query.weight"
FOLDER = HERE / "problem_types"


def run(name, outputs, problem, tensors):
    torch.manual_seed(len(name))
    config = BertConfig(vocab_size=31, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, max_position_embeddings=16,
                        num_labels=outputs, problem_type=problem, initializer_range=0.3)
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(FOLDER / name)
    ids = torch.randint(3, 31, (3, 7))
    mask = torch.tensor([[1] * 7, [1] * 5 + [0] * 2, [1] * 3 + [0] * 4])
    labels = torch.randint(0, 2, (3, outputs)).float() if problem == "multi_label_classification" else torch.randn(3, outputs)
    given = labels if outputs > 1 else labels.squeeze(1)
    result = model(input_ids=ids, attention_mask=mask, labels=given)
    result.loss.backward()
    parameters = dict(model.named_parameters())
    found = {"ids": ids.int(), "mask": mask.int(), "labels": labels, "logits": result.logits.detach(), "loss": result.loss.detach().reshape(1)}
    found |= {f"grad/{key}": parameters[key].grad for key in ["classifier.weight", "classifier.bias", QUERY]}
    tensors |= {f"{name}/{key}": value.contiguous() for key, value in found.items()}


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    tensors = {}
    for name, (outputs, problem) in CASES.items():
        run(name, outputs, problem, tensors)
    save_file(tensors, FOLDER / "golden.safetensors", metadata={key: str(value) for key, value in VERSIONS.items()})
    print({key: value.item() for key, value in tensors.items() if key.endswith("/loss")})
