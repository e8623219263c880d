// What the registers allow: products and sums of each kind with nothing from memory, on as many threads as asked for. bench/kernels.ts
// compiles and starts it. Prints a line for each kind that the processor has: its name and thousand millions of operations a second.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <immintrin.h>
#include <thread>
#include <vector>

namespace {

constexpr int SUMS = 12;  // more than a product takes steps
constexpr long ROUNDS = 20'000'000;

/// @param each operations of a step: a product and a sum for each term @param step one step of a sum
template <typename Sum, typename Step>
void measure(const char* name, int threads, int each, const Step& step) {
  std::vector<std::thread> all;
  const auto start = std::chrono::steady_clock::now();
  for (int t = 0; t < threads; t++) {
    all.emplace_back([&] {
      Sum sums[SUMS] = {};
      for (long i = 0; i < ROUNDS; i++) {
#pragma GCC unroll 12
        for (int s = 0; s < SUMS; s++) {
          sums[s] = step(sums[s]);
          asm volatile("" : "+v"(sums[s]));
        }
      }
    });
  }
  for (std::thread& thread : all) thread.join();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  printf("%s %.0f\n", name, static_cast<double>(ROUNDS) * SUMS * threads * each / seconds / 1e9);
}

}  // namespace

int main(int, char** arguments) {
  const int threads = atoi(arguments[1]);
#if defined(__AVX512F__)
  const __m512 ones = _mm512_set1_ps(1e-3f);
  measure<__m512>("float32", threads, 32, [=](__m512 sum) { return _mm512_fmadd_ps(ones, ones, sum); });
#elif defined(__FMA__)
  const __m256 ones = _mm256_set1_ps(1e-3f);
  measure<__m256>("float32", threads, 16, [=](__m256 sum) { return _mm256_fmadd_ps(ones, ones, sum); });
#endif
#if defined(__AVX512BF16__)
  const __m512bh halves = _mm512_cvtne2ps_pbh(ones, ones);
  measure<__m512>("bfloat16", threads, 64, [=](__m512 sum) { return _mm512_dpbf16_ps(sum, halves, halves); });
#endif
#if defined(__AVX512VNNI__)
  const __m512i bytes = _mm512_set1_epi8(1);
  measure<__m512i>("int8", threads, 128, [=](__m512i sum) { return _mm512_dpbusd_epi32(sum, bytes, bytes); });
#elif defined(__AVX2__)
  const __m256i pairs = _mm256_set1_epi16(1);
  measure<__m256i>("int8", threads, 32, [=](__m256i sum) { return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, pairs)); });
#endif
}
