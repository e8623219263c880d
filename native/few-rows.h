// Products of a few rows with a weight, as in decoding. The weight is far larger than all else and comes from memory, so
// it is read once, as it is stored; bfloat16 numbers are widened on the way. Products and sums are in float32.
#pragma once
#include "shape.h"
#include "vector.h"

namespace peft {
namespace {

typedef uint16_t ManyHalves __attribute__((vector_size(LANES * 2)));

inline Floats widen(ManyHalves bits) { return (Floats)(__builtin_convertvector(bits, Words) << 16); }

inline Floats loadWide(const float* from) { return load(from); }

inline Floats loadWide(const uint16_t* from) {
  ManyHalves bits;
  memcpy(&bits, from, sizeof bits);
  return widen(bits);
}

/// The first `left`, fewer than LANES, then zeros.
inline Floats loadWide(const float* from, int64_t left) { return load(from, left); }

inline Floats loadWide(const uint16_t* from, int64_t left) {
  ManyHalves bits{};
  memcpy(&bits, from, static_cast<size_t>(left) * 2);
  return widen(bits);
}

/// y[i · width + j] = x_i · w_j for M rows of x and N of the weight, all `size` long and one behind the other.
template <int M, int N, typename Number>
inline void dotProducts(const float* x, const Number* w, int64_t size, float* y, int64_t width) {
  Floats sums[M][N] = {};
  const int64_t whole = size / LANES * LANES;
  for (int64_t k = 0; k < whole; k += LANES) {
    Floats weights[N];
    for (int j = 0; j < N; j++) weights[j] = loadWide(w + j * size + k);
    for (int i = 0; i < M; i++) {
      const Floats row = load(x + i * size + k);
      for (int j = 0; j < N; j++) sums[i][j] += row * weights[j];
    }
  }
  if (whole < size) {
    for (int j = 0; j < N; j++) {
      const Floats weight = loadWide(w + j * size + whole, size - whole);
      for (int i = 0; i < M; i++) sums[i][j] += load(x + i * size + whole, size - whole) * weight;
    }
  }
  for (int i = 0; i < M; i++) {
    for (int j = 0; j < N; j++) y[i * width + j] = sum(sums[i][j]);
  }
}

/// All rows of x with N of the weight, which stay in the nearest cache meanwhile.
template <int N, typename Number>
inline void allRows(const float* x, int64_t rows, const Number* w, int64_t size, float* y, int64_t width) {
  for (; rows >= 4; rows -= 4, x += 4 * size, y += 4 * width) dotProducts<4, N>(x, w, size, y, width);
  for (; rows >= 1; rows -= 1, x += size, y += width) dotProducts<1, N>(x, w, size, y, width);
}

inline void weightOf(Call& call, int index, Input* weight) { *weight = call.floats(index); }
inline void weightOf(Call& call, int index, Halves* weight) { *weight = call.halves(index); }

/// y (M, N) = x (M, K) Wᵀ, W (N, K)
template <typename Weight>
void fewRows(Call& call) {
  const Input x = call.floats(0);
  Weight weight;
  weightOf(call, 1, &weight);
  if (x.shape.rank != 2 || weight.shape.rank != 2 || x.shape.dims[1] != weight.shape.dims[1]) {
    fail("expected x (M, K) and weight (N, K), got rank %d with %lld columns and rank %d with %lld", x.shape.rank,
         (long long)lastOf(x.shape), weight.shape.rank, (long long)lastOf(weight.shape));
  }
  const int64_t rows = x.shape.dims[0], size = x.shape.dims[1], width = weight.shape.dims[0];
  float* y = call.output(0, {2, {rows, width}});
  parallel(width, rowGrain(size), [&](int64_t begin, int64_t end) {
    int64_t j = begin;
    for (; j + 2 <= end; j += 2) allRows<2>(x.data, rows, weight.data + j * size, size, y + j, width);
    for (; j < end; j++) allRows<1>(x.data, rows, weight.data + j * size, size, y + j, width);
  });
}

}  // namespace
}  // namespace peft
