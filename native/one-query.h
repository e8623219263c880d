// Attention of one query a head, as in decoding: keys and values come from memory, are far more than all else, and are
// read once, where they lie. The query heads that share keys take each while it is in the nearest cache.
#pragma once
#include "few-rows.h"
#include "scores.h"
#include "vector.h"

namespace peft {
namespace {

/// How many keys or values ahead one is asked for: they lie too far apart for the processor to find the next by itself.
constexpr int64_t KEYS_AHEAD = 8;

/// y_i[d] = factor_i Σ_j p_i[j] v_j[d] for M rows of p and `WIDTH` vectors of d, or the first `left` numbers of one.
template <int M, int WIDTH>
inline void weightedSums(const float* p, int64_t stride, const float* v, int64_t vStride, int64_t count, int64_t left,
                         const float* factors, float* y, int64_t yStride) {
  Floats sums[M][WIDTH] = {};
  for (int64_t j = 0; j < count; j++) {
    Floats row[WIDTH];
    for (int d = 0; d < WIDTH; d++) {
      const float* const from = v + j * vStride + d * LANES;
      __builtin_prefetch(from + KEYS_AHEAD * vStride);
      row[d] = WIDTH == 1 ? load(from, left) : load(from);
    }
    for (int i = 0; i < M; i++) {
      const float weight = p[i * stride + j];
      for (int d = 0; d < WIDTH; d++) sums[i][d] += weight * row[d];
    }
  }
  for (int i = 0; i < M; i++) {
    for (int d = 0; d < WIDTH; d++) store(y + i * yStride + d * LANES, sums[i][d] * factors[i], WIDTH == 1 ? left : LANES);
  }
}

/// y (rows, D) of probabilities p (rows, `stride`) and values v (count, D).
template <int M>
inline void weightedRows(const float* p, int64_t stride, const float* v, int64_t vStride, int64_t count, int64_t D,
                         const float* factors, float* y) {
  int64_t d = 0;
  for (; d + 4 * LANES <= D; d += 4 * LANES) weightedSums<M, 4>(p, stride, v + d, vStride, count, LANES, factors, y + d, D);
  for (; d < D; d += LANES) weightedSums<M, 1>(p, stride, v + d, vStride, count, D - d, factors, y + d, D);
}

/// How many keys there are up to the last that is not hidden, as of a cache with room behind them; all where every one is hidden.
inline int64_t lastSeen(const float* bias, int64_t keys) {
  for (int64_t j = keys; j > 0; j--) {
    if (bias[j - 1] > HIDDEN) return j;
  }
  return keys;
}

/// y = softmax(scale q kᵀ + bias) v with T = 1: the query is the last position and sees every key up to its own or its window.
template <bool GENERAL>
void oneQuery(const Attention& a, float* y) {
  const Dropout drop(a.seed, a.rate);
  const int64_t keys = a.keys(), width = a.width(), shared = a.H / a.G, next = a.G * a.D;  // from key to key
  const int64_t ahead = KEYS_AHEAD * next;
  parallel(a.B * a.G, rowGrain(a.K * a.D * shared), [&](int64_t begin, int64_t end) {
    float* memory = scratch((size_t)(shared * (keys + width + 1) + keys + Sight::size(a)));
    float *const scores = memory, *const bias = scores + shared * keys, *const q = bias + keys;
    float* const factors = q + shared * width;
    const Sight sight(a, factors + shared);
    for (int64_t item = begin; item < end; item++) {
      const int64_t b = item / a.G, g = item % a.G, h = g * shared;
      const float *const k = a.key(b, g), *const v = a.value(b, g);
      fillBias(a, b, bias);
      sight.fill(a, b);
      const int64_t start = sight.start(0), seen = lastSeen(bias, a.K), limit = roundUp(seen, UNIT), count = limit < a.K ? limit : a.K;
      if (seen < sight.to[0]) sight.to[0] = (int32_t)seen;
      for (int64_t i = 0; i < shared; i++) {
        for (int64_t d = 0; d < width; d++) q[i * width + d] = d < a.D ? a.query(b, h + i)[d] * a.scale : 0.0f;
      }
      int64_t j = start;
      for (; j + 2 <= count; j += 2) allRows<2>(q, width, shared, k + j * next, next, a.D, ahead, scores + j, keys);
      for (; j < count; j++) allRows<1>(q, width, shared, k + j * next, next, a.D, ahead, scores + j, keys);
      for (int64_t i = 0; i < shared; i++) {
        float* const row = scores + i * keys;
        factors[i] = 1.0f / exponentials<GENERAL>(a, b, h + i, 0, sight, row, bias, start, limit);
        if (a.rate > 0) drop.apply(row, a.randomRow(b, h + i, 0), start, limit);
      }
      float* const to = y + (b * a.H + h) * a.D;
      const float *const p = scores + start, *const values = v + start * next;
      int64_t i = 0;
      for (; i + 4 <= shared; i += 4) weightedRows<4>(p + i * keys, keys, values, next, count - start, a.D, factors + i, to + i * a.D);
      for (; i < shared; i++) weightedRows<1>(p + i * keys, keys, values, next, count - start, a.D, factors + i, to + i * a.D);
    }
  });
}

}  // namespace
}  // namespace peft
