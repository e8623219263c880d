"""Writes tokens/<base>/: what HF PEFT makes of single rows of tables that are trained: TrainableTokens, and LoRA's
trainable_token_indices. The base is another script's model, named in BASES (float32, CPU, one thread, eager attention).

golden.safetensors:
  ids, grown_ids [2, 7]   batches; no mask. `grown_ids` have tokens of a vocabulary that grew by GROWN
  logits/base             as it is
  logits/<case>           with the adapter of the folder, as it was trained; of `grown…` for `grown_ids`
  grads/<case>            of the rows, from the sum of the logits times `weights` [2, 7, V]
  rows/<case> [GROWN, D]  of `grown…`: those that the base was given in the table and a head of its own
<case>/: the adapter as save_pretrained leaves it, without README.md. All trained tensors are random.

At a head that is one tensor with the table, PEFT leaves out the head's bias (BERT), and refuses to compute where TrainableTokens names
both. Of encoder-decoders there are `decoder_ids` [2, 7] too, and no vocabulary that grew: `shared` is the table of both, and modules that are named
have rows of their own."""

import shutil
import sys
import warnings

from reference import HERE, save

import torch
import transformers
from peft import LoraConfig, PeftModel, TrainableTokensConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()

# folder, class, table, head, another module to adapt
BASES = {
    "llama": ("llama/tied", AutoModelForCausalLM, "embed_tokens", "lm_head", "q_proj"),
    "llama_untied": ("llama/causal_lm", AutoModelForCausalLM, "embed_tokens", "lm_head", "q_proj"),
    "gpt2": ("gpt2/causal_lm", AutoModelForCausalLM, "wte", "lm_head", "c_attn"),
    "bert": ("bert/masked_lm", AutoModelForMaskedLM, "word_embeddings", "decoder", "query"),
    "t5": ("t5/tied", AutoModelForSeq2SeqLM, "embed_tokens", "lm_head", "q"),
    "bart": ("bart/seq2seq", AutoModelForSeq2SeqLM, "embed_tokens", "lm_head", "q_proj"),
}
GROWN = 2


def cases(base, vocab, table, head, other):
    rows = [7, 3, 11]
    new = [vocab, vocab + 1, 5]
    yield "tokens", TrainableTokensConfig(token_indices=rows), {}
    yield "lora", LoraConfig(r=2, lora_alpha=4, target_modules=[other], trainable_token_indices=rows), {}
    yield "lora_at", LoraConfig(r=2, lora_alpha=4, target_modules=[other], trainable_token_indices={table: rows}), {}
    if base in ("t5", "bart"):
        yield "tables", TrainableTokensConfig(token_indices=rows, target_modules=[table]), {}
        return
    yield "carried", TrainableTokensConfig(token_indices=rows), dict(save_embedding_layers=True)
    yield "grown_alone", TrainableTokensConfig(token_indices=new), {}
    yield "grown", TrainableTokensConfig(token_indices=new), dict(save_embedding_layers=True)
    yield "grown_lora", LoraConfig(r=2, lora_alpha=4, target_modules=[other], trainable_token_indices=new), dict(save_embedding_layers=True)
    if base == "llama_untied":
        yield "both", TrainableTokensConfig(token_indices=rows, target_modules=[table, head]), {}
        yield "lora_both", LoraConfig(r=2, lora_alpha=4, target_modules=[other], trainable_token_indices={table: rows, head: [2, 9]}), {}
    elif base != "bert":
        yield "lora_both", LoraConfig(r=2, lora_alpha=4, target_modules=[other], trainable_token_indices={table: rows, head: rows}), {}


def load(cls, folder):
    return cls.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()


def make(base):
    name, cls, table, head, other = BASES[base]
    folder, target = HERE / name, HERE / "tokens" / base
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    plain = load(cls, folder)
    vocab, width = plain.get_input_embeddings().weight.shape
    generator = torch.Generator().manual_seed(7)
    draw = lambda *shape: 0.35 * torch.randn(*shape, generator=generator)
    ids = torch.randint(2, 12, (2, 7), generator=generator)
    grown_ids = ids.clone()
    grown_ids[0, 3], grown_ids[1, 5] = vocab, vocab + GROWN - 1
    found = {"ids": ids, "grown_ids": grown_ids, "weights": draw(2, 7, vocab + GROWN)}
    seq2seq = cls is AutoModelForSeq2SeqLM
    more = {}
    if seq2seq:
        found["decoder_ids"] = more["decoder_input_ids"] = torch.randint(2, 12, (2, 7), generator=generator)
    found["logits/base"] = plain(input_ids=ids, **more).logits
    for case, config, saving in cases(base, vocab, table, head, other):
        model = load(cls, folder)
        model.name_or_path = name
        grown = case.startswith("grown")
        new = draw(GROWN, width)

        def resize(model):
            if grown:
                model.resize_token_embeddings(vocab + GROWN, mean_resizing=False)
                for layer in {model.get_input_embeddings(), model.get_output_embeddings()}:
                    layer.weight.data[vocab:] = new
                if base == "bert":
                    model.cls.predictions.decoder.bias.data[vocab:] = 0

        resize(model)
        torch.manual_seed(3)
        if cls is not AutoModelForMaskedLM:
            config.task_type = "SEQ_2_SEQ_LM" if seq2seq else "CAUSAL_LM"
        tuned = get_peft_model(model, config).eval()
        seen = {}
        for key, parameter in sorted(tuned.named_parameters()):
            if parameter.requires_grad and parameter.data_ptr() not in seen:
                parameter.data.add_(draw(*parameter.shape))
                seen[parameter.data_ptr()] = (key, parameter)
        tuned.save_pretrained(target / case, **saving)
        (target / case / "README.md").unlink(missing_ok=True)
        fresh = load(cls, folder)
        resize(fresh)
        read = PeftModel.from_pretrained(fresh, target / case).eval()
        asked = grown_ids if grown else ids
        logits = tuned(input_ids=asked, **more).logits
        (logits * found["weights"][..., : logits.shape[-1]]).sum().backward()
        found[f"logits/{case}"] = logits
        for key, parameter in seen.values():
            if "trainable_tokens_delta" in key:
                part = "head" if head in key else "decoder" if "decoder" in key else "table"
                found[f"grads/{case}/{part}"] = parameter.grad
        if grown:
            found[f"rows/{case}"] = new
        gap = (read(input_ids=asked, **more).logits - logits).abs().max().item()
        moved = (logits[..., :vocab] - plain(input_ids=asked.clamp(max=vocab - 1), **more).logits).abs().max().item()
        print(f"{base}/{case}: read again {gap:.1e} off, moved {moved:.2f}")
    save(target / "golden.safetensors", found)


for base in sys.argv[1:] or BASES:
    make(base)
