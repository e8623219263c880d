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
  int64_t B, T, K, H, G, D;  // G: key/value heads; T and K of the longest row, where rows have borders
  float scale, rate;
  bool causal;
  int64_t window;  // A query sees keys less than this far away; 0: all
  const float *q, *k, *v, *keyBias;  // keyBias: null or (B, K)
  Seed seed;
  // Of GeneralAttention alone:
  float cap;                   // 0: none
  const float *bias, *sinks;   // null, or (biases, H, T, K) and (H)
  int64_t biases;              // 1 or B
  int64_t biasT, biasK;        // at least T and K

  const int32_t* borders;  // null, or (B + 1): the queries of row b are [borders[b], borders[b + 1]) of one sample
  /// Of q and k as they are: where rows have borders, one sample holds them all.
  int64_t samples() const { return borders == nullptr ? B : 1; }
  int64_t queriesOfSample() const { return borders == nullptr ? T : firstQuery(B); }
  int64_t keysOfSample() const { return borders == nullptr ? K : firstKey(B); }
  int64_t firstQuery(int64_t b) const { return borders == nullptr ? b * T : borders[b]; }
  int64_t firstKey(int64_t b) const { return borders == nullptr ? b * K : borders[b] + b * (K - T); }
  int64_t queries(int64_t b) const { return borders == nullptr ? T : borders[b + 1] - borders[b]; }
  int64_t keys(int64_t b) const { return queries(b) + K - T; }

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
  /// The key of the same token as query i.
  int64_t own(int64_t i) const { return i + K - T; }
  uint64_t randomRow(int64_t b, int64_t h, int64_t i) const { return (uint64_t)((b * H + h) * T + i); }

  int64_t biasRow(int64_t b, int64_t h, int64_t i) const { return (((biases == 1 ? 0 : b) * H + h) * biasT + i) * biasK; }
  const float* query(int64_t b, int64_t h) const { return q + (firstQuery(b) * H + h) * D; }
  const float* key(int64_t b, int64_t g) const { return k + (firstKey(b) * G + g) * D; }
  const float* value(int64_t b, int64_t g) const { return v + (firstKey(b) * G + g) * D; }
};

void readGeneral(Call& call, Attention& a) {
  const Input bias = call.floats(6), sinks = call.floats(7);
  a.cap = call.number("cap");
  if (bias.size != 0) {
    if (bias.shape.rank != 4) fail("expected bias of 4 dimensions, got %d", bias.shape.rank);
    a.biases = bias.shape.dims[0] == 1 ? 1 : a.B;
    a.biasT = bias.shape.dims[2];
    a.biasK = bias.shape.dims[3];
    if (a.biasT < a.T || a.biasK < a.K) fail("expected a bias of at least %lld queries and %lld keys", (long long)a.T, (long long)a.K);
    expectSize("bias", bias, a.biases * a.H * a.biasT * a.biasK);
    a.bias = bias.data;
  }
  if (sinks.size != 0) {
    expectSize("sinks", sinks, a.H);
    a.sinks = sinks.data;
  }
}

/// Makes the one sample that there is the rows between the borders.
void readBorders(const Tensor<const int32_t>& borders, Attention& a) {
  const int64_t rows = borders.size - 1, extra = rows < 1 ? 0 : (a.K - a.T) / rows;  // keys of each row before those of its queries
  if (a.B != 1 || rows < 1 || borders.data[0] != 0 || borders.data[rows] != a.T || a.K != a.T + rows * extra) {
    fail("expected one sample, borders from 0 to its %lld queries, and as many keys more in each row", (long long)a.T);
  }
  int64_t longest = 0;
  for (int64_t b = 0; b < rows; b++) {
    const int64_t length = borders.data[b + 1] - borders.data[b];
    if (length < 1) fail("expected borders that rise, got %d behind %d", borders.data[b + 1], borders.data[b]);
    if (length > longest) longest = length;
  }
  a.B = rows;
  a.T = longest;
  a.K = longest + extra;
  a.borders = borders.data;
}

/// Attention reads q, k, v, keyBias, seed and borders; GeneralAttention reads bias and sinks behind them.
template <bool GENERAL>
Attention readAttention(Call& call) {
  const Input q = call.floats(0), k = call.floats(1), v = call.floats(2), keyBias = call.floats(3);
  if (q.shape.rank != 4 || k.shape.rank != 4 || v.shape.rank != 4) fail("expected q, k and v of 4 dimensions");
  const int64_t *qs = q.shape.dims, *ks = k.shape.dims, *vs = v.shape.dims;
  Attention a{qs[0], qs[1], ks[1], qs[2], ks[2], qs[3], call.number("scale"), rateOf(call), call.flag("causal"),
              (int64_t)call.number("window"), q.data, k.data, v.data, nullptr, seedOf(call.ints(4)), 0.0f, nullptr, nullptr, 1, 0, 0,
              nullptr};
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
  if ((a.causal || a.window > 0) && a.K < a.T) {
    fail("expected at least as many keys as queries in causal attention or within a window, got %lld and %lld", (long long)a.K,
         (long long)a.T);
  }
  const Tensor<const int32_t> borders = call.ints(5);
  if (borders.size != 0) readBorders(borders, a);
  if (keyBias.size != 0) {
    expectSize("keyBias", keyBias, a.firstKey(a.B));
    a.keyBias = keyBias.data;
  }
  if (GENERAL) readGeneral(call, a);
  return a;
}

/// What is added to the scores of each key: its bias, and −∞ for the padding behind the last key.
void fillBias(const Attention& a, int64_t b, float* bias) {
  for (int64_t j = 0; j < a.keys(); j++) {
    bias[j] = j >= a.keys(b) ? -INFINITY : a.keyBias == nullptr ? 0.0f : a.keyBias[a.firstKey(b) + j];
  }
}

/// Stands for a key that is never seen, as in ops/attention.ts.
constexpr float HIDDEN = -5e29f;

/// The keys [from[i], to[i]) that query i of a sample may see. Neither falls from query to query. Distances of a window count the keys
/// that `keyBias` does not hide.
struct Sight {
  int32_t *from, *to, *places;  // (T), (T), (K)

  /// Floats of the memory that it needs.
  static int64_t size(const Attention& a) { return 2 * a.T + a.K; }

  Sight(const Attention& a, float* memory)
      : from(reinterpret_cast<int32_t*>(memory)), to(from + a.T), places(to + a.T) {}

  void fill(const Attention& a, int64_t b) const {
    const int64_t T = a.queries(b), K = a.keys(b);
    int32_t count = 0;
    for (int64_t j = 0; a.window > 0 && j < K; j++) {
      if (a.keyBias == nullptr || a.keyBias[a.firstKey(b) + j] > HIDDEN) count++;
      places[j] = count;
    }
    int64_t first = 0, last = 0;
    for (int64_t i = 0; i < T; i++) {
      const int64_t own = a.own(i);
      if (a.window > 0) {
        while (places[first] <= places[own] - a.window) first++;
        while (!a.causal && last < K && places[last] < places[own] + a.window) last++;
      }
      from[i] = (int32_t)first;
      to[i] = (int32_t)(a.causal ? own + 1 : a.window > 0 ? last : K);
    }
  }

  /// Whole units of keys that hold those of the queries [i, i + count).
  int64_t start(int64_t i) const { return from[i] / UNIT * UNIT; }
  int64_t limit(int64_t i, int64_t count) const { return roundUp(to[i + count - 1], UNIT); }
};

/// Scores of a query to cap tanh(score / cap) + its own bias, for the keys [start, visible). `slopes`: null, or the cap's derivatives.
inline void capAndBias(const Attention& a, int64_t b, int64_t h, int64_t i, float* scores, int64_t start, int64_t visible, float* slopes) {
  const float* const bias = a.bias == nullptr ? nullptr : a.bias + a.biasRow(b, h, i);
  for (int64_t j = start; j < visible; j += LANES) {
    Floats score = load(scores + j);
    if (a.cap > 0) {
      const Floats t = hyperbolicTangent(score / a.cap);
      if (slopes != nullptr) store(slopes + j, 1.0f - t * t);
      score = t * a.cap;
    }
    store(scores + j, bias == nullptr ? score : score + load(bias + j, visible - j));
  }
}

/// Scores to exp(score + bias − the largest) for the keys [start, visible), and 0 up to `limit`; returns their sum.
/// `sink`: null, or one score more for the largest and the sum; it becomes its exponential.
inline float exponentiate(float* scores, const float* bias, int64_t start, int64_t visible, int64_t limit, float* sink = nullptr) {
  Floats most = splat(sink == nullptr ? -INFINITY : *sink);
  for (int64_t j = start; j < visible; j += LANES) {
    const Floats biased = first(visible - j, load(scores + j) + load(bias + j), -INFINITY);
    store(scores + j, biased);
    most = larger(biased, most);
  }
  const float shift = largest(most);
  Floats total{};
  int64_t j = start;
  for (; j < visible; j += LANES) {
    const Floats e = exponential(load(scores + j) - shift);
    store(scores + j, e);
    total += e;
  }
  for (; j < limit; j += LANES) store(scores + j, Floats{});
  if (sink == nullptr) return sum(total);
  *sink = exponential(splat(*sink - shift))[0];
  return sum(total) + *sink;
}

/// The same for query i, of the keys in its sight, with all that GENERAL adds. Those from `start` on that are not get 0.
/// `sink` receives the exponential of the head's sink.
template <bool GENERAL>
inline float exponentials(const Attention& a, int64_t b, int64_t h, int64_t i, const Sight& sight, float* scores, const float* bias,
                          int64_t start, int64_t limit, float* slopes = nullptr, float* sink = nullptr) {
  const int64_t visible = sight.to[i];
  if (GENERAL) capAndBias(a, b, h, i, scores, start, visible, slopes);
  for (int64_t j = start; j < sight.from[i]; j++) scores[j] = -INFINITY;
  if (!GENERAL) return exponentiate(scores, bias, start, visible, limit);
  float own = a.sinks == nullptr ? 0.0f : a.sinks[h];
  const float total = exponentiate(scores, bias, start, visible, limit, a.sinks == nullptr ? nullptr : &own);
  if (sink != nullptr) *sink = own;
  return total;
}

}  // namespace
}  // namespace peft
