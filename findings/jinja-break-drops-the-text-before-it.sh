#!/usr/bin/env bash
# @huggingface/jinja 0.5.11: what an iteration of a loop has written before {% break %} or {% continue %} is lost.
# Python's jinja2 (with the loop controls that transformers turns on for chat templates) keeps it: ab. Here: a.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @huggingface/jinja@0.5.11 >/dev/null
cat > try.mjs <<'PROGRAM'
import { Template } from '@huggingface/jinja'
const template = '{% for i in range(3) %}{% if i == 1 %}b{% break %}{% endif %}a{% endfor %}'
console.log(new Template(template).render({}))
PROGRAM
expected=$(cat <<'SEEN'
a
SEEN
)
seen=$(node try.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
