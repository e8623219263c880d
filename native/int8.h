// Products of int8 weights with x rounded to int8 row by row; outliers are multiplied in float32. A row's result depends on that row alone,
// and sums are of whole numbers: they are the same on every processor.
#pragma once
#include "few-rows.h"
#include "int8-rows.h"
#include "many-rows.h"
#include "narrow.h"
#include "tiles.h"

namespace peft {
namespace {

/// What a sum of codes stands for.
struct Int8Finish {
  const RoundedRows& rows;
  const float* factors;  // of the outputs, or nullptr
  const float* bias;

  Floats operator()(int64_t i, int64_t j, Ints sum, int64_t left) const {
    Floats scale = splat(rows.scales[i]);
    if (factors != nullptr) scale *= load(factors + j, left);
    const Floats value = __builtin_convertvector(sum - rows.excess[i], Floats) * scale;
    return bias == nullptr ? value : value + load(bias + j, left);
  }
};

/// Rows of x are there up to a multiple of this, the last ones empty.
#if defined(__AMX_INT8__)
constexpr int64_t ROW_UNIT = 32;

/// By the processor's own tiles: of x's numbers, which have signs, and of the stripe's, which have none.
template <>
void narrowRows<Int8Terms, Int8Finish>(const NarrowRound<Int8Terms, Int8Finish>& round, int64_t first, int64_t last, int64_t j, const Words* stripe) {
  const TileConfig config;
  _tile_loadconfig(&config);
  alignas(64) int32_t sums[ROW_UNIT][2 * LANES];
  for (int64_t i = first; i < last; i += ROW_UNIT) {
    for (int64_t c = 0; c < NARROW_STRIPE && j + c < round.width; c += 2 * LANES) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      for (int64_t g = 0; g < round.groups; g += LANES) {
        const int8_t* const x = round.x + i * round.stride + 4 * g;
        const Words* const weight = stripe + g * NARROW_VECTORS + c / LANES;
        _tile_loadd(4, x, round.stride);
        _tile_loadd(6, weight, NARROW_STRIPE * 4);
        _tile_loadd(5, x + LANES * round.stride, round.stride);
        _tile_loadd(7, weight + 1, NARROW_STRIPE * 4);
        _tile_dpbsud(0, 4, 6);
        _tile_dpbsud(1, 4, 7);
        _tile_dpbsud(2, 5, 6);
        _tile_dpbsud(3, 5, 7);
      }
      _tile_stored(0, &sums[0][0], sizeof sums[0]);
      _tile_stored(1, &sums[0][LANES], sizeof sums[0]);
      _tile_stored(2, &sums[LANES][0], sizeof sums[0]);
      _tile_stored(3, &sums[LANES][LANES], sizeof sums[0]);
      for (int64_t r = 0; r < ROW_UNIT && i + r < last; r++) {
        for (int64_t v = 0; v < 2 * LANES && j + c + v < round.width; v += LANES) {
          const int64_t column = j + c + v, left = round.width - column;
          float* const y = round.y + (i + r) * round.width + column;
          Ints sum = (Ints)wordsAt(&sums[r][v]);
          if (!round.isFirst) sum += (Ints)load(y, left);
          store(y, round.isLast ? round.finish(i + r, column, sum, left) : (Floats)sum, left);
        }
      }
    }
  }
  _tile_release();
}
#else
constexpr int64_t ROW_UNIT = 1;
#endif

/// Rows [i, i + M) by W's rows j and, if N is 2, the one behind it, as they are stored.
template <int M, int N>
inline void codeProducts(const Product<RoundedInt8>& p, const RoundedRows& rows, int64_t i, int64_t j, int32_t* to, int64_t width) {
  constexpr int64_t STEP = LANES * TERMS_OF<Code>;
  Ints sums[M][N] = {};
  for (int64_t k = 0; k < p.width; k += STEP) {
    Words weights[N];
    for (int n = 0; n < N; n++) {
      __builtin_prefetch(p.weight->codes + (j + n) * p.width + k + AHEAD);
      weights[n] = Int8Terms::along(p, j + n, k);
    }
    for (int m = 0; m < M; m++) {
      const Words row = wordsAt(rows.codes + (i + m) * rows.stride + k);
      for (int n = 0; n < N; n++) sums[m][n] = Int8Terms::add(sums[m][n], weights[n], row);
    }
  }
  for (int m = 0; m < M; m++) {
    for (int n = 0; n < N; n++) to[m * width + n] = total(sums[m][n]);
  }
}

template <int M>
inline void codeRows(const Product<RoundedInt8>& p, const RoundedRows& rows, int64_t i, int64_t begin, int64_t end, int32_t* sums) {
  int64_t j = begin;
  for (; j + 2 <= end; j += 2) codeProducts<M, 2>(p, rows, i, j, sums + i * p.outputs + j, p.outputs);
  for (; j < end; j++) codeProducts<M, 1>(p, rows, i, j, sums + i * p.outputs + j, p.outputs);
}

/// A few rows, which read the weight once.
void fewByCodes(const Product<RoundedInt8>& p, const RoundedRows& rows, const Int8Finish& finish) {
  const auto sums = reinterpret_cast<int32_t*>(p.y);  // until they are finished
  parallel(p.outputs, rowGrain(p.width), [&](int64_t begin, int64_t end) {
    int64_t i = 0;
    for (; i + ROWS <= p.rows; i += ROWS) codeRows<ROWS>(p, rows, i, begin, end, sums);
    for (; ROWS > 4 && i + 4 <= p.rows; i += 4) codeRows<4>(p, rows, i, begin, end, sums);
    for (; i < p.rows; i++) codeRows<1>(p, rows, i, begin, end, sums);
    for (i = 0; i < p.rows; i++) {
      for (int64_t j = begin; j < end; j += LANES) {
        float* const y = p.y + i * p.outputs + j;
        store(y, finish(i, j, (Ints)load(y, end - j), end - j), end - j);
      }
    }
  });
}

/// Adds the outliers' products. Of their columns so many are unpacked at a time.
void addOutliers(const Product<RoundedInt8>& p, const RoundedRows& rows, int32_t* places) {
  constexpr int64_t AT_A_TIME = 64;
  memset(places, 0, static_cast<size_t>(p.width) * 4);
  bool any = false;
  for (int64_t i = 0; i < p.rows; i++) {
    for (int64_t o = 0; o < rows.counts[i]; o++) places[rows.outliers[i * rows.most + o].column] = any = true;
  }
  for (int64_t k = 0; any && k < p.width;) {
    int32_t columns[AT_A_TIME];
    int64_t count = 0;
    const int64_t first = k;
    for (; k < p.width && count < AT_A_TIME; k++) {
      if (places[k] == 0) continue;
      places[k] = static_cast<int32_t>(count);
      columns[count++] = static_cast<int32_t>(k);
    }
    parallel(p.outputs, rowGrain(count * p.rows), [&](int64_t begin, int64_t end) {
      float* const wide = scratch(static_cast<size_t>(count * (end - begin)));
      for (int64_t j = begin; j < end; j++) {
        for (int64_t c = 0; c < count; c++) wide[c * (end - begin) + j - begin] = static_cast<float>(p.weight->codes[j * p.width + columns[c]]) * p.weight->factors[j];
      }
      for (int64_t i = 0; i < p.rows; i++) {
        float* const y = p.y + i * p.outputs + begin;
        for (int64_t o = 0; o < rows.counts[i]; o++) {
          const Outlier outlier = rows.outliers[i * rows.most + o];
          if (outlier.column < first || outlier.column >= k) continue;
          const float* const column = wide + places[outlier.column] * (end - begin);
          for (int64_t j = 0; j < end - begin; j++) y[j] += outlier.value * column[j];
        }
      }
    });
  }
}

/// y = x Wᵀ + bias, or x W, whose x is rounded after W's factors are in it.
void multiplyCodes(const Product<RoundedInt8>& p, bool few) {
  constexpr int64_t WIDEST = 2147483647 / (128 * 127);  // sums are whole numbers of 32 bits
  if (p.width > WIDEST) fail("expected products of %lld terms at most, got %lld", (long long)WIDEST, (long long)p.width);
  const int64_t stride = narrowStride<Code>(p.width), most = p.transposed && p.weight->threshold > 0 ? p.width / OUTLIERS : 0;
  const int64_t bytesOfCodes = roundUp(p.rows, ROW_UNIT) * stride * static_cast<int64_t>(sizeof(Code));
  float* const memory = sharedScratch(static_cast<size_t>(bytesOfCodes / 4 + p.rows * 3 + p.rows * most * 2 + p.width));
  const auto counts = reinterpret_cast<int32_t*>(memory + bytesOfCodes / 4);
  const RoundedRows rows{reinterpret_cast<Code*>(memory), reinterpret_cast<float*>(counts + 2 * p.rows), counts + p.rows, counts, reinterpret_cast<Outlier*>(counts + 3 * p.rows), stride, most};
  parallel(p.rows, rowGrain(p.width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) roundRow(p.x + i * p.width, p.transposed ? nullptr : p.weight->factors, p.width, most > 0 ? p.weight->threshold : 0, rows, i);
  });
  const Int8Finish finish{rows, p.transposed ? p.weight->factors : nullptr, p.bias};
  if (few) fewByCodes(p, rows, finish);
  else multiplyNarrow<Int8Terms>(p, rows.codes, finish);
  if (most > 0) addOutliers(p, rows, counts + 3 * p.rows + p.rows * most * 2);
}

template <>
void multiply<RoundedInt8>(const Product<RoundedInt8>& p) {
  multiplyCodes(p, false);
}

void fewRowsOf(const Product<RoundedInt8>& p) { multiplyCodes(p, true); }

}  // namespace
}  // namespace peft
