#!/usr/bin/env bash
# @huggingface/jinja 0.5.11: length and places of a text count UTF-16 units; Python's jinja2, in which chat templates are written and
# tested, counts characters: 1 there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @huggingface/jinja@0.5.11 >/dev/null
cat > try.mjs <<'PROGRAM'
import { Template } from '@huggingface/jinja'
console.log(new Template('{{ text|length }}').render({ text: '\u{20000}' }))
PROGRAM
expected=$(cat <<'SEEN'
2
SEEN
)
seen=$(node try.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
