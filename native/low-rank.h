// The update of a product by a low-rank pair, forward and backward. Its products are so narrow that they wait for memory:
// here a block of rows is read once for all of them.
#pragma once
#include "product.h"
#include "shape.h"
#include "tensorflow.h"
#include "vector.h"

namespace peft {
namespace {

/// Rows at a time, which stay in a core's cache.
constexpr int64_t LOW_RANK_BLOCK = 32;
/// So many blocks sum their gradients one behind the other; then come the parts' sums, in the same order for any number of threads.
constexpr int64_t BLOCKS_IN_PART = 8;

/// The sizes of x (rows, in), a (rank, in) and b (out, rank), and those that tiles need.
struct LowRank {
  int64_t rows, in, out, rank;

  int64_t ins() const { return roundUp(in, UNIT); }
  int64_t outs() const { return roundUp(out, UNIT); }
  int64_t ranks() const { return roundUp(rank, UNIT); }
  int64_t blocks() const { return (rows + LOW_RANK_BLOCK - 1) / LOW_RANK_BLOCK; }
};

LowRank sizesOf(const Input& x, const Input& a, const Input& b) {
  if (a.shape.rank != 2 || b.shape.rank != 2) fail("expected a (rank, in) and b (out, rank)");
  const LowRank p{rowsOf(x), a.shape.dims[1], b.shape.dims[0], a.shape.dims[0]};
  if (b.shape.dims[1] != p.rank) fail("expected a and b of one rank, got %lld and %lld", (long long)p.rank, (long long)b.shape.dims[1]);
  return p;
}

/// Rows of D numbers for `product`: where they lie, if they come in whole tiles, otherwise packed into `room`.
inline Matrix tiled(const float* from, int64_t count, int64_t D, float* room) {
  const int64_t padded = roundUp(count, ROWS), width = roundUp(D, UNIT);
  if (count == padded && D == width) return {const_cast<float*>(from), D};  // only read
  const Matrix to{room, width};
  pack(to, width, padded, from, D, count, D, 1.0f);
  return to;
}

/// h = scale x aᵀ, sum = y + h bᵀ, or h bᵀ where y is left out
void lowRank(Call& call) {
  const Input y = call.floats(0), x = call.floats(1), a = call.floats(2), b = call.floats(3);
  const LowRank p = sizesOf(x, a, b);
  expectSize("x", x, p.rows * p.in);
  if (y.size != 0) expectSize("y", y, p.rows * p.out);
  float *const sum = call.output(0, {2, {p.rows, p.out}}), *const h = call.output(1, {2, {p.rows, p.rank}});
  const int64_t ins = p.ins(), outs = p.outs(), ranks = p.ranks();
  float* const memory = sharedScratch(static_cast<size_t>(2 * ranks * (ins + outs)));
  const Matrix aRows{memory, ins}, aT{aRows.data + ranks * ins, ranks}, bRows{aT.data + ranks * ins, ranks}, bT{bRows.data + ranks * outs, outs};
  pack(aRows, ins, ranks, a.data, p.in, p.rank, p.in, call.number("scale"));
  transpose(aT, aRows.data, ins, ranks, ins);
  pack(bRows, ranks, outs, b.data, p.rank, p.out, p.rank, 1.0f);
  transpose(bT, bRows.data, ranks, outs, ranks);
  parallel(p.blocks(), 1, [&](int64_t begin, int64_t end) {
    float* const room = scratch(static_cast<size_t>(LOW_RANK_BLOCK * (ins + outs + ranks)));
    const Matrix sums{room + LOW_RANK_BLOCK * ins, outs}, hs{sums.data + LOW_RANK_BLOCK * outs, ranks};
    for (int64_t first = begin * LOW_RANK_BLOCK; first < end * LOW_RANK_BLOCK && first < p.rows; first += LOW_RANK_BLOCK) {
      const int64_t count = p.rows - first < LOW_RANK_BLOCK ? p.rows - first : LOW_RANK_BLOCK, padded = roundUp(count, ROWS);
      const Matrix xs = tiled(x.data + first * p.in, count, p.in, room);
      product(padded, ranks, p.in, {xs.data, xs.stride, 1}, aT, hs, false);
      if (y.size != 0) pack(sums, outs, padded, y.data + first * p.out, p.out, count, p.out, 1.0f);
      product(padded, outs, p.rank, {hs.data, ranks, 1}, bT, sums, y.size != 0);
      for (int64_t i = 0; i < count; i++) {
        memcpy(sum + (first + i) * p.out, sums.data + i * outs, static_cast<size_t>(p.out) * 4);
        memcpy(h + (first + i) * p.rank, hs.data + i * ranks, static_cast<size_t>(p.rank) * 4);
      }
    }
  });
}

/// With g = scale dy b: dx = g a, da = gᵀ x, db = dyᵀ h
void lowRankGrad(Call& call) {
  const Input dy = call.floats(0), x = call.floats(1), h = call.floats(2), a = call.floats(3), b = call.floats(4);
  const LowRank p = sizesOf(x, a, b);
  expectSize("x", x, p.rows * p.in);
  expectSize("dy", dy, p.rows * p.out);
  expectSize("h", h, p.rows * p.rank);
  float* const dx = call.output(0, {2, {p.rows, p.in}});
  float *const da = call.output(1, {2, {p.rank, p.in}}), *const db = call.output(2, {2, {p.out, p.rank}});
  const int64_t ins = p.ins(), outs = p.outs(), ranks = p.ranks(), rankRows = roundUp(p.rank, ROWS);
  const int64_t parts = (p.blocks() + BLOCKS_IN_PART - 1) / BLOCKS_IN_PART, partSize = rankRows * (ins + outs);
  float* const memory = sharedScratch(static_cast<size_t>(ranks * (ins + outs) + parts * partSize));
  const Matrix aRows{memory, ins}, bRows{aRows.data + ranks * ins, ranks};
  float* const sums = bRows.data + ranks * outs;  // of each part those of gᵀ x, then those of hᵀ dy
  pack(aRows, ins, ranks, a.data, p.in, p.rank, p.in, 1.0f);
  pack(bRows, ranks, outs, b.data, p.rank, p.out, p.rank, call.number("scale"));
  parallel(parts, 1, [&](int64_t begin, int64_t end) {
    float* const room = scratch(static_cast<size_t>(LOW_RANK_BLOCK * (2 * ins + outs + 2 * ranks)));
    float* const dyRoom = room + LOW_RANK_BLOCK * ins;
    const Matrix dxs{dyRoom + LOW_RANK_BLOCK * outs, ins}, gs{dxs.data + LOW_RANK_BLOCK * ins, ranks}, hs{gs.data + LOW_RANK_BLOCK * ranks, ranks};
    for (int64_t part = begin; part < end; part++) {
      const Matrix daT{sums + part * partSize, ins}, dbT{daT.data + rankRows * ins, outs};
      memset(daT.data, 0, static_cast<size_t>(partSize) * 4);
      for (int64_t block = part * BLOCKS_IN_PART; block < (part + 1) * BLOCKS_IN_PART && block < p.blocks(); block++) {
        const int64_t first = block * LOW_RANK_BLOCK;
        const int64_t count = p.rows - first < LOW_RANK_BLOCK ? p.rows - first : LOW_RANK_BLOCK, padded = roundUp(count, ROWS);
        const Matrix xs = tiled(x.data + first * p.in, count, p.in, room), dys = tiled(dy.data + first * p.out, count, p.out, dyRoom);
        pack(hs, ranks, padded, h.data + first * p.rank, p.rank, count, p.rank, 1.0f);
        product(padded, ranks, p.out, {dys.data, dys.stride, 1}, bRows, gs, false);
        product(rankRows, ins, padded, {gs.data, 1, ranks}, xs, daT, true);
        product(rankRows, outs, padded, {hs.data, 1, ranks}, dys, dbT, true);
        product(padded, ins, p.rank, {gs.data, ranks, 1}, aRows, dxs, false);
        for (int64_t i = 0; i < count; i++) memcpy(dx + (first + i) * p.in, dxs.data + i * ins, static_cast<size_t>(p.in) * 4);
      }
    }
  });
  for (int64_t r = 0; r < p.rank; r++) {
    for (int64_t j = 0; j < p.in; j++) {
      float total = 0.0f;
      for (int64_t part = 0; part < parts; part++) total += sums[part * partSize + r * ins + j];
      da[r * p.in + j] = total;
    }
    for (int64_t j = 0; j < p.out; j++) {
      float total = 0.0f;
      for (int64_t part = 0; part < parts; part++) total += sums[part * partSize + rankRows * ins + r * outs + j];
      db[j * p.rank + r] = total;
    }
  }
}

}  // namespace
}  // namespace peft
