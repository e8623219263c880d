// What attention is computed from, and its scores: for many queries (attention.h) and for one (one-query.h).
#pragma once
#include "product.h"
#include "random.h"
#include "shape.h"
#include "tensorflow.h"
#include "vector.h"

namespace peft {
namespace {

struct Attention {
  int64_t B, T, K, H, G, D;  // G: key/value heads
  float scale, rate;
  bool causal;
  const float *q, *k, *v, *keyBias;  // keyBias: null or (B, K)
  Seed seed;

  int64_t keys() const { return roundUp(K, UNIT); }
  int64_t width() const { return roundUp(D, UNIT); }
  /// From row to row of scores and transposed keys: no power of two, whose rows would compete for the same cache lines.
  int64_t stride() const { return keys() + LANES; }
  /// Queries in a block: the scores of two blocks are to fit the cache of one processor.
  int64_t block() const {
    const int64_t fit = roundUp(131072 / keys() - ROWS + 1, ROWS);
    const int64_t most = fit < 2 * ROWS ? 2 * ROWS : fit > 64 ? 64 : fit;
    const int64_t all = roundUp(T, ROWS);
    return most < all ? most : all;
  }
  /// Keys that query i may see.
  int64_t visible(int64_t i) const { return causal ? i + K - T + 1 : K; }
  uint64_t randomRow(int64_t b, int64_t h, int64_t i) const { return (uint64_t)((b * H + h) * T + i); }

  const float* query(int64_t b, int64_t h) const { return q + (b * T * H + h) * D; }
  const float* key(int64_t b, int64_t g) const { return k + (b * K * G + g) * D; }
  const float* value(int64_t b, int64_t g) const { return v + (b * K * G + g) * D; }
};

Attention readAttention(Call& call) {
  const Input q = call.floats(0), k = call.floats(1), v = call.floats(2), keyBias = call.floats(3);
  if (q.shape.rank != 4 || k.shape.rank != 4 || v.shape.rank != 4) fail("expected q, k and v of 4 dimensions");
  const int64_t *qs = q.shape.dims, *ks = k.shape.dims, *vs = v.shape.dims;
  Attention a{qs[0], qs[1], ks[1], qs[2], ks[2], qs[3], call.number("scale"), rateOf(call), call.flag("causal"),
              q.data, k.data, v.data, nullptr, seedOf(call.ints(4))};
  for (int i = 0; i < 4; i++) {
    if (ks[i] != vs[i]) {
      fail("expected k and v of one shape; they differ in dimension %d, %lld and %lld", i, (long long)ks[i],
           (long long)vs[i]);
    }
  }
  if (ks[0] != a.B || ks[3] != a.D) {
    fail("expected q and k of one batch and head size, got (%lld, %lld) and (%lld, %lld)", (long long)a.B,
         (long long)a.D, (long long)ks[0], (long long)ks[3]);
  }
  if (a.G < 1 || a.H % a.G != 0) {
    fail("expected a number of heads that %lld key heads divide, got %lld", (long long)a.G, (long long)a.H);
  }
  if (a.K < 1) fail("expected at least one key");
  if (a.causal && a.K < a.T) {
    fail("expected at least as many keys as queries in causal attention, got %lld and %lld", (long long)a.K,
         (long long)a.T);
  }
  if (keyBias.size != 0) {
    expectSize("keyBias", keyBias, a.B * a.K);
    a.keyBias = keyBias.data;
  }
  return a;
}

/// What is added to the scores of each key: its bias, and −∞ for the padding behind the last key.
void fillBias(const Attention& a, int64_t b, float* bias) {
  for (int64_t j = 0; j < a.keys(); j++) {
    bias[j] = j >= a.K ? -INFINITY : a.keyBias == nullptr ? 0.0f : a.keyBias[b * a.K + j];
  }
}

/// Scores to exp(score + bias − the largest) for the keys in sight, and 0 up to `limit`; returns their sum.
inline float exponentiate(float* scores, const float* bias, int64_t visible, int64_t limit) {
  Floats most = splat(-INFINITY);
  for (int64_t j = 0; j < visible; j += LANES) {
    const Floats biased = first(visible - j, load(scores + j) + load(bias + j), -INFINITY);
    store(scores + j, biased);
    most = larger(biased, most);
  }
  const float shift = largest(most);
  Floats total{};
  int64_t j = 0;
  for (; j < visible; j += LANES) {
    const Floats e = exponential(load(scores + j) - shift);
    store(scores + j, e);
    total += e;
  }
  for (; j < limit; j += LANES) store(scores + j, Floats{});
  return sum(total);
}

}  // namespace
}  // namespace peft
