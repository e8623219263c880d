// Attention, forward and backward, on tensors (B, T, H, D) as they come from the projections: no transposed copies, and
// no memory that grows with queries · keys. Each thread takes whole heads. For a block of queries it computes the scores
// of all keys, which stay in its cache; the backward pass computes them again. (Dao et al. 2022, arXiv:2205.14135, has the
// idea; a CPU's cache holds whole rows of scores, so that no running maximum is needed and nothing is kept of a row.) Within a
// window it computes those of the keys that the block sees. Rows of different lengths may stand one behind the other: each is a
// sample of its own length then.
#pragma once
#include "one-query.h"
#include "product.h"
#include "random.h"
#include "scores.h"
#include "shape.h"
#include "tensorflow.h"
#include "vector.h"

namespace peft {
namespace {

// GENERAL adds a cap on the scores, a bias for each query, head and key, and sinks; without it the code for them is not there.

/// y = softmax(scale q kᵀ + bias) v
template <bool GENERAL>
void attention(Call& call) {
  const Attention a = readAttention<GENERAL>(call);
  float* y = call.output(0, {4, {a.samples(), a.queriesOfSample(), a.H, a.D}});
  if (a.B * a.T * a.H * a.D == 0) return;
  if (a.T == 1) return oneQuery<GENERAL>(a, y);
  const Dropout drop(a.seed, a.rate);
  const int64_t keys = a.keys(), width = a.width(), stride = a.stride(), block = a.block();
  // Long sequences are shared out in parts too, so that few heads can keep many threads at work.
  const int64_t part = roundUp(256, block), parts = (a.T + part - 1) / part;
  parallel(a.B * a.H * parts, 1, [&](int64_t begin, int64_t end) {
    float* memory = scratch((size_t)(width * stride + 2 * keys * width + 2 * block * width + block * stride + keys + Sight::size(a)));
    auto take = [&memory](int64_t floats) { return (memory += floats) - floats; };
    const Matrix kT{take(width * stride), stride}, k{take(keys * width), width}, v{take(keys * width), width};
    const Matrix q{take(block * width), width}, out{take(block * width), width}, p{take(block * stride), stride};
    float* const bias = take(keys);
    const Sight sight(a, take(Sight::size(a)));
    for (int64_t item = begin; item < end; item++) {
      const int64_t b = item / (a.H * parts), h = item / parts % a.H, g = h / (a.H / a.G);
      const int64_t T = a.queries(b), K = a.keys(b), first = item % parts * part, last = first + part < T ? first + part : T;
      if (first >= T) continue;  // a shorter row than the longest
      sight.fill(a, b);
      const int64_t low = sight.start(first), high = sight.limit(first, last - first), seen = (high < K ? high : K) - low;
      const Matrix kSeen{k.data + low * width, width};
      pack(kSeen, width, high - low, a.key(b, g) + low * a.G * a.D, a.G * a.D, seen, a.D, 1.0f);
      transpose({kT.data + low, stride}, kSeen.data, width, high - low, width);
      pack({v.data + low * width, width}, width, high - low, a.value(b, g) + low * a.G * a.D, a.G * a.D, seen, a.D, 1.0f);
      fillBias(a, b, bias);
      for (int64_t t = first; t < last; t += block) {
        const int64_t count = last - t < block ? last - t : block, rows = roundUp(count, ROWS);
        const int64_t start = sight.start(t), limit = sight.limit(t, count);  // no query of the block sees other keys
        pack(q, width, rows, a.query(b, h) + t * a.H * a.D, a.H * a.D, count, a.D, a.scale);
        product(rows, limit - start, width, {q.data, q.stride, 1}, {kT.data + start, stride}, {p.data + start, stride}, false);
        float inverse[64];
        assert(count <= 64 && limit <= stride);
        for (int64_t i = 0; i < count; i++) {
          float* const scores = p.data + i * stride;
          inverse[i] = 1.0f / exponentials<GENERAL>(a, b, h, t + i, sight, scores, bias, start, limit);
          if (a.rate > 0) drop.apply(scores, a.randomRow(b, h, t + i), start, limit);
        }
        product(rows, width, limit - start, {p.data + start, stride, 1}, {v.data + start * width, width}, out, false);
        for (int64_t i = 0; i < count; i++) {
          float* const row = y + ((a.firstQuery(b) + t + i) * a.H + h) * a.D;
          for (int64_t d = 0; d < a.D; d += LANES) store(row + d, load(out.data + i * width + d) * inverse[i], a.D - d);
        }
      }
    }
  });
}

/// With P the probabilities, M dropout's factors and dP = M dy vᵀ:
/// dv = (P M)ᵀ dy, dS = P (dP − Σ P dP), dq = scale dS k, dk = scale dSᵀ q
/// GENERAL: dbias = dS, summed over the samples that share it, dsink = −P_sink Σ P dP for each query, and then dS takes the
/// cap's derivative.
template <bool GENERAL>
void attentionGrad(Call& call) {
  const Attention a = readAttention<GENERAL>(call);
  const Input dy = call.floats(GENERAL ? 8 : 6);
  expectSize("dy", dy, a.firstQuery(a.B) * a.H * a.D);
  const Shape ofKeys{4, {a.samples(), a.keysOfSample(), a.G, a.D}};
  float* dq = call.output(0, {4, {a.samples(), a.queriesOfSample(), a.H, a.D}});
  float* dk = call.output(1, ofKeys);
  float* dv = call.output(2, ofKeys);
  float *dBias = nullptr, *dSinks = nullptr;
  if (GENERAL) {
    const Shape none{1, {0}};
    const bool wanted = a.bias != nullptr && call.flag("bias_grad");
    float* const biasGrad = call.output(3, wanted ? Shape{4, {a.biases, a.H, a.biasT, a.biasK}} : none);
    if (wanted) memset(dBias = biasGrad, 0, (size_t)(a.biases * a.H * a.biasT * a.biasK) * 4);
    float* const sinkGrad = call.output(4, a.sinks != nullptr ? Shape{2, {a.firstQuery(a.B), a.H}} : none);
    if (a.sinks != nullptr) dSinks = sinkGrad;
  }
  const Dropout drop(a.seed, a.rate);
  const int64_t keys = a.keys(), width = a.width(), stride = a.stride(), block = a.block(), shared = a.H / a.G;
  // One thread takes all samples that add to the same rows of dbias.
  const int64_t together = GENERAL && dBias != nullptr && a.biases == 1 ? a.B : 1;
  parallel(together == 1 ? a.B * a.G : a.G, 1, [&](int64_t begin, int64_t end) {
    float* memory = scratch((size_t)(2 * width * stride + 4 * keys * width + 3 * block * width + 3 * block * stride + keys +
                                     Sight::size(a) + (GENERAL ? stride : 0)));
    auto take = [&memory](int64_t floats) { return (memory += floats) - floats; };
    const Matrix kT{take(width * stride), stride}, vT{take(width * stride), stride};
    const Matrix k{take(keys * width), width}, v{take(keys * width), width};
    const Matrix dkSum{take(keys * width), width}, dvSum{take(keys * width), width};
    const Matrix q{take(block * width), width}, up{take(block * width), width}, dqRows{take(block * width), width};
    const Matrix p{take(block * stride), stride}, dS{take(block * stride), stride};
    float *const factors = take(block * stride), *const bias = take(keys);
    float* const slopes = GENERAL && a.cap > 0 ? take(stride) : nullptr;
    const Sight sight(a, take(Sight::size(a)));
    for (int64_t item = begin * together; item < end * together; item++) {
      const int64_t b = together == 1 ? item / a.G : item % together, g = together == 1 ? item % a.G : item / together;
      const int64_t T = a.queries(b), K = a.keys(b), own = roundUp(K, UNIT), before = a.firstQuery(b);
      pack(k, width, own, a.key(b, g), a.G * a.D, K, a.D, 1.0f);
      transpose(kT, k.data, width, own, width);
      pack(v, width, own, a.value(b, g), a.G * a.D, K, a.D, 1.0f);
      transpose(vT, v.data, width, own, width);
      fillBias(a, b, bias);
      sight.fill(a, b);
      memset(dkSum.data, 0, (size_t)(own * width) * 4);
      memset(dvSum.data, 0, (size_t)(own * width) * 4);
      for (int64_t h = g * shared; h < (g + 1) * shared; h++) {
        for (int64_t t = 0; t < T; t += block) {
          const int64_t count = T - t < block ? T - t : block, rows = roundUp(count, ROWS);
          const int64_t start = sight.start(t), limit = sight.limit(t, count), at = ((before + t) * a.H + h) * a.D;
          pack(q, width, rows, a.query(b, h) + t * a.H * a.D, a.H * a.D, count, a.D, a.scale);
          pack(up, width, rows, dy.data + at, a.H * a.D, count, a.D, 1.0f);
          const Matrix pSeen{p.data + start, stride}, dSeen{dS.data + start, stride};
          product(rows, limit - start, width, {q.data, width, 1}, {kT.data + start, stride}, pSeen, false);
          product(rows, limit - start, width, {up.data, width, 1}, {vT.data + start, stride}, dSeen, false);
          for (int64_t i = 0; i < rows; i++) {
            float *const pi = p.data + i * stride, *const di = dS.data + i * stride;
            if (i >= count) {  // rows of padding
              memset(pi + start, 0, (size_t)(limit - start) * 4);
              memset(di + start, 0, (size_t)(limit - start) * 4);
              continue;
            }
            float sink = 0.0f;
            const float inverse = 1.0f / exponentials<GENERAL>(a, b, h, t + i, sight, pi, bias, start, limit, slopes, &sink);
            if (a.rate > 0) {
              for (int64_t j = start; j < limit; j += LANES) store(factors + j, splat(1.0f));
              drop.apply(factors, a.randomRow(b, h, t + i), start, limit);
              for (int64_t j = start; j < limit; j += LANES) store(di + j, load(di + j) * load(factors + j));
            }
            Floats along{};
            for (int64_t j = start; j < limit; j += LANES) along += load(pi + j) * load(di + j);
            const float mean = sum(along) * inverse;
            for (int64_t j = start; j < limit; j += LANES) {
              const Floats pj = load(pi + j) * inverse;
              store(di + j, pj * (load(di + j) - mean));
              store(pi + j, a.rate > 0 ? pj * load(factors + j) : pj);
            }
            if (!GENERAL) continue;
            const int64_t visible = sight.to[t + i];
            if (dSinks != nullptr) dSinks[(before + t + i) * a.H + h] = -sink * inverse * mean;
            if (dBias != nullptr) {
              float* const row = dBias + a.biasRow(b, h, t + i);
              for (int64_t j = start; j < visible; j += LANES) store(row + j, load(row + j, visible - j) + load(di + j), visible - j);
            }
            if (slopes != nullptr) {
              for (int64_t j = start; j < visible; j += LANES) store(di + j, load(di + j) * load(slopes + j));
            }
          }
          const int64_t first = start * width;
          product(limit - start, width, rows, {pSeen.data, 1, stride}, up, {dvSum.data + first, width}, true);
          product(limit - start, width, rows, {dSeen.data, 1, stride}, q, {dkSum.data + first, width}, true);  // q holds the scale
          product(rows, width, limit - start, {dSeen.data, stride, 1}, {k.data + first, width}, dqRows, false);
          for (int64_t i = 0; i < count; i++) {
            float* const row = dq + at + i * a.H * a.D;
            for (int64_t d = 0; d < a.D; d += LANES) store(row + d, load(dqRows.data + i * width + d) * a.scale, a.D - d);
          }
        }
      }
      for (int64_t j = 0; j < K; j++) {
        const int64_t to = ((a.firstKey(b) + j) * a.G + g) * a.D;
        for (int64_t d = 0; d < a.D; d += LANES) {
          store(dk + to + d, load(dkSum.data + j * width + d), a.D - d);
          store(dv + to + d, load(dvSum.data + j * width + d), a.D - d);
        }
      }
    }
  });
}

}  // namespace
}  // namespace peft
