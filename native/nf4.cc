#include "nf4.h"

#include <cmath>
#include <cstring>

namespace peft {
namespace {

/// At a time: registers of every processor hold as many.
constexpr int64_t WIDTH = 4;
typedef float Numbers __attribute__((vector_size(WIDTH * 4)));
typedef int32_t Counts __attribute__((vector_size(WIDTH * 4)));

/// Of what a zero is divided by.
constexpr float LEAST = 1e-38f;

void readNumbers(const float* from, Numbers& to) { memcpy(&to, from, sizeof to); }

/// Of a block, with zeros behind its numbers. Sizes are compared by their bits, whose order is the same and puts NaN last.
float largestSize(const float* block) {
  Counts most{};
  for (int64_t i = 0; i < NF4_BLOCK; i += WIDTH) {
    Numbers numbers;
    readNumbers(block + i, numbers);
    const Counts bits = (Counts)numbers & 0x7fffffff;
    most = bits > most ? bits : most;
  }
  int32_t bits = most[0];
  for (int64_t i = 1; i < WIDTH; i++) bits = most[i] > bits ? most[i] : bits;
  float size;
  memcpy(&size, &bits, sizeof size);
  return std::isnan(size) ? NAN : size;
}

/// The nearest code of each share, of two as near the lower; NaN is the highest.
void writeCodes(const float* shares, const Numbers (&middles)[15], uint8_t* codes) {
  int32_t single[NF4_BLOCK];
  for (int64_t i = 0; i < NF4_BLOCK; i += WIDTH) {
    Numbers share;
    readNumbers(shares + i, share);
    Counts above = Counts{} + 15;
    for (const Numbers& middle : middles) above += middle >= share;  // −1 where it is so
    memcpy(single + i, &above, sizeof above);
  }
  for (int64_t i = 0; i < NF4_BLOCK / 2; i++) codes[i] = static_cast<uint8_t>(single[2 * i] << 4 | single[2 * i + 1]);
}

}  // namespace

void quantizeNf4(const float* values, int64_t count, const float* middles, uint8_t* codes, float* scales) {
  Numbers wide[15];
  for (int m = 0; m < 15; m++) wide[m] = Numbers{} + middles[m];
  for (int64_t begin = 0; begin < count; begin += NF4_BLOCK) {
    const int64_t left = count - begin < NF4_BLOCK ? count - begin : NF4_BLOCK;
    const bool whole = left == NF4_BLOCK;
    float numbers[NF4_BLOCK] = {};  // of part of a block with zeros behind it
    memcpy(numbers, values + begin, static_cast<size_t>(left) * sizeof(float));
    const float largest = largestSize(numbers), divisor = largest < LEAST ? LEAST : largest, factor = 1.0f / divisor;
    *scales++ = whole ? largest : divisor;  // bitsandbytes keeps what it has divided a part of a block by
    for (int64_t i = 0; i < left; i++) numbers[i] = whole ? numbers[i] * factor : numbers[i] / divisor;  // a zero behind an odd number stays one
    uint8_t packed[NF4_BLOCK / 2];
    writeCodes(numbers, wide, packed);
    const int64_t bytes = (left + 1) / 2;
    memcpy(codes, packed, static_cast<size_t>(bytes));
    codes += bytes;
  }
}

}  // namespace peft
