#!/usr/bin/env bash
# @tensorflow/tfjs 4.22.0: the gradient of tf.cumsum along any axis but the last is wrong, without a word where the axes are of one size. Its
# numbers are the right ones, transposed: the axes are turned for the sum from the other end, and not turned back. Along the last axis it is
# right. cumsum along the first axis of a square matrix shows it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes > /dev/null
npm install --silent --ignore-scripts --no-audit --no-fund @tensorflow/tfjs@4.22.0 > /dev/null
cat > run.cjs <<'PROGRAM'
const tf = require('@tensorflow/tfjs')

const w = tf.tensor2d([[1, 2], [3, 4]])
for (const axis of [0, 1]) {
  const gradient = tf.grad((x) => tf.sum(tf.mul(tf.cumsum(x, axis), w)))(tf.ones([2, 2]))
  const exact = tf.cumsum(w, axis, false, true) // each number is added into all that come behind it
  console.log(`axis ${axis}: gradient ${gradient.dataSync().join(' ')}, exact ${exact.dataSync().join(' ')}`)
}
PROGRAM
seen=$(node run.cjs 2> /dev/null | grep axis)
printf '%s\n' "$seen"
expected=$(cat <<'SEEN'
axis 0: gradient 4 3 6 4, exact 4 6 3 4
axis 1: gradient 3 2 7 4, exact 3 2 7 4
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
