// Products of many rows with a weight, as in training: nearly all of a step's work. Threads take stripes of the weight's
// columns: a stripe is rearranged once, so that the innermost loop reads it in order, and stays in the processor's own
// cache while the rows of a block go by. (Goto and van de Geijn 2008, Anatomy of High-Performance Matrix Multiplication.)
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
/// So many terms of a sum at a time, for so many rows and stripes: a row of x, once read, goes by all of these stripes, and
/// those stay in a core's cache beside it.
constexpr int64_t DEPTH = 768, ROW_BLOCK = 512, STRIPES = 2;

inline Floats widened(const float* from, int64_t left) { return load(from, left); }

inline Floats widened(const uint16_t* from, int64_t left) {
  typedef uint16_t Shorts __attribute__((vector_size(LANES * 2)));
  Shorts shorts{};
  if (left >= LANES) memcpy(&shorts, from, sizeof shorts);  // of a size that the compiler knows: no call
  else memcpy(&shorts, from, static_cast<size_t>(left) * 2);
  return (Floats)(__builtin_convertvector(shorts, Words) << 16);
}

/// LANES numbers of the weight as it is stored, from (row, column) on; the first `left`, then zeros.
template <typename Number>
inline Floats vectorAt(const Product<Number>& p, int64_t row, int64_t column, int64_t left) {
  return widened(p.weight + row * (p.transposed ? p.width : p.outputs) + column, left);
}

/// Asks for what `vectorAt` will read there: few rows of x go by so quickly that the next stripe would be waited for.
template <typename Number>
inline void askFor(const Product<Number>& p, int64_t row, int64_t column) {
  __builtin_prefetch(p.weight + row * p.width + column, 0, 2);
}

/// Columns [j, j + count) of the terms [k, k + depth), term by term; zeros up to `width` columns.
template <typename Number>
void rearrangeVectors(const Product<Number>& p, int64_t j, int64_t count, int64_t width, int64_t k, int64_t depth, float* to) {
  if (!p.transposed) {
    for (int64_t i = 0; i < depth; i++) {
      for (int64_t c = 0; c < width; c += LANES) store(to + i * width + c, vectorAt(p, k + i, j + c, count - c));
    }
    return;
  }
  for (int64_t c = 0; c < width; c += LANES) {  // few enough of the weight's rows at a time for the processor to read ahead
    for (int64_t i = 0; i < depth; i += LANES) {
      Floats rows[LANES];
      for (int r = 0; r < LANES; r++) {
        askFor(p, j + c + r + STRIPE, k + i);
        rows[r] = c + r < count ? vectorAt(p, j + c + r, k + i, depth - i) : Floats{};
      }
      transpose(rows);
      for (int r = 0; r < LANES && i + r < depth; r++) store(to + (i + r) * width + c, rows[r]);
    }
  }
}

/// The same, for weights that have a faster way to it too.
template <typename Number>
void rearrange(const Product<Number>& p, int64_t j, int64_t count, int64_t width, int64_t k, int64_t depth, float* to) {
  rearrangeVectors(p, j, count, width, k, depth, to);
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
#pragma GCC unroll 8
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

/// Columns of the weight that are ready to be multiplied with.
struct Stripe {
  int64_t column, count, depth;
  const float* terms;
  const float* start;  // of the sums; nullptr where they go on from what y holds
};

/// M rows from the i-th on, whose terms begin at the k-th.
template <int M, typename Number>
void stripeRows(const Product<Number>& p, int64_t i, int64_t k, const Stripe& s) {
  const float* const a = p.x + i * p.width + k;
  float* const c = p.y + i * p.outputs + s.column;
  const float* const from = s.start == nullptr ? c : s.start;
  const int64_t fromStride = s.start == nullptr ? p.outputs : 0;
  if (s.count > 2 * LANES) sumTile<M, 3>(s.depth, a, p.width, s.terms, from, fromStride, c, p.outputs, s.count);
  else if (s.count > LANES) sumTile<M, 2>(s.depth, a, p.width, s.terms, from, fromStride, c, p.outputs, s.count);
  else sumTile<M, 1>(s.depth, a, p.width, s.terms, from, fromStride, c, p.outputs, s.count);
}

/// Rows from the i-th to before the last, the stripes' columns each.
template <int M = ROWS, typename Number>
void multiplyRows(const Product<Number>& p, int64_t i, int64_t last, int64_t k, const Stripe* stripes, int count) {
  for (; i + M <= last; i += M) {
    for (int s = 0; s < count; s++) stripeRows<M>(p, i, k, stripes[s]);
  }
  if constexpr (M > 1) {
    if (i < last) multiplyRows<M / 2>(p, i, last, k, stripes, count);
  }
}

/// The sums of `rows` rows from the i-th on, in the columns from the j-th on of up to `most` stripes.
template <typename Number>
void multiplyBlock(const Product<Number>& p, int64_t i, int64_t rows, int64_t j, int64_t most, int64_t k, int64_t depth) {
  float* const terms = scratch(static_cast<size_t>((DEPTH + 1) * STRIPE * STRIPES));
  float* const starts = terms + DEPTH * STRIPE * STRIPES;
  Stripe stripes[STRIPES];
  int count = 0;
  for (; count < most && j < p.outputs; count++, j += STRIPE) {
    Stripe& s = stripes[count];
    float* const to = terms + count * STRIPE * DEPTH;
    float* const start = starts + count * STRIPE;
    s = {j, p.outputs - j < STRIPE ? p.outputs - j : STRIPE, depth, to, k == 0 ? start : nullptr};
    rearrange(p, j, s.count, roundUp(s.count, LANES), k, depth, to);
    for (int64_t c = 0; c < STRIPE; c++) start[c] = p.bias != nullptr && c < s.count ? p.bias[j + c] : 0.0f;
  }
  multiplyRows(p, i, i + rows, k, stripes, count);
}

template <typename Number>
void multiplyFloats(const Product<Number>& p) {
  const int64_t stripes = (p.outputs + STRIPE - 1) / STRIPE, down = (p.rows + ROW_BLOCK - 1) / ROW_BLOCK;
  const int64_t each = stripes * down < 4 * STRIPES * threadCount() ? 1 : STRIPES;  // so that each thread has several
  const int64_t across = (stripes + each - 1) / each;
  for (int64_t k = 0; k == 0 || k < p.width; k += DEPTH) {
    const int64_t depth = p.width - k < DEPTH ? p.width - k : DEPTH;
    parallel(across * down, 1, [&](int64_t begin, int64_t end) {
      for (int64_t item = begin; item < end; item++) {
        const int64_t i = item / across * ROW_BLOCK, rows = p.rows - i < ROW_BLOCK ? p.rows - i : ROW_BLOCK;
        multiplyBlock(p, i, rows, item % across * each * STRIPE, each, k, depth);
      }
    });
  }
}

/// The same, for weights whose numbers are multiplied in another form too.
template <typename Number>
void multiply(const Product<Number>& p) {
  multiplyFloats(p);
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
