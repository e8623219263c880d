// Products of a few rows with a weight, as in decoding. The weight is far larger than all else and comes from memory, so
// it is read once, as it is stored; bfloat16 numbers are widened on the way. Products and sums are in float32.
#pragma once
#include "product.h"
#include "shape.h"
#include "vector.h"

namespace peft {
namespace {

/// One vector of a weight in floats: `PARTS` vectors, which hold every PARTS-th number each.
template <typename Number>
constexpr int PARTS = sizeof(float) / sizeof(Number);

inline void widen(const float* from, Floats (&to)[1]) { to[0] = load(from); }

inline void widen(const uint16_t* from, Floats (&to)[2]) {
  Words pairs;
  memcpy(&pairs, from, sizeof pairs);
  to[0] = (Floats)(pairs << 16);
  to[1] = (Floats)(pairs & 0xffff0000u);
}

inline void widen(const int8_t* from, Floats (&to)[4]) {
  Ints fours;
  memcpy(&fours, from, sizeof fours);
  to[0] = __builtin_convertvector((fours << 24) >> 24, Floats);
  to[1] = __builtin_convertvector((fours << 16) >> 24, Floats);
  to[2] = __builtin_convertvector((fours << 8) >> 24, Floats);
  to[3] = __builtin_convertvector(fours >> 24, Floats);
}

/// The first `left` numbers, fewer than a vector's, then zeros.
template <typename Number>
inline void widen(const Number* from, int64_t left, Floats (&to)[PARTS<Number>]) {
  Number padded[LANES * PARTS<Number>] = {};
  memcpy(padded, from, static_cast<size_t>(left) * sizeof(Number));
  widen(padded, to);
}

/// A row of x for `widen`: the vectors' parts one behind the other, zeros behind the last.
template <typename Number>
inline void arrange(const float* x, int64_t size, int64_t padded, float* to) {
  constexpr int64_t STEP = LANES * PARTS<Number>;
  for (int64_t k = 0; k < padded; k += STEP) {
    for (int64_t i = 0; i < STEP; i++) to[k + i % PARTS<Number> * LANES + i / PARTS<Number>] = k + i < size ? x[k + i] : 0.0f;
  }
}

/// How far ahead of its use a weight is asked for, in bytes: memory keeps up with two rows that are read side by side.
constexpr int64_t AHEAD = 6144;

/// y[i · width + j] = x_i · w_j for M rows of x, which are arranged, and N of w; `size` long, `stride`s from row to row.
/// Asks for the numbers `ahead` behind those it uses.
template <int M, int N, typename Number>
inline void dotProducts(const float* x, int64_t xStride, const Number* w, int64_t stride, int64_t size,
                        int64_t ahead, float* y, int64_t width) {
  constexpr int P = PARTS<Number>;
  Floats sums[M][N] = {};
  const int64_t whole = size / (LANES * P) * (LANES * P);
  for (int64_t k = 0; k < whole; k += LANES * P) {
    Floats weights[N][P];
    for (int j = 0; j < N; j++) {
      __builtin_prefetch(w + j * stride + k + ahead);
      widen(w + j * stride + k, weights[j]);
    }
    for (int i = 0; i < M; i++) {
      for (int p = 0; p < P; p++) {
        const Floats row = load(x + i * xStride + k + p * LANES);
        for (int j = 0; j < N; j++) sums[i][j] += row * weights[j][p];
      }
    }
  }
  if (whole < size) {
    for (int j = 0; j < N; j++) {
      Floats weights[P];
      widen(w + j * stride + whole, size - whole, weights);
      for (int i = 0; i < M; i++) {
        for (int p = 0; p < P; p++) sums[i][j] += load(x + i * xStride + whole + p * LANES) * weights[p];
      }
    }
  }
  for (int i = 0; i < M; i++) {
    for (int j = 0; j < N; j++) y[i * width + j] = sum(sums[i][j]);
  }
}

/// All rows of x with N of w, which stay in the nearest cache meanwhile.
template <int N, typename Number>
inline void allRows(const float* x, int64_t xStride, int64_t rows, const Number* w, int64_t stride, int64_t size,
                    int64_t ahead, float* y, int64_t width) {
  int64_t i = 0;
  for (; i + ROWS <= rows; i += ROWS) dotProducts<ROWS, N>(x + i * xStride, xStride, w, stride, size, ahead, y + i * width, width);
  for (; i + 2 <= rows; i += 2) dotProducts<2, N>(x + i * xStride, xStride, w, stride, size, ahead, y + i * width, width);
  for (; i < rows; i++) dotProducts<1, N>(x + i * xStride, xStride, w, stride, size, ahead, y + i * width, width);
}

inline void weightOf(Call& call, int index, Input* weight) { *weight = call.floats(index); }
inline void weightOf(Call& call, int index, Halves* weight) { *weight = call.halves(index); }

/// A weight W (outputs, width), transposed, or W (width, outputs) as it is, and x (rows, width).
template <typename Number>
struct Product {
  const float* x;
  const Number* weight;
  const float* bias;  // one for each output, or nullptr
  float* y;           // (rows, outputs)
  int64_t rows, width, outputs;
  bool transposed;
};

/// A few rows by the processor's own tiles; false where it has none, or the sizes do not suit them.
template <typename Number>
bool fewByTiles(const Product<Number>&) {
  return false;
}

/// y = x Wᵀ + bias
template <typename Number>
void multiplyFew(const Product<Number>& p) {
  if (fewByTiles<Number>(p)) return;
  const int64_t size = p.width, width = p.outputs;
  const int64_t padded = roundUp(size, LANES * PARTS<Number>), ahead = AHEAD / static_cast<int64_t>(sizeof(Number));
  float* const arranged = scratch(static_cast<size_t>(p.rows * padded));
  for (int64_t i = 0; i < p.rows; i++) arrange<Number>(p.x + i * size, size, padded, arranged + i * padded);
  parallel(width, rowGrain(size), [&](int64_t begin, int64_t end) {
    int64_t j = begin;
    for (; j + 2 <= end; j += 2) allRows<2>(arranged, padded, p.rows, p.weight + j * size, size, size, ahead, p.y + j, width);
    for (; j < end; j++) allRows<1>(arranged, padded, p.rows, p.weight + j * size, size, size, ahead, p.y + j, width);
    if (p.bias == nullptr) return;
    for (int64_t i = 0; i < p.rows; i++) {
      for (j = begin; j < end; j += LANES) store(p.y + i * width + j, load(p.y + i * width + j, end - j) + load(p.bias + j, end - j), end - j);
    }
  });
}

/// y (M, N) = x (M, K) Wᵀ + bias, W (N, K)
template <typename Weight, typename Number>
void fewRows(Call& call) {
  const Input x = call.floats(0), bias = call.floats(2);
  Weight weight;
  weightOf(call, 1, &weight);
  if (x.shape.rank != 2 || weight.shape.rank != 2 || x.shape.dims[1] != weight.shape.dims[1]) {
    fail("expected x (M, K) and weight (N, K), got rank %d with %lld columns and rank %d with %lld", x.shape.rank,
         (long long)lastOf(x.shape), weight.shape.rank, (long long)lastOf(weight.shape));
  }
  const int64_t rows = x.shape.dims[0], size = x.shape.dims[1], width = weight.shape.dims[0];
  if (bias.size != 0) expectSize("bias", bias, width);
  float* const y = call.output(0, {2, {rows, width}});
  multiplyFew<Number>({x.data, weight.data, bias.size == 0 ? nullptr : bias.data, y, rows, size, width, true});
}

}  // namespace
}  // namespace peft
