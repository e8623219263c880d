#!/usr/bin/env bash
# llama.cpp (node-llama-cpp 3.22.1, its build for x64 Linux; files by gguf 0.19.0): a Phi-3 with LongRoPE has two lists of factors, for texts up to the
# length that it was first made for and for longer ones. llama.cpp chooses by the size of the context that was opened, whatever the text's length: ten
# tokens get other probabilities in a context of 1024 than in one of 256, which is where they are as transformers has them. Where the two lists are
# alike, the size of the context changes nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet gguf==0.19.0 numpy==2.4.6
cat > write.py <<'PROGRAM'
import gguf
import numpy as np

V, D, F, H, ORIGINAL = 64, 32, 64, 2, 256
for name, long in (("other", 4.0), ("alike", 1.0)):
    rng = np.random.default_rng(0)
    weight = lambda *shape: rng.normal(size=shape).astype(np.float32) * 0.5
    file = gguf.GGUFWriter(f"{name}.gguf", "phi3")
    file.add_context_length(4096)
    file.add_embedding_length(D)
    file.add_block_count(1)
    file.add_feed_forward_length(F)
    file.add_head_count(H)
    file.add_head_count_kv(H)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_rope_dimension_count(D // H)
    file.add_rope_freq_base(10000.0)
    file.add_rope_scaling_orig_ctx_len(ORIGINAL)
    file.add_sliding_window(0)
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("gpt-2")
    file.add_token_list([chr(65 + i) for i in range(V)])
    file.add_token_types([1] * V)
    file.add_token_merges(["A B"])
    file.add_eos_token_id(V - 1)
    file.add_tensor("token_embd.weight", weight(V, D))
    file.add_tensor("output.weight", weight(V, D))
    file.add_tensor("output_norm.weight", np.ones(D, np.float32))
    file.add_tensor("rope_factors_short.weight", np.full(D // H // 2, 1, np.float32))
    file.add_tensor("rope_factors_long.weight", np.full(D // H // 2, long, np.float32))
    for part, shape in {"attn_qkv": (3 * D, D), "attn_output": (D, D), "ffn_up": (2 * F, D), "ffn_down": (D, F)}.items():
        file.add_tensor(f"blk.0.{part}.weight", weight(*shape))
    for part in ("attn_norm", "ffn_norm"):
        file.add_tensor(f"blk.0.{part}.weight", np.ones(D, np.float32))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
PROGRAM
env/bin/python write.py
echo '{ "private": true, "type": "module" }' > package.json
npm install --silent --no-audit --no-fund --omit=optional --ignore-scripts node-llama-cpp@3.22.1 @node-llama-cpp/linux-x64@3.22.1
cat > run.js <<'PROGRAM'
import { getLlama } from 'node-llama-cpp'

const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'disabled' })
for (const name of ['other', 'alike']) {
  const model = await llama.loadModel({ modelPath: `${name}.gguf` })
  const seen = []
  for (const contextSize of [256, 1024]) {
    const context = await model.createContext({ contextSize, threads: 1 })
    const next = { generateNext: { probabilities: true, options: { temperature: 1, topK: 0, topP: 1, minP: 0 } } }
    const steps = await context.getSequence().controlledEvaluate([3, 5, 11, 7, 20, 9, 14, 31, 2, [40, next]])
    seen.push(new Map(steps.at(-1).next.probabilities))
    await context.dispose()
  }
  const [short, long] = seen
  const most = Math.max(...[...short].map(([token, probability]) => Math.abs(probability - long.get(token))))
  console.log(`${name} factors for long texts: probabilities of ten tokens differ between contexts of 256 and 1024: ${most > 0.01}`)
}
process.exit(0)
PROGRAM
seen=$(node run.js 2>/dev/null)
printf '%s\n' "$seen"
expected=$(cat <<'SEEN'
other factors for long texts: probabilities of ten tokens differ between contexts of 256 and 1024: true
alike factors for long texts: probabilities of ten tokens differ between contexts of 256 and 1024: false
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
