// Products of many rows with x rounded to narrow numbers, of which the processor multiplies two or four pairs at a time and adds
// them up. As in many-rows.h threads take stripes of the weight's columns, which are rearranged once for the rows of a block.
#pragma once
#include "few-rows.h"
#include "product.h"
#include "vector.h"

namespace peft {
namespace {

// Rows and vectors of a tile, which stays in registers.
#if defined(__AVX512F__)
constexpr int NARROW_ROWS = 6, NARROW_VECTORS = 4;
#else
constexpr int NARROW_ROWS = 4, NARROW_VECTORS = 2;
#endif

/// Columns of a stripe: as bytes they are what memory gives at a time.
constexpr int64_t NARROW_STRIPE = 64;
constexpr int64_t STRIPE_VECTORS = NARROW_STRIPE / LANES;
constexpr int64_t PANEL = NARROW_VECTORS * LANES;  // columns of a tile
/// So many groups of terms at a time, whose stripe stays in a core's cache; between them y holds the sums as they are.
constexpr int64_t NARROW_DEPTH = 768;
constexpr int64_t NARROW_BLOCK = 1024;  // rows

/// Numbers of x in 4 bytes: a group, whose terms are multiplied and added up in one step.
template <typename Number>
constexpr int64_t TERMS_OF = 4 / static_cast<int64_t>(sizeof(Number));

/// Of a row, in numbers: whole vectors, and one more, because rows that are a power of two apart share places in a cache.
template <typename Number>
inline int64_t narrowStride(int64_t width) {
  return roundUp(width, LANES * TERMS_OF<Number>) + LANES * TERMS_OF<Number>;
}

template <typename Number>
inline Words groupAt(const Number* from) {
  uint32_t group;
  memcpy(&group, from, sizeof group);
  return Words{} + group;
}

inline Words wordsAt(const void* from) {
  Words words;
  memcpy(&words, from, sizeof words);
  return words;
}

/// LANES groups of terms of the weight's row j, from its k-th number on; zeros beyond the weight.
template <typename Kind>
inline Words narrowAt(const Product<typename Kind::Weight>& p, int64_t j, int64_t k) {
  return j < p.outputs && k < p.width ? Kind::along(p, j, k) : Words{};
}

/// A stripe from column j on, panel by panel, in each the vectors of a group side by side.
template <typename Kind>
void rearrangeNarrow(const Product<typename Kind::Weight>& p, int64_t j, int64_t k, int64_t groups, Words* to) {
  constexpr int64_t TERMS = TERMS_OF<typename Kind::Number>;
  const auto placeOf = [&](int64_t v, int64_t g) { return to + v / NARROW_VECTORS * groups * NARROW_VECTORS + v % NARROW_VECTORS + g * NARROW_VECTORS; };
  if (!p.transposed) {
    for (int64_t g = 0; g < groups; g++) {
      Words columns[STRIPE_VECTORS];
      Kind::across(p, k + g * TERMS, j, columns);
      for (int64_t v = 0; v < STRIPE_VECTORS; v++) *placeOf(v, g) = columns[v];
    }
    return;
  }
  for (int64_t v = 0; v < STRIPE_VECTORS; v++) {  // few of the weight's rows at a time, for the processor to read ahead
    for (int64_t g = 0; g < groups; g += LANES) {
      Words rows[LANES];
      for (int r = 0; r < LANES; r++) rows[r] = narrowAt<Kind>(p, j + v * LANES + r, k + g * TERMS);
      transpose(rows);
      for (int r = 0; r < LANES; r++) *placeOf(v, g + r) = rows[r];
    }
  }
}

/// What a tile is a part of: the rows of x, the groups of terms of this round, and what becomes of sums.
template <typename Kind, typename Finish>
struct NarrowRound {
  const typename Kind::Number* x;  // from the first of the terms on
  int64_t stride, groups;
  float* y;
  int64_t width;  // of y
  bool isFirst, isLast;
  const Finish& finish;
};

/// M rows from i on by a panel from column j on, of which `left` columns are in y.
template <typename Kind, int M, typename Finish>
void narrowTile(const NarrowRound<Kind, Finish>& round, int64_t i, int64_t j, int64_t left, const Words* weight) {
  using Sum = typename Kind::Sum;
  constexpr int64_t TERMS = TERMS_OF<typename Kind::Number>;
  Sum sums[M][NARROW_VECTORS] = {};
  float* const y = round.y + i * round.width + j;
  for (int m = 0; m < M; m++) {
    for (int v = 0; v < NARROW_VECTORS; v++) __builtin_prefetch(y + m * round.width + v * LANES, 1);
  }
  for (int m = 0; m < M && !round.isFirst; m++) {
    for (int v = 0; v < NARROW_VECTORS; v++) {
      if (left > v * LANES) sums[m][v] = (Sum)load(y + m * round.width + v * LANES, left - v * LANES);
    }
  }
  const typename Kind::Number* const x = round.x + i * round.stride;
  for (int64_t g = 0; g < round.groups; g++, weight += NARROW_VECTORS) {
    Words row[NARROW_VECTORS];
    for (int v = 0; v < NARROW_VECTORS; v++) row[v] = weight[v];
    for (int m = 0; m < M; m++) {
      const Words group = groupAt(x + m * round.stride + g * TERMS);
      for (int v = 0; v < NARROW_VECTORS; v++) sums[m][v] = Kind::add(sums[m][v], row[v], group);
    }
  }
  for (int m = 0; m < M; m++) {
    for (int v = 0; v < NARROW_VECTORS && left > v * LANES; v++) {
      const int64_t column = j + v * LANES, inside = left - v * LANES;
      const Floats value = round.isLast ? round.finish(i + m, column, sums[m][v], inside) : (Floats)sums[m][v];
      store(y + m * round.width + v * LANES, value, inside);
    }
  }
}

/// Rows [first, last) by a stripe from column j on.
template <typename Kind, typename Finish>
void narrowRows(const NarrowRound<Kind, Finish>& round, int64_t first, int64_t last, int64_t j, const Words* stripe) {
  const auto panels = [&](auto tile) {
    for (int64_t c = 0; c < NARROW_STRIPE && j + c < round.width; c += PANEL) tile(j + c, round.width - j - c, stripe + c / LANES * round.groups);
  };
  int64_t i = first;
  for (; i + NARROW_ROWS <= last; i += NARROW_ROWS) {
    panels([&](int64_t column, int64_t left, const Words* weight) { narrowTile<Kind, NARROW_ROWS>(round, i, column, left, weight); });
  }
  for (; i + 2 <= last; i += 2) {
    panels([&](int64_t column, int64_t left, const Words* weight) { narrowTile<Kind, 2>(round, i, column, left, weight); });
  }
  for (; i < last; i++) {
    panels([&](int64_t column, int64_t left, const Words* weight) { narrowTile<Kind, 1>(round, i, column, left, weight); });
  }
}

/// The product of p with its x rounded: `x`, narrowStride from row to row, zeros behind its width. @param finish what becomes of the
/// sums of a row from a column on
template <typename Kind, typename Finish>
void multiplyNarrow(const Product<typename Kind::Weight>& p, const typename Kind::Number* x, const Finish& finish) {
  constexpr int64_t TERMS = TERMS_OF<typename Kind::Number>;
  const int64_t stripes = (p.outputs + NARROW_STRIPE - 1) / NARROW_STRIPE, all = (p.width + TERMS - 1) / TERMS;
  int64_t block = NARROW_BLOCK;  // smaller where threads would not have several each
  while (block > 96 && stripes * ((p.rows + block - 1) / block) < 4 * threadCount()) block /= 2;
  const int64_t blocks = (p.rows + block - 1) / block;
  for (int64_t g = 0; g == 0 || g < all; g += NARROW_DEPTH) {
    const int64_t groups = roundUp(all - g < NARROW_DEPTH ? all - g : NARROW_DEPTH, LANES);
    const NarrowRound<Kind, Finish> round{x + g * TERMS, narrowStride<typename Kind::Number>(p.width), groups, p.y, p.outputs, g == 0, g + NARROW_DEPTH >= all, finish};
    parallel(stripes * blocks, 1, [&](int64_t begin, int64_t end) {
      const auto stripe = reinterpret_cast<Words*>(scratch(static_cast<size_t>(groups * NARROW_STRIPE)));
      for (int64_t item = begin; item < end; item++) {
        const int64_t j = item % stripes * NARROW_STRIPE, first = item / stripes * block;
        rearrangeNarrow<Kind>(p, j, g * TERMS, groups, stripe);
        narrowRows(round, first, p.rows - first < block ? p.rows : first + block, j, stripe);
      }
    });
  }
}

}  // namespace
}  // namespace peft
