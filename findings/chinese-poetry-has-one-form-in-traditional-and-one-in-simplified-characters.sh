#!/usr/bin/env bash
# npm chinese-poetry 2.0.1, a collection of Chinese poems: shi (of the Tang and the Song) are in traditional characters, and ci (of the Song) in
# simplified ones. Who trains on one form and measures on the other, or has a model tell them apart, measures the script. Counted are poems with one
# of three very common characters (wind, come, see) in the one script, of all with one of them in either.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . chinese-poetry@2.0.1 >/dev/null
cat > count.mjs <<'PROGRAM'
import { readdirSync, readFileSync } from 'node:fs'

const dist = 'node_modules/chinese-poetry/dist'
for (const [folder, name] of [['quantangshi', /^poet\.tang\.\d+\.json$/], ['quantangshi', /^poet\.song\.\d+\.json$/], ['songci', /^ci\.song\.\d+\.json$/]]) {
  const texts = readdirSync(`${dist}/${folder}`).filter((file) => name.test(file))
    .flatMap((file) => JSON.parse(readFileSync(`${dist}/${folder}/${file}`, 'utf8')).map(({ paragraphs }) => paragraphs.join('')))
  const [traditional, simplified] = [/[風來見]/, /[风来见]/].map((form) => texts.filter((text) => form.test(text)).length)
  console.log(folder, name.source.split('\\.')[1], texts.length, 'poems:', (100 * traditional / (traditional + simplified)).toFixed(0), '% traditional')
}
PROGRAM
expected=$(cat <<'SEEN'
quantangshi tang 57607 poems: 100 % traditional
quantangshi song 254248 poems: 99 % traditional
songci song 21050 poems: 0 % traditional
SEEN
)
seen=$(node count.mjs)
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
