// Vectors of floats in the compiler's own notation (GCC and Clang), as wide as the processor's registers, and the
// functions on them that kernels need. NaN and infinities go through all of them as through the C library's.
//
// Everything here has internal linkage: the file is compiled once for each instruction set, and the linker must never
// take a function of one for another.
#pragma once
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "pool.h"

namespace peft {
namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX2__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef uint32_t Words __attribute__((vector_size(LANES * 4)));

inline Floats splat(float value) { return Floats{} + value; }

inline Floats load(const float* from) {
  Floats v;
  memcpy(&v, from, sizeof v);
  return v;
}

inline void store(float* to, Floats v) { memcpy(to, &v, sizeof v); }

#if defined(__AVX512F__)
inline __mmask16 firstOf16(int64_t left) { return left >= LANES ? 0xffff : static_cast<__mmask16>((1u << left) - 1); }

/// The first `left` floats, then zeros; whole vectors where `left` allows.
inline Floats load(const float* from, int64_t left) { return (Floats)_mm512_maskz_loadu_ps(firstOf16(left), from); }

inline void store(float* to, Floats v, int64_t left) { _mm512_mask_storeu_ps(to, firstOf16(left), (__m512)v); }
#else
inline Floats load(const float* from, int64_t left) {
  if (left >= LANES) return load(from);
  Floats v{};
  memcpy(&v, from, static_cast<size_t>(left) * 4);
  return v;
}

inline void store(float* to, Floats v, int64_t left) {
  if (left >= LANES) store(to, v);
  else memcpy(to, &v, static_cast<size_t>(left) * 4);
}
#endif

/// Lane i is lane places[i] of a and, behind them, b.
template <typename Vector>
inline Vector shuffle(Vector a, Vector b, Ints places) {
#if defined(__clang__)
  Vector result;
  for (int i = 0; i < LANES; i++) result[i] = places[i] < LANES ? a[places[i]] : b[places[i] - LANES];
  return result;
#else
  return __builtin_shuffle(a, b, places);
#endif
}

inline float sum(Floats v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps(v);  // adds in the order of the loop, which compilers make much slower code of
#else
  float lanes[LANES];
  store(lanes, v);
  for (int width = LANES / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
  }
  return lanes[0];
#endif
}

inline Floats squareRoot(Floats v) {
#if defined(__AVX512F__)
  return (Floats)_mm512_sqrt_ps((__m512)v);
#else
  for (int i = 0; i < LANES; i++) v[i] = sqrtf(v[i]);
  return v;
#endif
}

inline float largest(Floats v) {
  float lanes[LANES];
  store(lanes, v);
  float most = lanes[0];
  for (int i = 1; i < LANES; i++) most = lanes[i] > most ? lanes[i] : most;
  return most;
}

/// b where a is NaN.
inline Floats larger(Floats a, Floats b) { return a > b ? a : b; }

inline Floats absolute(Floats x) { return (Floats)((Ints)x & 0x7fffffff); }

/// Of each pair of rows, STEP apart, the halves that belong together. STEP is known to the compiler, and so are the places: it would make them
/// anew in each call otherwise, which takes far longer than to shuffle.
template <int STEP, typename Vector>
inline void exchange(Vector (&rows)[LANES]) {
  Ints low, high;
#pragma GCC unroll 16
  for (int i = 0; i < LANES; i++) {
    low[i] = (i & STEP) == 0 ? i : (i ^ STEP) + LANES;
    high[i] = (i & STEP) == 0 ? i ^ STEP : i + LANES;
  }
#pragma GCC unroll 16
  for (int i = 0; i < LANES; i++) {
    if ((i & STEP) != 0) continue;
    const Vector a = rows[i], b = rows[i | STEP];
    rows[i] = shuffle(a, b, low);
    rows[i | STEP] = shuffle(a, b, high);
  }
}

/// Turns rows into columns.
template <int STEP = 1, typename Vector>
inline void transpose(Vector (&rows)[LANES]) {
  exchange<STEP>(rows);
  if constexpr (2 * STEP < LANES) transpose<2 * STEP>(rows);
}

inline Words lanes() {
  Words v;
  for (int i = 0; i < LANES; i++) v[i] = static_cast<uint32_t>(i);
  return v;
}

/// The first `count` lanes of `v`, `rest` in the others.
inline Floats first(int64_t count, Floats v, float rest) {
  if (count >= LANES) return v;
  return (Ints)lanes() < static_cast<int32_t>(count) ? v : splat(rest);
}

/// eˣ to 1 unit in the last place; 0 below −87.3, where results are denormal, and infinity above 88.7. Cephes expf.
inline Floats exponential(Floats x) {
  const float least = -87.33654f, most = 88.72284f;
  Floats y = x < least ? splat(least) : x;  // NaN passes both
  y = y > most ? splat(most) : y;
  const float round = 12582912.0f;  // 1.5 · 2²³: adding it leaves the nearest integer in the low bits
  const Floats shifted = y * 1.44269504f + round;
  const Ints n = (Ints)shifted - 0x4b400000;
  const Floats whole = shifted - round;
  Floats r = y - whole * 0.693359375f;
  r = r - whole * -2.12194440e-4f;
  Floats p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const Ints half = n >> 1;  // 2ⁿ in two factors: n = 128 has no float of its own
  const Floats result = p * (Floats)((half + 127) << 23) * (Floats)((n - half + 127) << 23);
  const Floats bounded = x > most ? splat(INFINITY) : result;
  return x < least ? splat(0.0f) : bounded;
}

/// tanh x to 2 units in the last place. Cephes tanhf.
inline Floats hyperbolicTangent(Floats x) {
  const Floats a = absolute(x);
  const Floats z = x * x;
  Floats p = splat(-5.70498872745e-3f);
  p = p * z + 2.06390887954e-2f;
  p = p * z + -5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z + -3.33332819422e-1f;
  const Floats small = p * z * x + x;
  const Floats large = 1.0f - 2.0f / (exponential(a * 2.0f) + 1.0f);
  const Floats withSign = (Floats)((Ints)large | ((Ints)x & INT32_MIN));
  return a < 0.625f ? small : withSign;
}

inline Floats sigmoid(Floats x) { return 1.0f / (1.0f + exponential(-x)); }

struct Normal {
  Floats cdf;
  Floats density;
};

/// The standard normal distribution, with small relative error (under 1e-6 for x > −5) in the lower tail too.
///
/// With a = |x| and t = 1 / (1 + 0.26 a): Φ(−a) = exp(−a²/2) · t P(t), P a minimax fit of degree 8 (relative error 2e-8).
inline Normal normal(Floats x) {
  const Floats a = absolute(x);
  const Floats t = 1.0f / (1.0f + 0.26f * a);
  const Floats e = exponential(a * a * -0.5f);
  Floats p = splat(3.078367101e-02f);
  p = p * t + -1.541896708e-01f;
  p = p * t + 2.543185298e-01f;
  p = p * t + -1.542070987e-01f;
  p = p * t + 1.632208012e-01f;
  p = p * t + 5.004684724e-02f;
  p = p * t + 1.032854348e-01f;
  p = p * t + 1.029802127e-01f;
  p = p * t + 1.037612619e-01f;
  const Floats tail = p * t * e;
  return {x > 0.0f ? 1.0f - tail : tail, e * 0.3989422804f};
}

/// Calls `work(begin, end)` for pieces of [0, count) on all threads; a piece has at least `grain`.
template <typename F>
inline void parallel(int64_t count, int64_t grain, const F& work) {
  parallelRun(count, grain < 1 ? 1 : grain,
              [](const void* f, int64_t begin, int64_t end) { (*static_cast<const F*>(f))(begin, end); }, &work);
}

/// Rows of `width` floats that are worth a thread of their own: less work than waking one takes (about 10 µs).
inline int64_t rowGrain(int64_t width) { return 16384 / (width < 1 ? 1 : width) + 1; }

}  // namespace
}  // namespace peft
