#!/usr/bin/env bash
# GCC 12.2: a square of vectors that is turned by shuffles in a loop over steps 1, 2, 4, 8 is correct and slow: the loop is not unrolled, so that the
# places of the shuffles, which depend on the step alone, are put together number by number each time. With the step as a template's argument they are constants.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > turn.cc <<'PROGRAM'
typedef float Floats __attribute__((vector_size(64)));
typedef int Ints __attribute__((vector_size(64)));

inline void exchange(Floats* rows, int step) {
  Ints low, high;
  for (int i = 0; i < 16; i++) {
    low[i] = (i & step) == 0 ? i : (i ^ step) + 16;
    high[i] = (i & step) == 0 ? i ^ step : i + 16;
  }
  for (int i = 0; i < 16; i++) {
    if ((i & step) != 0) continue;
    const Floats a = rows[i], b = rows[i | step];
    rows[i] = __builtin_shuffle(a, b, low);
    rows[i | step] = __builtin_shuffle(a, b, high);
  }
}

#ifdef KNOWN
template <int STEP>
void turn(Floats* rows) {
  exchange(rows, STEP);
  if constexpr (2 * STEP < 16) turn<2 * STEP>(rows);
}
void turned(Floats* rows) { turn<1>(rows); }
#else
void turned(Floats* rows) {
  for (int step = 1; step < 16; step *= 2) exchange(rows, step);
}
#endif
PROGRAM
inserts() { g++ -O3 -std=c++17 -mavx512f "$@" -S turn.cc -o - | grep -cE 'vpinsr|vinserti|vmovd|vpbroadcastd' || true; }
seen="a step that the loop has: places $([ "$(inserts)" -gt 16 ] && echo 'made at run time' || echo constant); a step that the compiler knows: $([ "$(inserts -DKNOWN)" -gt 16 ] && echo 'made at run time' || echo constant)"
printf '%s\n' "$seen"
expected='a step that the loop has: places made at run time; a step that the compiler knows: constant'
[ "$seen" = "$expected" ] || { echo "changed; before: $expected" >&2; exit 1; }
