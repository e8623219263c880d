// The update of a product by a low-rank pair, forward and backward; or by one pair for each expert, where the rows of each lie side by side. Its products
// are so narrow that they wait for memory: here a block of rows is read once for all of them.
#pragma once
#include "grouped.h"
#include "product.h"
#include "shape.h"
#include "tensorflow.h"
#include "vector.h"

namespace peft {
namespace {

/// Rows at a time, which stay in a core's cache.
constexpr int64_t LOW_RANK_BLOCK = 32;
/// So many rows of an expert sum their gradients one behind the other; then come the parts' sums, in the same order for any number of threads.
constexpr int64_t ROWS_OF_PART = 256;
/// Dot products at a time of as many rows of each side as registers have room for.
constexpr int DOTS = ROWS / 2;

/// to[i · stride + j] = scale · x_i · w_j for M rows of x and N of w.
template <int M, int N>
inline void dotTile(int64_t size, const float* x, const float* w, int64_t wStride, float scale, float* to, int64_t stride) {
  Floats sums[M][N] = {};
  const auto add = [&](int64_t k, auto at) {
    Floats row[N];
    for (int j = 0; j < N; j++) row[j] = at(w + j * wStride + k);
    for (int i = 0; i < M; i++) {
      const Floats value = at(x + i * size + k);
      for (int j = 0; j < N; j++) sums[i][j] += value * row[j];
    }
  };
  int64_t k = 0;
  for (; k + LANES <= size; k += LANES) add(k, [](const float* from) { return load(from); });
  if (k < size) add(k, [=](const float* from) { return load(from, size - k); });
  for (int i = 0; i < M; i++) {
    for (int j = 0; j < N; j++) to[i * stride + j] = scale * sum(sums[i][j]);
  }
}

/// The dot products of `rows` rows of x (rows, size) with `count` of w, (rows, count).
template <int M = DOTS>
void dotRows(int64_t rows, int64_t count, int64_t size, const float* x, const float* w, int64_t wStride, float scale, float* to) {
  int64_t i = 0;
  for (; i + M <= rows; i += M) {
    int64_t j = 0;
    for (; j + DOTS <= count; j += DOTS) dotTile<M, DOTS>(size, x + i * size, w + j * wStride, wStride, scale, to + i * count + j, count);
    for (; j < count; j++) dotTile<M, 1>(size, x + i * size, w + j * wStride, wStride, scale, to + i * count + j, count);
  }
  if constexpr (M > 1) {
    if (i < rows) dotRows<1>(rows - i, count, size, x + i * size, w, wStride, scale, to + i * count);
  }
}

/// c (rows, N) = from + a b, or a b where there is no `from`, which lies as c does.
struct Sums {
  int64_t N, K;
  Left a;
  const float* b;
  int64_t bStride;
  const float* from;
  float* c;
};

template <int M, int WIDTH, bool WHOLE>  // rows, and vectors of which the last is whole, or has `left` columns
inline void addTile(const Sums& p, int64_t i, int64_t j, int64_t left) {
  const auto at = [=](const float* from, int v) { return WHOLE || v < WIDTH - 1 ? load(from + v * LANES) : load(from + v * LANES, left); };
  Floats sums[M][WIDTH] = {};
  for (int64_t k = 0; k < p.K; k++) {
    Floats row[WIDTH];
    for (int v = 0; v < WIDTH; v++) row[v] = at(p.b + k * p.bStride + j, v);
    for (int m = 0; m < M; m++) {
      const float factor = p.a.data[(i + m) * p.a.row + k * p.a.column];
      for (int v = 0; v < WIDTH; v++) sums[m][v] += factor * row[v];
    }
  }
  for (int m = 0; m < M; m++) {
    const int64_t place = (i + m) * p.N + j;
    for (int v = 0; v < WIDTH; v++) {
      const Floats total = p.from == nullptr ? sums[m][v] : at(p.from + place, v) + sums[m][v];
      if (WHOLE || v < WIDTH - 1) store(p.c + place + v * LANES, total);
      else store(p.c + place + v * LANES, total, left);
    }
  }
}

/// The rows from the i-th to before the last.
template <int M = ROWS>
void addRows(const Sums& p, int64_t last, int64_t i = 0) {
  for (; i + M <= last; i += M) {
    int64_t j = 0;
    for (; j + 2 * LANES <= p.N; j += 2 * LANES) addTile<M, 2, true>(p, i, j, LANES);
    for (; j + LANES <= p.N; j += LANES) addTile<M, 1, true>(p, i, j, LANES);
    if (j < p.N) addTile<M, 1, false>(p, i, j, p.N - j);
  }
  if constexpr (M > 1) {
    if (i < last) addRows<M / 2>(p, last, i);
  }
}

/// (rows, columns) to (columns, rows).
void turn(const float* from, int64_t rows, int64_t columns, float* to) {
  parallel((rows + LANES - 1) / LANES, rowGrain(columns * LANES), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * LANES; i < end * LANES && i < rows; i += LANES) {
      for (int64_t j = 0; j < columns; j += LANES) {
        Floats square[LANES];
        for (int r = 0; r < LANES; r++) square[r] = i + r < rows ? load(from + (i + r) * columns + j, columns - j) : Floats{};
        transpose(square);
        for (int r = 0; r < LANES && j + r < columns; r++) store(to + (j + r) * rows + i, square[r], rows - i);
      }
    }
  });
}

/// Rows that have one pair.
struct Part {
  int64_t expert, first, rows;
};

/// x (rows, in) and the pairs of all experts: A (experts · rank, in) has them one below the other, and column i · experts + e of
/// B (out, rank · experts) is the i-th of expert e.
struct LowRank {
  int64_t rows, in, out, rank, experts;
  const float* a;
  float* memory;  // what follows, and behind it as much as was asked for
  float* turnedB;
  Part* parts;
  int64_t count;  // of the parts

  /// Of a part.
  const float* aOf(const Part& part) const { return a + part.expert * rank * in; }
  const float* bOf(const Part& part) const { return turnedB + part.expert * out; }
  int64_t bStride() const { return experts * out; }
};

constexpr int64_t FLOATS_OF_PART = sizeof(Part) / sizeof(float);

/// @param index where the call has the experts of its rows @param isBack memory is needed for B's gradient, and for the sums of each part
template <bool GROUPED>
LowRank lowRankOf(Call& call, int index, const Input& x, const Input& a, const Input& b, bool isBack) {
  if (a.shape.rank != 2 || b.shape.rank != 2) fail("expected a (rank, in) and b (out, rank)");
  const int64_t all = a.shape.dims[0], experts = GROUPED ? static_cast<int64_t>(call.number("count")) : 1;
  if (b.shape.dims[1] != all) fail("expected a and b of one rank, got %lld and %lld", (long long)all, (long long)b.shape.dims[1]);
  if (experts < 1 || all % experts != 0) fail("expected a rank for each of %lld experts, got %lld in all", (long long)experts, (long long)all);
  LowRank p{rowsOf(x), a.shape.dims[1], b.shape.dims[0], all / experts, experts, a.data, nullptr, nullptr, nullptr, 0};
  expectSize("x", x, p.rows * p.in);
  const int64_t most = p.rows / ROWS_OF_PART + (p.rows < experts ? p.rows : experts), partSize = roundUp(most * FLOATS_OF_PART, 16);
  const int64_t sums = isBack ? b.size + most * p.rank * (p.in + p.out) : 0;
  float* const memory = sharedScratch(static_cast<size_t>(partSize + b.size + sums));
  p.parts = reinterpret_cast<Part*>(memory);
  p.turnedB = memory + partSize;
  p.memory = p.turnedB + b.size;
  const auto divide = [&](int64_t expert, int64_t first, int64_t rows) {
    for (int64_t i = 0; i < rows; i += ROWS_OF_PART) p.parts[p.count++] = {expert, first + i, rows - i < ROWS_OF_PART ? rows - i : ROWS_OF_PART};
  };
  if constexpr (GROUPED) {
    const Tensor<const int32_t> of = call.ints(index);
    if (of.size != p.rows) fail("expected %lld experts, one for each row, got %lld", (long long)p.rows, (long long)of.size);
    eachExpert(of, experts, divide);
  } else {
    divide(0, 0, p.rows);
  }
  turn(b.data, p.out, all, p.turnedB);
  return p;
}

/// Calls `run(part, first, rows)` for the blocks of each part, in order.
template <typename F>
void eachBlock(const LowRank& p, int64_t begin, int64_t end, const F& run) {
  for (int64_t i = begin; i < end; i++) {
    const Part& part = p.parts[i];
    for (int64_t row = 0; row < part.rows; row += LOW_RANK_BLOCK) {
      run(part, part.first + row, part.rows - row < LOW_RANK_BLOCK ? part.rows - row : LOW_RANK_BLOCK);
    }
  }
}

/// h = scale x aᵀ, sum = y + h bᵀ, or h bᵀ where y is left out
template <bool GROUPED>
void lowRank(Call& call) {
  const Input y = call.floats(0), x = call.floats(1), a = call.floats(2), b = call.floats(3);
  const LowRank p = lowRankOf<GROUPED>(call, 4, x, a, b, false);
  const float scale = call.number("scale");
  if (y.size != 0) expectSize("y", y, p.rows * p.out);
  float *const sum = call.output(0, {2, {p.rows, p.out}}), *const h = call.output(1, {2, {p.rows, p.rank}});
  parallel(p.count, 1, [&](int64_t begin, int64_t end) {
    eachBlock(p, begin, end, [&](const Part& part, int64_t first, int64_t rows) {
      float* const hs = h + first * p.rank;
      dotRows(rows, p.rank, p.in, x.data + first * p.in, p.aOf(part), p.in, scale, hs);
      addRows({p.out, p.rank, {hs, p.rank, 1}, p.bOf(part), p.bStride(), y.size == 0 ? nullptr : y.data + first * p.out, sum + first * p.out}, rows);
    });
  });
}

/// With g = scale dy b: dx = g a, where it is asked for, da = gᵀ x, db = dyᵀ h
template <bool GROUPED>
void lowRankGrad(Call& call) {
  const Input dy = call.floats(0), x = call.floats(1), h = call.floats(2), a = call.floats(3), b = call.floats(4);
  const LowRank p = lowRankOf<GROUPED>(call, 5, x, a, b, true);
  const float scale = call.number("scale");
  const bool toX = call.flag("to_x");
  const int64_t all = p.rank * p.experts, partSize = p.rank * (p.in + p.out);
  expectSize("dy", dy, p.rows * p.out);
  expectSize("h", h, p.rows * p.rank);
  float* const dx = call.output(0, {2, {toX ? p.rows : 0, p.in}});
  float *const da = call.output(1, {2, {all, p.in}}), *const db = call.output(2, {2, {p.out, all}});
  float *const turnedDb = p.memory, *const sums = turnedDb + b.size;  // of each part those of gᵀ x, then those of hᵀ dy
  parallel(p.count, 1, [&](int64_t begin, int64_t end) {
    float* const gs = scratch(static_cast<size_t>(LOW_RANK_BLOCK * p.rank));
    eachBlock(p, begin, end, [&](const Part& part, int64_t first, int64_t rows) {
      float *const daSums = sums + (&part - p.parts) * partSize, *const dbSums = daSums + p.rank * p.in;
      const float *const xs = x.data + first * p.in, *const dys = dy.data + first * p.out;
      const bool isFirst = first == part.first;
      dotRows(rows, p.rank, p.out, dys, p.bOf(part), p.bStride(), scale, gs);
      addRows({p.in, rows, {gs, 1, p.rank}, xs, p.in, isFirst ? nullptr : daSums, daSums}, p.rank);
      addRows({p.out, rows, {h.data + first * p.rank, 1, p.rank}, dys, p.out, isFirst ? nullptr : dbSums, dbSums}, p.rank);
      if (toX) addRows({p.in, p.rank, {gs, p.rank, 1}, p.aOf(part), p.in, nullptr, dx + first * p.in}, rows);
    });
  });
  const auto addTo = [](float* to, const float* from, int64_t size) {
    for (int64_t j = 0; j < size; j += LANES) store(to + j, load(to + j, size - j) + load(from + j, size - j), size - j);
  };
  parallel(p.rank, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      for (int64_t e = 0; e < p.experts; e++) memset(da + (e * p.rank + r) * p.in, 0, static_cast<size_t>(p.in) * 4);
      memset(turnedDb + r * p.bStride(), 0, static_cast<size_t>(p.bStride()) * 4);
      for (int64_t i = 0; i < p.count; i++) {
        const int64_t expert = p.parts[i].expert;
        const float *const daSums = sums + i * partSize, *const dbSums = daSums + p.rank * p.in;
        addTo(da + (expert * p.rank + r) * p.in, daSums + r * p.in, p.in);
        addTo(turnedDb + r * p.bStride() + expert * p.out, dbSums + r * p.out, p.out);
      }
    }
  });
  turn(turnedDb, all, p.out, db);
}

}  // namespace
}  // namespace peft
