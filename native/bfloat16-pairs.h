// Products of a bfloat16 weight on processors that multiply pairs of bfloat16 numbers (AVX512-BF16): x is rounded to bfloat16, sums are float.
// Those that have tiles too take those.
#pragma once
#include "many-rows.h"
#include "narrow.h"

#if defined(__AVX512BF16__)

namespace peft {
namespace {

/// Rounds to the nearest, ties to even; zeros up to `padded`, whole vectors.
inline void narrow(const float* from, int64_t count, int64_t padded, uint16_t* to) {
  for (int64_t k = 0; k < padded; k += 2 * LANES) {
    const Floats low = k < count ? load(from + k, count - k) : Floats{};
    const Floats high = k + LANES < count ? load(from + k + LANES, count - k - LANES) : Floats{};
    const __m512bh both = _mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
    memcpy(to + k, &both, sizeof both);
  }
}

/// Up to `count` of 16 numbers, then zeros.
inline __m512i sixteen(const uint16_t* from, int64_t count) {
  return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(count <= 0 ? 0 : firstOf16(count), from));
}

#if !defined(__AMX_BF16__)

struct Bfloat16Terms {
  using Weight = uint16_t;
  using Sum = Floats;
  using Number = uint16_t;

  static Words along(const Product<uint16_t>& p, int64_t row, int64_t column) {
    const int64_t left = p.width - column;
    const __mmask32 mask = left >= 2 * LANES ? 0xffffffff : static_cast<__mmask32>((1u << left) - 1);
    return (Words)_mm512_maskz_loadu_epi16(mask, p.weight + row * p.width + column);
  }

  static void across(const Product<uint16_t>& p, int64_t row, int64_t column, Words (&to)[STRIPE_VECTORS]) {
    const uint16_t* from = p.weight + row * p.outputs + column;
    for (int64_t v = 0; v < STRIPE_VECTORS; v++, from += LANES, column += LANES) {
      const __m512i low = row < p.width ? sixteen(from, p.outputs - column) : __m512i{};
      const __m512i high = row + 1 < p.width ? sixteen(from + p.outputs, p.outputs - column) : __m512i{};
      to[v] = (Words)low | (Words)high << 16;
    }
  }

  static Floats add(Floats sum, Words weight, Words x) {
    return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)weight, (__m512bh)x);
  }
};

struct Bfloat16Finish {
  const float* bias;

  Floats operator()(int64_t, int64_t j, Floats sum, int64_t left) const { return bias == nullptr ? sum : sum + load(bias + j, left); }
};

/// @tparam Terms how pairs of the weight's numbers are read
template <typename Terms>
void multiplyHalves(const Product<typename Terms::Weight>& p) {
  const int64_t stride = narrowStride<uint16_t>(p.width);
  const auto x = reinterpret_cast<uint16_t*>(sharedScratch(static_cast<size_t>(p.rows * stride / 2)));
  parallel(p.rows, rowGrain(p.width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) narrow(p.x + i * p.width, p.width, stride, x + i * stride);
  });
  multiplyNarrow<Terms>(p, x, Bfloat16Finish{p.bias});
}

template <>
void multiply<uint16_t>(const Product<uint16_t>& p) {
  multiplyHalves<Bfloat16Terms>(p);
}

#endif

}  // namespace
}  // namespace peft

#endif
