#!/usr/bin/env bash
# @huggingface/jinja 0.5.11: two lists with the same items are not equal, and two empty ones are not either.
# A chat template's {% if tools != [] %} is taken without tools. Python's jinja2 gives True False; here false true.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @huggingface/jinja@0.5.11 >/dev/null
cat > try.mjs <<'PROGRAM'
import { Template } from '@huggingface/jinja'
console.log(new Template('{{ [] == [] }} {{ [] != [] }}').render({}))
PROGRAM
expected=$(cat <<'SEEN'
false true
SEEN
)
seen=$(node try.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
