// Products of many rows with a weight, as in training: nearly all of a step's work. Threads take stripes of the weight's
// columns: a stripe is rearranged once, so that the innermost loop reads it in order, and goes by all rows of a block while
// it is in the processor's own cache. (Goto and van de Geijn 2008, Anatomy of High-Performance Matrix Multiplication.)
// A bfloat16 weight is widened as it is rearranged: there is no float copy of it as a whole.
#pragma once
#include "few-rows.h"
#include "product.h"
#include "shape.h"
#include "vector.h"

namespace peft {
namespace {

/// A tile of the result stays in registers: ROWS rows and up to so many vectors of columns.
constexpr int VECTORS = 3;
constexpr int64_t STRIPE = VECTORS * LANES;
/// So many terms of a sum at a time; of x, so many rows with as many numbers stay in a core's cache.
constexpr int64_t DEPTH = 768, ROW_BLOCK = 512;

inline Floats widened(const float* from, int64_t left) { return load(from, left); }

inline Floats widened(const uint16_t* from, int64_t left) {
  uint16_t padded[LANES] = {};
  memcpy(padded, from, static_cast<size_t>(left < LANES ? left : LANES) * 2);
  Words words;
  for (int i = 0; i < LANES; i++) words[i] = static_cast<uint32_t>(padded[i]) << 16;
  return (Floats)words;
}

/// Columns [j, j + count) of the terms [k, k + depth), term by term; zeros up to `width` columns.
template <typename Number>
void rearrange(const Product<Number>& p, int64_t j, int64_t count, int64_t width, int64_t k, int64_t depth, float* to) {
  if (!p.transposed) {
    for (int64_t i = 0; i < depth; i++) {
      const Number* const from = p.weight + (k + i) * p.outputs + j;
      for (int64_t c = 0; c < width; c += LANES) store(to + i * width + c, widened(from + c, count - c));
    }
    return;
  }
  for (int64_t i = 0; i < depth; i += LANES) {
    for (int64_t c = 0; c < width; c += LANES) {
      Floats rows[LANES];
      for (int r = 0; r < LANES; r++) {
        rows[r] = c + r < count ? widened(p.weight + (j + c + r) * p.width + k + i, depth - i) : Floats{};
      }
      transpose(rows);
      for (int r = 0; r < LANES && i + r < depth; r++) store(to + (i + r) * width + c, rows[r]);
    }
  }
}

/// c = from + a b for M rows of a and WIDTH vectors of columns, the last of which may be in part beyond the result.
template <int M, int WIDTH>
void sumTile(int64_t depth, const float* a, int64_t aStride, const float* b, const float* from, int64_t fromStride,
             float* c, int64_t stride, int64_t count) {
  constexpr int LAST = WIDTH - 1;
  Floats sums[M][WIDTH] = {};
  for (int i = 0; i < M; i++) {
    for (int j = 0; j < WIDTH; j++) __builtin_prefetch(c + i * stride + j * LANES, 1);
  }
  for (int64_t k = 0; k < depth; k++) {
    Floats row[WIDTH];
    for (int j = 0; j < WIDTH; j++) row[j] = load(b + (k * WIDTH + j) * LANES);
    for (int i = 0; i < M; i++) {
      const float factor = a[i * aStride + k];
      for (int j = 0; j < WIDTH; j++) sums[i][j] += factor * row[j];
    }
  }
  for (int i = 0; i < M; i++) {
    const float* const before = from + i * fromStride;
    for (int j = 0; j < LAST; j++) store(c + i * stride + j * LANES, load(before + j * LANES) + sums[i][j]);
    store(c + i * stride + LAST * LANES, load(before + LAST * LANES, count - LAST * LANES) + sums[i][LAST], count - LAST * LANES);
  }
}

/// Rows [begin, end) of a stripe's columns. The sums start as `start`, or go on from what y holds where it is nullptr.
template <int WIDTH, typename Number>
void stripeRows(const Product<Number>& p, int64_t begin, int64_t end, int64_t j, int64_t count, int64_t k, int64_t depth,
                const float* b, const float* start) {
  const auto tileAt = [&](auto* run, int64_t i) {
    float* const c = p.y + i * p.outputs + j;
    run(depth, p.x + i * p.width + k, p.width, b, start == nullptr ? c : start, start == nullptr ? p.outputs : 0, c, p.outputs, count);
  };
  int64_t i = begin;
  for (; i + ROWS <= end; i += ROWS) tileAt(sumTile<ROWS, WIDTH>, i);
  for (; i < end; i++) tileAt(sumTile<1, WIDTH>, i);
}

template <typename Number>
void multiply(const Product<Number>& p) {
  const int64_t stripes = (p.outputs + STRIPE - 1) / STRIPE, blocks = (p.rows + ROW_BLOCK - 1) / ROW_BLOCK;
  for (int64_t k = 0; k == 0 || k < p.width; k += DEPTH) {
    const int64_t depth = p.width - k < DEPTH ? p.width - k : DEPTH;
    parallel(stripes * blocks, 1, [&](int64_t begin, int64_t end) {
      float* const b = scratch(static_cast<size_t>((DEPTH + 1) * STRIPE));
      float* const start = b + DEPTH * STRIPE;
      for (int64_t item = begin; item < end; item++) {
        const int64_t j = item % stripes * STRIPE, first = item / stripes * ROW_BLOCK;
        const int64_t last = p.rows - first < ROW_BLOCK ? p.rows : first + ROW_BLOCK;
        const int64_t count = p.outputs - j < STRIPE ? p.outputs - j : STRIPE, width = roundUp(count, LANES);
        rearrange(p, j, count, width, k, depth, b);
        for (int64_t c = 0; c < STRIPE; c++) start[c] = p.bias != nullptr && c < count ? p.bias[j + c] : 0.0f;
        const float* const from = k == 0 ? start : nullptr;
        if (width == 3 * LANES) stripeRows<3>(p, first, last, j, count, k, depth, b, from);
        else if (width == 2 * LANES) stripeRows<2>(p, first, last, j, count, k, depth, b, from);
        else stripeRows<1>(p, first, last, j, count, k, depth, b, from);
      }
    });
  }
}

/// y (M, N) = x (M, K) Wᵀ + bias of W (N, K), or x W of W (K, N)
template <typename Weight, typename Number>
void manyRows(Call& call) {
  const Input x = call.floats(0), bias = call.floats(2);
  Weight weight;
  weightOf(call, 1, &weight);
  const bool transposed = call.flag("transposed");
  if (x.shape.rank != 2 || weight.shape.rank != 2 || x.shape.dims[1] != weight.shape.dims[transposed ? 1 : 0]) {
    fail("expected x (M, K) and weight %s, got rank %d with %lld columns and rank %d with %lld rows and %lld columns",
         transposed ? "(N, K)" : "(K, N)", x.shape.rank, (long long)lastOf(x.shape), weight.shape.rank,
         (long long)firstOf(weight.shape), (long long)lastOf(weight.shape));
  }
  const int64_t outputs = weight.shape.dims[transposed ? 0 : 1];
  if (bias.size != 0) expectSize("bias", bias, outputs);
  float* const y = call.output(0, {2, {x.shape.dims[0], outputs}});
  multiply<Number>({x.data, weight.data, bias.size == 0 ? nullptr : bias.data, y, x.shape.dims[0], x.shape.dims[1], outputs, transposed});
}

}  // namespace
}  // namespace peft
