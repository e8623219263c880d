"""Writes ties/<family>/: what HF transformers and PEFT make of heads that are the table of the words, or are not any more.
The base is another script's tied model, named in BASES (float32, CPU, one thread, eager attention).

golden.safetensors:
  ids [2, 7]                       the batch; no mask
  H [V, D], bias, other_bias [V]   a head that is not the table, and for masked LM two biases
  logits/base                      as it is
  logits/two_tensors               the file has the table and H, config.json ties them
  logits/head_alone                the file has no table, and H as the head
  logits/two_biases                the file has `bias` at the decoder and `other_bias` above it, config.json ties them
  logits/untied                    with H, the same two biases, and tie_word_embeddings false
  logits/<case>                    the base with the adapter <case>/adapter_model.safetensors as it was trained; of a grown
                                   vocabulary for the ids of `grown_ids`, which has new ones. PeftModel.from_pretrained
                                   computes the same, but for the two lora_tied of gpt2, whose head it leaves out without a warning
  logits/unlike_<case>             the same on the base of `two_tensors`, whose head is another tensor than the table
<case>/: the adapter as save_pretrained leaves it, without README.md. All trained tensors are random. Those
that end in `tied` have ensure_weight_tying, the others not."""

import copy
import json
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

from reference import HERE, save

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()

# folder, class, table, head, another module to adapt, key of the bias above the decoder
BASES = {
    "llama": ("llama/tied", AutoModelForCausalLM, "model.embed_tokens", "lm_head", "q_proj", None),
    "gpt2": ("gpt2/causal_lm", AutoModelForCausalLM, "transformer.wte", "lm_head", "c_attn", None),
    "bert": ("bert/masked_lm", AutoModelForMaskedLM, "bert.embeddings.word_embeddings", "cls.predictions.decoder", "query", "cls.predictions.bias"),
    "roberta": ("roberta/masked_lm", AutoModelForMaskedLM, "roberta.embeddings.word_embeddings", "lm_head.decoder", "query", "lm_head.bias"),
    "distilbert": ("distilbert/masked_lm", AutoModelForMaskedLM, "distilbert.embeddings.word_embeddings", "vocab_projector", "q_lin", None),
}
GROWN = 2


def cases(family, table, head, other, masked):
    short = table.split(".")[-1]
    plain = dict(target_modules=[other])
    yield "table", dict(plain, modules_to_save=[short]), {}
    yield "head", dict(plain, modules_to_save=[head]), {}
    yield "both", dict(plain, modules_to_save=[short, head]), {}
    yield "lora_table", dict(target_modules=[short]), {}
    yield "lora_head", dict(target_modules=[head]), {}
    yield "lora_both", dict(target_modules=[short, head]), {}
    yield "carried", plain, dict(save_embedding_layers=True)
    yield "grown", plain, dict(save_embedding_layers=True)
    yield "grown_table", dict(plain, modules_to_save=[short]), dict(save_embedding_layers=True)
    if not masked:
        yield "tied", dict(plain, modules_to_save=[short, head], ensure_weight_tying=True), {}
        yield "lora_tied", dict(target_modules=[other, short, head], ensure_weight_tying=True), {}
        yield "grown_tied", dict(plain, modules_to_save=[short, head], ensure_weight_tying=True), dict(save_embedding_layers=True)
        yield "grown_lora", dict(target_modules=[short, head]), dict(save_embedding_layers=True)
        yield "unlike_tied", dict(plain, modules_to_save=[short], ensure_weight_tying=True), {}
        yield "unlike_lora_tied", dict(target_modules=[other, short, head], ensure_weight_tying=True), {}
    else:
        for bias in ("all", "lora_only"):
            yield f"bias_{bias}", dict(plain, bias=bias), {}
            yield f"bias_{bias}_head", dict(target_modules=[head], bias=bias), {}


def load(cls, folder):
    return cls.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()


def variant(folder, tensors, **config):
    """A copy of a model's folder with other tensors."""
    target = Path(tempfile.mkdtemp()) / "model"
    target.mkdir()
    found = json.loads((folder / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**found, **config}))
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=ids).logits


def make(family):
    name, cls, table, head, other, above = BASES[family]
    folder, target = HERE / name, HERE / "ties" / family
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    base = load(cls, folder)
    tensors = load_file(folder / "model.safetensors")
    E = base.get_input_embeddings().weight.detach().clone()
    generator = torch.Generator().manual_seed(7)
    draw = lambda *shape: 0.35 * torch.randn(*shape, generator=generator)
    vocab = E.shape[0]
    ids = torch.randint(2, vocab, (2, 7), generator=generator)
    grown_ids = ids.clone()
    grown_ids[0, 3], grown_ids[1, 5] = vocab, vocab + GROWN - 1
    H, bias, other_bias = draw(*E.shape), draw(vocab), draw(vocab)
    found = {"ids": ids, "grown_ids": grown_ids, "H": H, "bias": bias, "other_bias": other_bias, "logits/base": logits(base, ids)}
    key, tablekey = f"{head}.weight", f"{table}.weight"
    if tablekey not in tensors:
        tablekey = tablekey.split(".", 1)[1]
    two_tensors = variant(folder, {**tensors, key: H})
    found["logits/two_tensors"] = logits(load(cls, two_tensors), ids)
    without = {name: tensor for name, tensor in tensors.items() if name != tablekey}
    found["logits/head_alone"] = logits(load(cls, variant(folder, {**without, key: H})), ids)
    two = {}
    if above:
        two = {f"{head}.bias": bias, above: other_bias}
        found["logits/two_biases"] = logits(load(cls, variant(folder, {**tensors, **two})), ids)
    found["logits/untied"] = logits(load(cls, variant(folder, {**tensors, key: H, **two}, tie_word_embeddings=False)), ids)

    for case, options, saving in cases(family, table, head, other, above or family == "distilbert"):
        under = two_tensors if case.startswith("unlike") else folder
        model = load(cls, under)
        model.name_or_path = name
        grown = case.startswith("grown")
        if grown:
            model.resize_token_embeddings(vocab + GROWN, mean_resizing=False)
            with torch.no_grad():
                model.get_input_embeddings().weight[vocab:].copy_(draw(GROWN, E.shape[1]))
        torch.manual_seed(3)
        task = {} if cls is AutoModelForMaskedLM else dict(task_type="CAUSAL_LM")
        tuned = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, **task, **options)).eval()
        with torch.no_grad():
            seen = set()
            for _, parameter in sorted(tuned.named_parameters()):
                if parameter.requires_grad and parameter.data_ptr() not in seen:
                    parameter.add_(draw(*parameter.shape))
                    seen.add(parameter.data_ptr())
        tuned.save_pretrained(target / case, **saving)
        (target / case / "README.md").unlink(missing_ok=True)
        fresh = load(cls, under)
        if grown:
            fresh.resize_token_embeddings(vocab + GROWN, mean_resizing=False)
        read = PeftModel.from_pretrained(fresh, target / case).eval()
        asked = grown_ids if grown else ids
        found[f"logits/{case}"] = logits(tuned, asked)
        gap = (logits(read, asked) - found[f"logits/{case}"]).abs().max().item()
        moved = (found[f"logits/{case}"][..., :vocab] - logits(base, asked.clamp(max=vocab - 1))).abs().max().item()
        print(f"{family}/{case}: read again {gap:.1e} off, moved {moved:.2f}")
    save(target / "golden.safetensors", found)


for family in sys.argv[1:] or BASES:
    make(family)
