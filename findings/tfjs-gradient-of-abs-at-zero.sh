#!/usr/bin/env bash
# TensorFlow.js 4.22.0: the gradient of abs at 0 is -1, and where several numbers share the maximum each gets the whole gradient of max.
# TensorFlow and PyTorch give 0 at 0; PyTorch's amax and TensorFlow's reduce_max share the gradient out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @tensorflow/tfjs@4.22.0 >/dev/null
cat > try.mjs <<'PROGRAM'
import * as tf from '@tensorflow/tfjs'
await tf.ready()
console.log(Array.from(tf.grad((x) => tf.sum(tf.abs(x)))(tf.tensor1d([-2, 0, 3])).dataSync()).join(), Array.from(tf.grad((x) => tf.max(x))(tf.tensor1d([5, 5, 1])).dataSync()).join())
PROGRAM
expected=$(cat <<'SEEN'
-1,-1,1 1,1,0
SEEN
)
seen=$(node try.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
