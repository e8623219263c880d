#!/usr/bin/env bash
# @huggingface/jinja 0.5.11: strip, lstrip and rstrip take white space off whatever characters they are given.
# Chat templates of reasoning models call content.lstrip('\n') to take line breaks off and keep an indentation; Python gives [  code] and [b].
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @huggingface/jinja@0.5.11 >/dev/null
cat > try.mjs <<'PROGRAM'
import { Template } from '@huggingface/jinja'
const render = (text) => new Template(text).render({})
console.log(render("[{{ '\\n  code'.lstrip('\n') }}]"), render("[{{ 'xbx'.strip('x') }}]"))
PROGRAM
expected=$(cat <<'SEEN'
[code] [xbx]
SEEN
)
seen=$(node try.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
