// Random bits that are a pure function of the seed and the place: Philox4x32-10, Salmon et al. 2011 (Random123).
//
// A tensor is seen as rows of its last axis. The bits of row r, column c come from the counter
// (16 · ⌊c / 64⌋ + c mod 16, r mod 2³², ⌊r / 2³²⌋, 0), of whose four words column c takes number ⌊c / 16⌋ mod 4; so 64
// columns take 16 counters side by side, whatever the width of the vectors is.
#pragma once
#include "shape.h"
#include "tensorflow.h"
#include "vector.h"

namespace peft {
namespace {

constexpr int BLOCK = 64;  // columns

struct Seed {
  uint32_t low, high;
};

struct Wide {
  Words high, low;
};

/// The 64-bit products of each lane with one number, as their two halves.
inline Wide multiply(Words x, uint32_t by) {
#if defined(__AVX512F__)
  const __m512i factor = _mm512_set1_epi32((int)by), even = _mm512_mul_epu32((__m512i)x, factor);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64((__m512i)x, 32), factor);
  return {(Words)_mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xaaaa, odd),
          (Words)_mm512_mask_mov_epi32(even, 0xaaaa, _mm512_slli_epi64(odd, 32))};
#elif defined(__AVX2__)
  const __m256i factor = _mm256_set1_epi32((int)by), even = _mm256_mul_epu32((__m256i)x, factor);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)x, 32), factor);
  return {(Words)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa),
          (Words)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa)};
#else
  Wide result;
  for (int i = 0; i < LANES; i++) {
    const uint64_t product = (uint64_t)x[i] * by;
    result.high[i] = (uint32_t)(product >> 32);
    result.low[i] = (uint32_t)product;
  }
  return result;
#endif
}

/// The bits of one block of a row, column by column.
inline void randomBlock(Seed seed, uint64_t row, uint32_t block, uint32_t* words) {
  for (int part = 0; part < 16; part += LANES) {
    Words a = lanes() + (block * 16 + (uint32_t)part);
    Words b = Words{} + (uint32_t)row, c = Words{} + (uint32_t)(row >> 32), d{};
    uint32_t low = seed.low, high = seed.high;
    for (int round = 0; round < 10; round++) {
      const Wide first = multiply(a, 0xD2511F53u), second = multiply(c, 0xCD9E8D57u);
      a = second.high ^ b ^ low;
      c = first.high ^ d ^ high;
      b = second.low;
      d = first.low;
      low += 0x9E3779B9u;
      high += 0xBB67AE85u;
    }
    const Words all[] = {a, b, c, d};
    for (int word = 0; word < 4; word++) memcpy(words + word * 16 + part, &all[word], sizeof(Words));
  }
}

/// What dropout does to an element: zero with probability `rate`, else 1 / (1 − rate).
struct Dropout {
  Seed seed;
  Ints least;  // of the upper 24 bits, for an element that stays
  float scale;

  Dropout(Seed s, float rate)
      : seed(s), least(Ints{} + (int32_t)ceilf(rate * 16777216.0f)), scale(1.0f / (1.0f - rate)) {}

  Floats factor(const uint32_t* words) const {
    Words w;
    memcpy(&w, words, sizeof w);
    return (Ints)(w >> 8) >= least ? splat(scale) : splat(0.0f);
  }

  /// Multiplies the elements [from, to) of a row, whole vectors of them.
  void apply(float* numbers, uint64_t row, int64_t from, int64_t to) const {
    alignas(64) uint32_t words[BLOCK];
    for (int64_t start = from / BLOCK * BLOCK; start < to; start += BLOCK) {
      randomBlock(seed, row, (uint32_t)(start / BLOCK), words);
      const int64_t end = start + BLOCK < to ? start + BLOCK : to;
      for (int64_t j = start > from ? start : from; j < end; j += LANES) store(numbers + j, load(numbers + j) * factor(words + (j - start)));
    }
  }
};

Seed seedOf(const Tensor<const int32_t>& seed) {
  if (seed.size != 2) fail("expected a seed of two numbers, got %lld", (long long)seed.size);
  return {(uint32_t)seed.data[0], (uint32_t)seed.data[1]};
}

float rateOf(const Call& call) {
  const float rate = call.number("rate");
  if (!(rate >= 0 && rate < 1)) fail("expected a rate in [0, 1), got %g", (double)rate);
  return rate;
}

/// y = x where an element stays, times 1 / (1 − rate), and 0 elsewhere. Its own gradient, applied to dy.
void dropout(Call& call) {
  const Input x = call.floats(0);
  const Dropout drop(seedOf(call.ints(1)), rateOf(call));
  float* y = call.output(0, x.shape);
  const int64_t D = lastOf(x.shape), N = rowsOf(x);
  parallel(N, rowGrain(D), [&](int64_t begin, int64_t end) {
    alignas(64) uint32_t words[BLOCK];
    for (int64_t i = begin; i < end; i++) {
      for (int64_t start = 0; start < D; start += BLOCK) {
        randomBlock(drop.seed, (uint64_t)i, (uint32_t)(start / BLOCK), words);
        const int64_t stop = start + BLOCK < D ? start + BLOCK : D;
        for (int64_t j = start; j < stop; j += LANES) {
          const int64_t at = i * D + j, left = D - j;
          store(y + at, load(x.data + at, left) * drop.factor(words + (j - start)), left);
        }
      }
    }
  });
}

/// Numbers in [0, 1), multiples of 2⁻²⁴: dropout keeps an element whose number is at least the rate.
void uniform(Call& call) {
  const Tensor<const int32_t> sizes = call.ints(0);
  const Seed seed = seedOf(call.ints(1));
  if (sizes.size > MAX_RANK) fail("expected a shape of at most %d dimensions, got %lld", MAX_RANK, (long long)sizes.size);
  Shape shape{(int)sizes.size, {}};
  int64_t size = 1;
  for (int i = 0; i < shape.rank; i++) {
    if (sizes.data[i] < 0) fail("expected a shape without negative sizes, got %d", sizes.data[i]);
    size *= shape.dims[i] = sizes.data[i];
  }
  float* y = call.output(0, shape);
  const int64_t D = lastOf(shape), N = size == 0 ? 0 : size / D;
  parallel(N, rowGrain(D), [=](int64_t begin, int64_t end) {
    alignas(64) uint32_t words[BLOCK];
    for (int64_t i = begin; i < end; i++) {
      for (int64_t start = 0; start < D; start += BLOCK) {
        randomBlock(seed, (uint64_t)i, (uint32_t)(start / BLOCK), words);
        for (int64_t j = 0; j < BLOCK && start + j < D; j++) y[i * D + start + j] = (float)(words[j] >> 8) * 0x1p-24f;
      }
    }
  });
}

}  // namespace
}  // namespace peft
