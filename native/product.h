// Matrix products of the small matrices inside attention, which stay in a processor's own cache. Those with
// weights are in many-rows.h.
#pragma once
#include "vector.h"

namespace peft {
namespace {

// Rows of a tile: tile and operands have to fit the processor's vector registers, of which SSE and AVX2 have 16, others 32.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int ROWS = 8;
#else
constexpr int ROWS = 4;
#endif

/// Sizes are padded to multiples of this, so that tiles have no ragged edge.
constexpr int UNIT = LANES > ROWS ? LANES : ROWS;

inline int64_t roundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

/// A matrix whose element (i, k) is at data[i · row + k · column].
struct Left {
  const float* data;
  int64_t row, column;
};

/// A matrix in memory row by row, `stride` from row to row.
struct Matrix {
  float* data;
  int64_t stride;
};

template <int WIDTH>  // in vectors
inline void tile(int64_t K, Left a, const float* b, int64_t bStride, float* c, int64_t cStride, bool add) {
  Floats sums[ROWS][WIDTH];
  for (int i = 0; i < ROWS; i++) {
    for (int j = 0; j < WIDTH; j++) sums[i][j] = add ? load(c + i * cStride + j * LANES) : Floats{};
  }
  for (int64_t k = 0; k < K; k++) {
    Floats row[WIDTH];
    for (int j = 0; j < WIDTH; j++) row[j] = load(b + k * bStride + j * LANES);
    for (int i = 0; i < ROWS; i++) {
      const float factor = a.data[i * a.row + k * a.column];
      for (int j = 0; j < WIDTH; j++) sums[i][j] += factor * row[j];
    }
  }
  for (int i = 0; i < ROWS; i++) {
    for (int j = 0; j < WIDTH; j++) store(c + i * cStride + j * LANES, sums[i][j]);
  }
}

/// C (M, N) = A (M, K) B (K, N), or C += A B. M is a multiple of ROWS, N one of LANES.
void product(int64_t M, int64_t N, int64_t K, Left a, Matrix b, Matrix c, bool add) {
  assert(M % ROWS == 0 && N % LANES == 0 && N <= b.stride && N <= c.stride);
  for (int64_t j = 0; j < N;) {
    const int64_t width = N - j >= 2 * LANES ? 2 * LANES : LANES;
    for (int64_t i = 0; i < M; i += ROWS) {
      const Left rows{a.data + i * a.row, a.row, a.column};
      float* to = c.data + i * c.stride + j;
      if (width == LANES) tile<1>(K, rows, b.data + j, b.stride, to, c.stride, add);
      else tile<2>(K, rows, b.data + j, b.stride, to, c.stride, add);
    }
    j += width;
  }
}

/// Rows ahead that one is asked for: the processor does not find rows by itself that lie far apart.
constexpr int64_t PACKED_AHEAD = 8;

/// `count` rows of D numbers that lie `stride` apart, side by side and padded with zeros to (padded, width), times `scale`.
void pack(Matrix to, int64_t width, int64_t padded, const float* from, int64_t stride, int64_t count, int64_t D,
          float scale) {
  assert(count <= padded && D <= width && width <= to.stride && width % LANES == 0);
  for (int64_t i = 0; i < padded; i++) {
    float* row = to.data + i * to.stride;
    for (int64_t d = 0; d < width; d += LANES) {
      __builtin_prefetch(from + (i + PACKED_AHEAD) * stride + d);
      const int64_t left = i < count ? D - d : 0;
      store(row + d, left > 0 ? load(from + i * stride + d, left) * scale : Floats{});
    }
  }
}

/// (count, width) to (width, count), both multiples of LANES.
void transpose(Matrix to, const float* from, int64_t stride, int64_t count, int64_t width) {
  assert(count % LANES == 0 && width % LANES == 0 && count <= to.stride && width <= stride);
  for (int64_t i = 0; i < count; i += LANES) {
    for (int64_t d = 0; d < width; d += LANES) {
      Floats rows[LANES];
      for (int r = 0; r < LANES; r++) rows[r] = load(from + (i + r) * stride + d);
      transpose(rows);
      for (int r = 0; r < LANES; r++) store(to.data + (d + r) * to.stride + i, rows[r]);
    }
  }
}

}  // namespace
}  // namespace peft
