"""Writes generation/golden.json: what transformers makes of the same inputs in generation (float32, CPU).

  sampling    for gpt2/causal_lm behind a prompt: the probabilities of the next token after all processors, for settings
              given as options, or as a generation_config.json (`file`)
  ended       greedy tokens with several end-of-sequence ids and a repetition penalty from a generation_config.json
  stops       for tokenizer/bytes: texts, their ids, and which prefixes of the ids end with a stop string
  chats       apply_chat_template with generation/templates/*.jinja: the text, or null where the template refuses

The templates are written for this repository in the styles of models' own."""

import json

import torch
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerFast
from transformers.generation.stopping_criteria import StopStringCriteria

from reference import HERE, VERSIONS

FOLDER = HERE / "generation"
CALLS = [
    {},
    {"temperature": 0.6},
    {"temperature": 1.7, "top_k": 9},
    {"top_p": 0.75},
    {"temperature": 1.5, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.4},
    {"repetition_penalty": 0.7, "top_p": 0.9},
    {"top_k": 1},
]
FILES = [{"do_sample": True, "temperature": 1.3, "top_k": 12, "top_p": 0.85}, {"do_sample": True, "top_k": 0, "repetition_penalty": 1.5}]
PROMPT = [5, 9, 11, 5, 30]

SYSTEM = {"role": "system", "content": "  Be brief.\n"}
ASK = {"role": "user", "content": "What is the weather in \"Zürich\"? "}
ANSWER = {"role": "assistant", "content": "Sunny ☀, 21 °C."}
THOUGHT = {"role": "assistant", "content": "<think>\nIt is summer.\n</think>\n\nSunny."}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2, "exact": True, "unit": None}}}]}
RESULT = {"role": "tool", "content": '{"sky": "sunny"}'}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "The weather of a <city>", "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 1.5}}, "required": ["city"]}}}]
CHATS = [
    {"messages": [ASK], "prompt": True},
    {"messages": [ASK, ANSWER]},
    {"messages": [SYSTEM, ASK, ANSWER, ASK], "prompt": True},
    {"messages": [ASK, THOUGHT, ASK], "prompt": True, "variables": {"enable_thinking": False}},
    {"messages": [ASK, THOUGHT], "variables": {"cutoff": "May 2025"}},
    {"messages": [SYSTEM, ASK, CALL, RESULT], "tools": TOOLS, "prompt": True},
    {"messages": [ASK, CALL, RESULT, RESULT, ANSWER], "tools": TOOLS},
    {"messages": [ASK, ASK]},
    {"messages": [{"role": "tool", "content": [1, "two", {"three": 0.5}]}, ASK], "only": "llama3"},
]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
TEXTS = [
    ("a cat sat on the mat. Stop here. And on", ["Stop", "mat."]),
    ("one two three\n\nfour five", ["\n\n"]),
    ("User: hello\nAssistant: the end of it", ["of", "\nAssistant:"]),
    ("aaaaaaa aaab", ["aab", "aaaa"]),
    ("the theme of the thesis", ["them", "thesi"]),
]


def sampling(model):
    found = []
    for call in [{"options": options} for options in CALLS] + [{"file": file} for file in FILES]:
        settings = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, **call.get("options", {}), **call.get("file", {})}
        torch.manual_seed(0)
        out = model.generate(
            torch.tensor([PROMPT]), attention_mask=torch.ones(1, len(PROMPT), dtype=torch.long), max_new_tokens=1, output_scores=True, return_dict_in_generate=True, pad_token_id=0,
            eos_token_id=None, **settings,
        )
        found.append({**call, "probabilities": out.scores[0][0].softmax(0).tolist()})
    return {"prompt": PROMPT, "calls": found}


def ended(model):
    file = {"eos_token_id": [2, 21, 33], "repetition_penalty": 1.3}
    rows = [[5, 9, 11], [7, 3, 8], [1, 30, 2], [14, 15, 16]]
    out = model.generate(
        torch.tensor(rows), attention_mask=torch.ones(4, 3, dtype=torch.long),
        generation_config=GenerationConfig(**file, max_new_tokens=40, do_sample=False, pad_token_id=0),
    )
    tokens = []
    for row in out[:, 3:].tolist():
        ends = [i for i, token in enumerate(row) if token in file["eos_token_id"]]
        tokens.append(row[: ends[0] + 1] if ends else row)
    return {"file": file, "rows": rows, "maxNewTokens": 40, "tokens": tokens}


def stops():
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(HERE / "tokenizer" / "bytes" / "tokenizer.json"))
    found = []
    for text, strings in TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        criteria = StopStringCriteria(tokenizer, strings)
        matched = [bool(criteria(torch.tensor([ids[:end]]), None)[0]) for end in range(1, len(ids) + 1)]
        found.append({"text": text, "stops": strings, "ids": ids, "matched": matched})
    return found


def chats():
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(HERE / "tokenizer" / "bytes" / "tokenizer.json"), **SPECIAL)
    found = []
    for path in sorted((FOLDER / "templates").glob("*.jinja")):
        for chat in CHATS:
            if chat.get("only", path.stem) != path.stem:
                continue
            try:
                text = tokenizer.apply_chat_template(
                    chat["messages"], tools=chat.get("tools"), chat_template=path.read_text(), tokenize=False,
                    add_generation_prompt=chat.get("prompt", False), **chat.get("variables", {}),
                )
                refusal = None
            except Exception as error:
                text, refusal = None, str(error)
            found.append({"template": path.stem, **chat, "text": text, "refusal": refusal})
    return {"special": SPECIAL, "cases": found}


if __name__ == "__main__":
    model = AutoModelForCausalLM.from_pretrained(HERE / "gpt2" / "causal_lm").eval()
    golden = {"versions": VERSIONS, "sampling": sampling(model), "ended": ended(model), "stops": stops(), "chats": chats()}
    (FOLDER / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")
    for call in golden["sampling"]["calls"]:
        print({k: v for k, v in call.items() if k != "probabilities"}, "kept", sum(p > 0 for p in call["probabilities"]))
    print("ended", [len(row) for row in golden["ended"]["tokens"]])
    print("stops", [sum(case["matched"]) for case in golden["stops"]], "of", [len(case["ids"]) for case in golden["stops"]])
    print("refused", [(case["template"], case["refusal"]) for case in golden["chats"]["cases"] if case["text"] is None])
