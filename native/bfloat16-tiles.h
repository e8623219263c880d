// Products of a bfloat16 weight on processors that multiply tiles of bfloat16 numbers (Intel AMX): x is rounded to
// bfloat16, sums are float. A tile has 16 rows of 64 bytes; of the right factor, each holds pairs of terms of 16 columns.
#pragma once
#include "bfloat16-pairs.h"
#include "many-rows.h"
#include "tiles.h"

#if defined(__AMX_BF16__)

namespace peft {
namespace {

constexpr int64_t TILE = 16, SIDE = 2 * TILE, TERMS = 32;  // of a tile: rows and columns; of a result; of a tile's sums
constexpr int64_t TILE_SIZE = TILE * TERMS;                // numbers
constexpr int64_t LINE = 64;                               // bytes that memory gives at a time
/// So many terms of a sum at a time: those of a block's rows, as bfloat16 numbers, stay in a core's cache.
constexpr int64_t CHUNK = 1024;
/// Stripes of columns that a thread takes one behind the other: all but the first have been asked for.
constexpr int64_t AT_ONCE = 4;

/// 16 columns from j on as right tiles, one for each 32 terms; from one to the next in `to` are two tiles.
inline void rearrangeHalves(const Product<uint16_t>& p, int64_t j, int64_t k, int64_t depth, uint16_t* to) {
  const int64_t count = p.outputs - j;
  for (int64_t i = 0; i < depth; i += TERMS, to += 2 * TILE_SIZE) {
    Words rows[LANES];
    for (int r = 0; r < LANES; r++) {
      if (p.transposed) {
        const int64_t left = r < count ? depth - i : 0;
        const uint16_t* const from = p.weight + (left > 0 ? (j + r) * p.width + k + i : 0);
        __builtin_prefetch(from + 8 * TERMS);
        const __mmask32 mask = left >= TERMS ? 0xffffffff : static_cast<__mmask32>((1u << left) - 1);
        rows[r] = (Words)_mm512_maskz_loadu_epi16(mask, from);
      } else {
        const uint16_t* const from = p.weight + (k + i + 2 * r) * p.outputs + j;
        __builtin_prefetch(from + 2 * TERMS * p.outputs);  // too far from row to row for the processor to see it coming
        __builtin_prefetch(from + (2 * TERMS + 1) * p.outputs);
        const __m512i even = i + 2 * r < depth ? sixteen(from, count) : __m512i{};
        const __m512i odd = i + 2 * r + 1 < depth ? sixteen(from + p.outputs, count) : __m512i{};
        rows[r] = (Words)even | (Words)odd << 16;
      }
    }
    if (p.transposed) transpose(rows);
    memcpy(to, rows, sizeof rows);
  }
}

/// The columns [j, j + 32) of a weight, which are asked for while others are in use: tiles multiply so quickly that memory
/// would be waited for.
struct Ahead {
  const uint16_t* row = nullptr;
  int64_t rows = 0, stride = 0, lines = 0, at = 0, each = 0;

  /// @param tiles results that are computed meanwhile: at each step of their sums a share is asked for
  Ahead(const Product<uint16_t>& p, int64_t j, int64_t k, int64_t depth, int64_t tiles) {
    const int64_t count = p.outputs - j < SIDE ? p.outputs - j : SIDE;
    if (count <= 0) return;
    row = p.weight + (p.transposed ? j * p.width + k : k * p.outputs + j);
    rows = p.transposed ? count : depth;
    stride = p.transposed ? p.width : p.outputs;
    lines = ((p.transposed ? depth : count) * 2 + LINE - 1) / LINE;
    each = (SIDE + tiles - 1) / tiles;
  }

  void ask() {
    for (int64_t i = 0; i < each && rows > 0; i++) {
      __builtin_prefetch(row + at * (LINE / 2), 0, 2);
      if (++at < lines) continue;
      at = 0;
      row += stride;
      rows--;
    }
  }
};

/// c (32, 32) = from + a b; strides are those of a's and c's rows.
inline void tilesOf(const uint16_t* a, int64_t aStride, const uint16_t* b, int64_t steps, const float* from,
                    int64_t fromStride, float* c, int64_t stride, Ahead& ahead) {
  const int64_t f = TILE * fromStride, t = TILE * stride;
  _tile_loadd(0, from, fromStride * 4);
  _tile_loadd(1, from + TILE, fromStride * 4);
  _tile_loadd(2, from + f, fromStride * 4);
  _tile_loadd(3, from + f + TILE, fromStride * 4);
  for (int64_t k = 0; k < steps; k++, a += TERMS, b += 2 * TILE_SIZE) {
    ahead.ask();
    _tile_loadd(4, a, aStride * 2);
    _tile_loadd(6, b, 64);
    _tile_loadd(5, a + TILE * aStride, aStride * 2);
    _tile_loadd(7, b + TILE_SIZE, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, stride * 4);
  _tile_stored(1, c + TILE, stride * 4);
  _tile_stored(2, c + t, stride * 4);
  _tile_stored(3, c + t + TILE, stride * 4);
}

/// A result in part beyond y goes by way of a whole one.
inline void tilesAtEdge(const Product<uint16_t>& p, int64_t i, int64_t j, const uint16_t* a, int64_t aStride,
                        const uint16_t* b, int64_t steps, const float* start, float* whole, Ahead& ahead) {
  const int64_t rows = p.rows - i < SIDE ? p.rows - i : SIDE, columns = p.outputs - j < SIDE ? p.outputs - j : SIDE;
  const size_t bytes = static_cast<size_t>(columns) * 4;
  float* const c = p.y + i * p.outputs + j;
  if (start == nullptr) {
    for (int64_t r = 0; r < rows; r++) memcpy(whole + r * SIDE, c + r * p.outputs, bytes);
  }
  tilesOf(a, aStride, b, steps, start == nullptr ? whole : start, start == nullptr ? SIDE : 0, whole, SIDE, ahead);
  for (int64_t r = 0; r < rows; r++) memcpy(c + r * p.outputs, whole + r * SIDE, bytes);
}

template <>
void multiply<uint16_t>(const Product<uint16_t>& p) {
  const int64_t stripes = (p.outputs + SIDE - 1) / SIDE, blocks = (p.rows + ROW_BLOCK - 1) / ROW_BLOCK;
  const int64_t padded = roundUp(p.rows, SIDE), rows = 0 < padded && padded < ROW_BLOCK ? padded : ROW_BLOCK;
  // Of fewer rows more terms, as each pass over the terms reads and writes the sums; but columns of a weight that is not
  // transposed lie in as many pages of memory as there are terms, too many of which are slower still.
  const int64_t most = p.transposed ? CHUNK * ROW_BLOCK / rows / TERMS * TERMS : CHUNK;
  const int64_t chunk = p.width < most ? roundUp(p.width, TERMS) : most, stride = chunk + TERMS;
  const auto halves = reinterpret_cast<uint16_t*>(sharedScratch(static_cast<size_t>(padded * stride / 2)));
  for (int64_t k = 0; k == 0 || k < p.width; k += most) {
    const int64_t depth = p.width - k < most ? p.width - k : most, steps = (depth + TERMS - 1) / TERMS;
    parallel(padded, rowGrain(depth), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) narrow(p.x + i * p.width + k, i < p.rows ? depth : 0, steps * TERMS, halves + i * stride);
    });
    parallel(stripes * blocks, AT_ONCE, [&](int64_t begin, int64_t end) {
      const TileConfig config;
      _tile_loadconfig(&config);
      float* const start = scratch(static_cast<size_t>(SIDE + SIDE * SIDE + chunk * SIDE / 2));
      float* const whole = start + SIDE;
      const auto b = reinterpret_cast<uint16_t*>(whole + SIDE * SIDE);
      for (int64_t item = begin; item < end; item++) {
        const int64_t j = item % stripes * SIDE, first = item / stripes * ROW_BLOCK;
        const int64_t last = p.rows - first < ROW_BLOCK ? p.rows : first + ROW_BLOCK;
        rearrangeHalves(p, j, k, depth, b);
        rearrangeHalves(p, j + TILE, k, depth, b + TILE_SIZE);
        for (int64_t c = 0; c < SIDE; c++) start[c] = p.bias != nullptr && j + c < p.outputs ? p.bias[j + c] : 0.0f;
        Ahead ahead(p, j + SIDE, k, depth, (last - first + SIDE - 1) / SIDE);
        for (int64_t i = first; i < last; i += SIDE) {
          const uint16_t* const a = halves + i * stride;
          float* const c = p.y + i * p.outputs + j;
          if (i + SIDE > p.rows || j + SIDE > p.outputs) tilesAtEdge(p, i, j, a, stride, b, steps, k == 0 ? start : nullptr, whole, ahead);
          else tilesOf(a, stride, b, steps, k == 0 ? start : c, k == 0 ? 0 : p.outputs, c, p.outputs, ahead);
        }
      }
      _tile_release();
    });
  }
}

/// The weight is the left factor, 16 of its rows as they are stored: it is read once, from memory, and x is small. Fewer
/// than four rows are left to a product in float, which is as fast and does not round x.
template <>
bool fewByTiles<uint16_t>(const Product<uint16_t>& p) {
  if (p.rows < 4 || p.rows > TILE || p.width % TERMS != 0 || p.outputs < TILE) return false;
  const int64_t steps = p.width / TERMS, blocks = (p.outputs + TILE - 1) / TILE;
  const auto x = reinterpret_cast<uint16_t*>(sharedScratch(static_cast<size_t>(steps * TILE_SIZE / 2)));
  for (int64_t k = 0; k < steps; k++) {
    Words pairs[LANES] = {};
    for (int64_t i = 0; i < p.rows; i++) narrow(p.x + i * p.width + k * TERMS, TERMS, TERMS, reinterpret_cast<uint16_t*>(&pairs[i]));
    transpose(pairs);
    memcpy(x + k * TILE_SIZE, pairs, sizeof pairs);
  }
  parallel(blocks, 1, [&](int64_t begin, int64_t end) {
    const TileConfig config;
    _tile_loadconfig(&config);
    for (int64_t block = begin; block < end; block++) {
      const int64_t j = block * TILE < p.outputs - TILE ? block * TILE : p.outputs - TILE;  // the last may go over the one before
      const uint16_t* const w = p.weight + j * p.width;
      _tile_zero(0);
      for (int64_t k = 0; k < steps; k++) {
        for (int64_t r = 0; r < TILE; r++) __builtin_prefetch(w + (TILE + r) * p.width + k * TERMS);
        _tile_loadd(1, w + k * TERMS, p.width * 2);
        _tile_loadd(2, x + k * TILE_SIZE, 64);
        _tile_dpbf16ps(0, 1, 2);
      }
      Floats sums[LANES];  // of an output, those of all rows
      _tile_stored(0, sums, 64);
      transpose(sums);
      const Floats bias = p.bias == nullptr ? Floats{} : load(p.bias + j);
      for (int64_t i = 0; i < p.rows; i++) store(p.y + i * p.outputs + j, sums[i] + bias);
    }
    _tile_release();
  });
  return true;
}

}  // namespace
}  // namespace peft

#endif
