// What products of int8 weights multiply: the weight's codes, and x in int8 too. Each row of x is rounded to whole numbers from −127 to 127
// times its own scale (Wortsman et al. 2023, arXiv:2304.13013), but for its outliers (LLM.int8, arXiv:2208.07339).
#pragma once
#include "narrow.h"

namespace peft {
namespace {

/// A weight row by row, with the factor of each row.
struct Int8 {
  const int8_t* codes;
  const float* factors;

  /// Leaves out rows at the front, which may be other matrices of its stack.
  void skip(int64_t rows, int64_t columns) {
    codes += rows * columns;
    factors += rows;
  }
};

/// One whose products round x. Numbers of this size are outliers; of 0 there are none.
struct RoundedInt8 : Int8 {
  float threshold;
};

/// Up to one in so many numbers of a row is an outlier: where more are large, that is what the row is like.
constexpr int64_t OUTLIERS = 32;
/// 1/127 in float, and the least size of a row's largest number that can be divided by.
constexpr float SHARE = 1.0f / 127.0f, LEAST = 1e-30f;

/// LANES codes; the first `left`, then zeros.
inline Ints codesAt(const int8_t* from, int64_t left) {
  typedef int8_t Bytes __attribute__((vector_size(LANES)));
  Bytes bytes{};
  if (left >= LANES) memcpy(&bytes, from, sizeof bytes);
  else if (left > 0) memcpy(&bytes, from, static_cast<size_t>(left));
  return __builtin_convertvector(bytes, Ints);
}

/// Rows of a weight that lie so far ahead are asked for.
constexpr int64_t ROWS_AHEAD = 16;

struct Int8Terms {
  using Weight = RoundedInt8;
  using Sum = Ints;

#if defined(__AVX512VNNI__)
  using Number = int8_t;

  /// Unsigned: the instruction takes one factor so. 128 too much, which the sum of the row's numbers makes up for.
  static constexpr uint32_t SIGNS = 0x80808080u;
  static constexpr int32_t EXCESS = 128;

  static Words along(const Product<RoundedInt8>& p, int64_t row, int64_t column) {
    const int64_t left = p.width - column;
    const __mmask64 mask = left >= 64 ? ~0ull : (1ull << left) - 1;
    const int8_t* const from = p.weight->codes + row * p.width + column;
    __builtin_prefetch(from + ROWS_AHEAD * p.width);
    return (Words)_mm512_maskz_loadu_epi8(mask, from) ^ SIGNS;
  }

  /// Four rows, whose bytes are put between one another: within 128 bits each, which then find together.
  static void across(const Product<RoundedInt8>& p, int64_t row, int64_t column, Words (&to)[STRIPE_VECTORS]) {
    const int64_t left = p.outputs - column;
    const __mmask64 mask = left >= 64 ? ~0ull : (1ull << left) - 1;
    __m512i rows[4];
    for (int i = 0; i < 4; i++) {
      const int8_t* const from = p.weight->codes + (row + i) * p.outputs + column;
      __builtin_prefetch(from + ROWS_AHEAD * p.outputs);
      rows[i] = row + i < p.width ? _mm512_maskz_loadu_epi8(mask, from) : __m512i{};
    }
    const __m512i low[] = {_mm512_unpacklo_epi8(rows[0], rows[1]), _mm512_unpacklo_epi8(rows[2], rows[3])};
    const __m512i high[] = {_mm512_unpackhi_epi8(rows[0], rows[1]), _mm512_unpackhi_epi8(rows[2], rows[3])};
    const __m512i first = _mm512_unpacklo_epi16(low[0], low[1]), second = _mm512_unpackhi_epi16(low[0], low[1]);
    const __m512i third = _mm512_unpacklo_epi16(high[0], high[1]), fourth = _mm512_unpackhi_epi16(high[0], high[1]);
    const __m512i fronts[] = {_mm512_shuffle_i32x4(first, second, 0x44), _mm512_shuffle_i32x4(third, fourth, 0x44)};
    const __m512i backs[] = {_mm512_shuffle_i32x4(first, second, 0xee), _mm512_shuffle_i32x4(third, fourth, 0xee)};
    to[0] = (Words)_mm512_shuffle_i32x4(fronts[0], fronts[1], 0x88) ^ SIGNS;
    to[1] = (Words)_mm512_shuffle_i32x4(fronts[0], fronts[1], 0xdd) ^ SIGNS;
    to[2] = (Words)_mm512_shuffle_i32x4(backs[0], backs[1], 0x88) ^ SIGNS;
    to[3] = (Words)_mm512_shuffle_i32x4(backs[0], backs[1], 0xdd) ^ SIGNS;
  }

  static Ints add(Ints sum, Words weight, Words x) { return (Ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)weight, (__m512i)x); }
#else
  using Number = int16_t;
  static constexpr int32_t EXCESS = 0;

  static Words along(const Product<RoundedInt8>& p, int64_t row, int64_t column) {
    typedef int8_t Bytes __attribute__((vector_size(2 * LANES)));
    typedef int16_t Pairs __attribute__((vector_size(4 * LANES)));
    const int64_t left = p.width - column;
    Bytes bytes{};
    const int8_t* const from = p.weight->codes + row * p.width + column;
    if (left >= 2 * LANES) memcpy(&bytes, from, sizeof bytes);
    else memcpy(&bytes, from, static_cast<size_t>(left));
    return (Words)__builtin_convertvector(bytes, Pairs);
  }

  static void across(const Product<RoundedInt8>& p, int64_t row, int64_t column, Words (&to)[STRIPE_VECTORS]) {
    const int8_t* from = p.weight->codes + row * p.outputs + column;
    for (int64_t v = 0; v < STRIPE_VECTORS; v++, from += LANES, column += LANES) {
      const Ints low = row < p.width ? codesAt(from, p.outputs - column) : Ints{};
      const Ints high = row + 1 < p.width ? codesAt(from + p.outputs, p.outputs - column) : Ints{};
      to[v] = ((Words)low & 0xffff) | (Words)high << 16;
    }
  }

  static Ints add(Ints sum, Words weight, Words x) {
#if defined(__AVX512BW__)
    return sum + (Ints)_mm512_madd_epi16((__m512i)weight, (__m512i)x);
#elif defined(__AVX2__)
    return sum + (Ints)_mm256_madd_epi16((__m256i)weight, (__m256i)x);
#elif defined(__SSE2__)
    return sum + (Ints)_mm_madd_epi16((__m128i)weight, (__m128i)x);
#else
    return sum + ((Ints)(weight << 16) >> 16) * ((Ints)(x << 16) >> 16) + ((Ints)weight >> 16) * ((Ints)x >> 16);
#endif
  }
#endif
};

using Code = Int8Terms::Number;

struct Outlier {
  int32_t column;
  float value;
};

/// The rows of x.
struct RoundedRows {
  Code* codes;         // narrowStride from row to row
  float* scales;
  int32_t* excess;     // what is too much in the sums of a row
  int32_t* counts;     // of outliers
  Outlier* outliers;   // `most` places for each row
  int64_t stride, most;
};

/// To the nearest, ties to the even one. Never one operation with the product before it, which is rounded first.
inline Ints nearest(Floats x) {
#if defined(__AVX512F__)
  return (Ints)_mm512_cvtps_epi32((__m512)x);
#elif defined(__AVX2__)
  return (Ints)_mm256_cvtps_epi32((__m256)x);
#elif defined(__SSE2__)
  return (Ints)_mm_cvtps_epi32((__m128)x);
#else
  for (int i = 0; i < LANES; i++) x[i] = __builtin_rintf(x[i]);
  return __builtin_convertvector(x, Ints);
#endif
}

inline Ints larger(Ints a, Ints b) { return a > b ? a : b; }

inline int32_t largest(Ints v) {
  int32_t most = v[0];
  for (int i = 1; i < LANES; i++) most = v[i] > most ? v[i] : most;
  return most;
}

inline int32_t total(Ints v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_epi32((__m512i)v);
#else
  int32_t result = 0;
  for (int i = 0; i < LANES; i++) result += v[i];
  return result;
#endif
}

inline int32_t bitsOf(float x) {
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

inline float floatOf(int32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/// Row i of x, each number times its factor where there are factors. Of a row with NaN or infinities all results are NaN.
void roundRow(const float* x, const float* factors, int64_t size, float threshold, const RoundedRows& to, int64_t i) {
  const auto at = [&](int64_t k) {
    const Floats value = load(x + k, size - k);
    return factors == nullptr ? value : value * load(factors + k, size - k);
  };
  const int32_t infinity = 0x7f800000, limit = threshold > 0 ? bitsOf(threshold) : infinity;
  // Sizes are compared by their bits, whose order is the same and puts NaN last.
  Ints all{};
  for (int64_t k = 0; k < size; k += LANES) all = larger((Ints)absolute(at(k)), all);
  const int32_t most = largest(all);
  const bool isFinite = most < infinity;
  Ints inner{}, found{};
  for (int64_t k = 0; isFinite && most >= limit && k < size; k += LANES) {
    const Ints bits = (Ints)absolute(at(k)), isOut = bits >= limit;
    inner = larger(isOut ? Ints{} : bits, inner);
    found -= isOut;
  }
  const int32_t count = total(found);
  const bool takesOut = count > 0 && count <= to.most;
  const float largestKept = floatOf(takesOut ? largest(inner) : most);
  const float inverse = isFinite && largestKept > LEAST ? 127.0f / largestKept : 0.0f;
  to.scales[i] = isFinite ? largestKept * SHARE : NAN;
  to.counts[i] = takesOut ? count : 0;
  Code* const codes = to.codes + i * to.stride;
  const int64_t end = inverse > 0 ? size : 0;
  const int32_t beyond = takesOut ? limit : infinity;
  Ints sums{};
  for (int64_t k = 0; k < end; k += LANES) {
    const Floats value = at(k);
    const Ints whole = nearest(((Ints)absolute(value) < beyond ? value : Floats{}) * inverse);
    sums += whole;
    typedef Code Codes __attribute__((vector_size(LANES * sizeof(Code))));
    const Codes narrow = __builtin_convertvector(whole, Codes);
    memcpy(codes + k, &narrow, sizeof narrow);
  }
  const int64_t filled = roundUp(end, LANES);
  memset(codes + filled, 0, static_cast<size_t>(to.stride - filled) * sizeof(Code));
  to.excess[i] = Int8Terms::EXCESS * total(sums);
  if (!takesOut) return;
  Outlier* next = to.outliers + i * to.most;
  for (int64_t k = 0; k < size; k++) {
    if (bitsOf(fabsf(x[k])) >= limit) *next++ = {static_cast<int32_t>(k), x[k]};
  }
}

}  // namespace
}  // namespace peft
