// What products of NF4 weights multiply: codes and scales, which become floats, or bfloat16 numbers, a stripe at a time.
#pragma once
#include "bfloat16-pairs.h"
#include "vector.h"

namespace peft {
namespace {

/// What the 16 codes stand for.
alignas(64) const float NF4_CODES[16] = {
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,
    -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
    0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f};

/// A weight row by row: two codes a byte, a scale for each block of numbers.
struct Nf4 {
  const uint8_t* codes;
  const float* scales;           // of blocks, or of their scales
  const uint8_t* nested;         // codes of the blocks' scales, or nullptr
  const float* map;              // what those stand for
  int64_t block, nestedBlock;    // numbers, and scales, that share one
  float offset;
  int64_t begin;                 // its first number
  bool rounded;                  // products may round to bfloat16
  int blockBits, nestedBits;     // of those numbers, where they are powers of two: dividing by them takes longer than what it is for

  Nf4(const uint8_t* codes, const float* scales, const uint8_t* nested, const float* map, int64_t block, int64_t nestedBlock, float offset, bool rounded)
      : codes(codes), scales(scales), nested(nested), map(map), block(block), nestedBlock(nestedBlock), offset(offset), begin(0), rounded(rounded), blockBits(bitsOf(block)), nestedBits(bitsOf(nestedBlock)) {}

  /// Leaves out rows at the front, which may be other matrices of its stack.
  void skip(int64_t rows, int64_t columns) { begin += rows * columns; }

  int64_t blockOf(int64_t number) const { return blockBits >= 0 ? number >> blockBits : number / block; }

  float scale(int64_t index) const {
    if (nested == nullptr) return scales[index];
    return map[nested[index]] * scales[nestedBits >= 0 ? index >> nestedBits : index / nestedBlock] + offset;
  }

 private:
  static int bitsOf(int64_t n) { return (n & (n - 1)) == 0 ? __builtin_ctzll(static_cast<unsigned long long>(n)) : -1; }
};

inline Floats codesAt(Words codes) {
#if defined(__AVX512F__)
  return (Floats)_mm512_permutexvar_ps((__m512i)codes, _mm512_load_ps(NF4_CODES));
#elif defined(__AVX2__)
  const __m256i places = (__m256i)codes;
  const __m256 low = _mm256_permutevar8x32_ps(_mm256_load_ps(NF4_CODES), places);
  const __m256 high = _mm256_permutevar8x32_ps(_mm256_load_ps(NF4_CODES + 8), places);
  return (Floats)_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(places, 28)));
#else
  Floats result;
  for (int i = 0; i < LANES; i++) result[i] = NF4_CODES[codes[i]];
  return result;
#endif
}

inline Words bytesAt(const uint8_t* from) {
#if defined(__AVX512F__)
  return (Words)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(__AVX2__)
  return (Words)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#else
  Words result;
  for (int i = 0; i < LANES; i++) result[i] = from[i];
  return result;
#endif
}

/// The codes of LANES numbers, in their order.
inline Words apart(const uint8_t* pairs) {
#if defined(__AVX2__)
  int64_t bytes = 0;
  memcpy(&bytes, pairs, LANES / 2);
  const __m128i both = _mm_cvtsi64_si128(bytes), half = _mm_set1_epi8(15);
  const __m128i codes = _mm_unpacklo_epi8(_mm_and_si128(_mm_srli_epi16(both, 4), half), _mm_and_si128(both, half));
#if defined(__AVX512F__)
  return (Words)_mm512_cvtepu8_epi32(codes);
#else
  return (Words)_mm256_cvtepu8_epi32(codes);
#endif
#else
  Words codes;
  for (int i = 0; i < LANES; i++) codes[i] = i % 2 == 0 ? pairs[i / 2] >> 4 : pairs[i / 2] & 15;
  return codes;
#endif
}

/// LANES numbers from the one at `index` on, in their order; the first `left`, then zeros.
inline Floats numbersAt(const Nf4& w, int64_t index, int64_t left) {
  if (left >= LANES && index % LANES == 0 && w.block % LANES == 0) {
    return codesAt(apart(w.codes + index / 2)) * w.scale(w.blockOf(index));
  }
  Floats result{};
  for (int i = 0; i < LANES && i < left; i++) {
    const int64_t place = index + i;
    const uint8_t pair = w.codes[place / 2];
    result[i] = NF4_CODES[place % 2 == 0 ? pair >> 4 : pair & 15] * w.scale(w.blockOf(place));
  }
  return result;
}

#if defined(__AVX512BF16__) && !defined(__AMX_BF16__)

/// Pairs of terms as bfloat16 numbers, straight from the codes: what 16 codes stand for within a block fits half a vector.
struct Nf4Terms {
  using Weight = Nf4;
  using Sum = Floats;
  using Number = uint16_t;

  /// What places are multiples of, in a product that these can take.
  static bool suit(const Product<Nf4>& p) {
    return p.weight->block % 64 == 0 && p.weight->begin % 64 == 0 && (p.transposed ? p.width : p.outputs) % 64 == 0;
  }

  static __m256i tableOf(const Nf4& w, int64_t index) {
    return (__m256i)_mm512_cvtneps_pbh((__m512)(load(NF4_CODES) * w.scale(w.blockOf(index))));
  }

  static Words along(const Product<Nf4>& p, int64_t row, int64_t column) {
    const Nf4& w = *p.weight;
    const int64_t index = w.begin + row * p.width + column;
    const Words pairs = bytesAt(w.codes + index / 2);
    return (Words)_mm512_permutexvar_epi16((__m512i)(pairs >> 4 | (pairs & 15) << 16), _mm512_castsi256_si512(tableOf(w, index)));
  }

  static void across(const Product<Nf4>& p, int64_t row, int64_t column, Words (&to)[STRIPE_VECTORS]) {
    const Nf4& w = *p.weight;
    const int64_t first = w.begin + row * p.outputs + column, second = row + 1 < p.width ? first + p.outputs : first;
    const __m256i low = row < p.width ? tableOf(w, first) : __m256i{}, high = row + 1 < p.width ? tableOf(w, second) : __m256i{};
    const __m512i table = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    for (int64_t v = 0; v < STRIPE_VECTORS; v++) {
      const int64_t from = v * LANES / 2;
      const Words codes = row < p.width ? apart(w.codes + first / 2 + from) | apart(w.codes + second / 2 + from) << 16 : Words{};
      to[v] = (Words)_mm512_permutexvar_epi16((__m512i)(codes | 16u << 16), table);
    }
  }

  static Floats add(Floats sum, Words weight, Words x) { return Bfloat16Terms::add(sum, weight, x); }
};

#endif

}  // namespace
}  // namespace peft
