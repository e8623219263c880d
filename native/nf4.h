// Numbers to NF4.
#pragma once
#include <stdint.h>

namespace peft {

/// Numbers that share a scale.
constexpr int64_t NF4_BLOCK = 64;

/// The codes of `count` numbers, two a byte, and the largest size in each block. src/base/engine/nf4-codes.ts says what they are, bit for bit.
///
/// @param middles 15, ascending: what is above one has a higher code
void quantizeNf4(const float* values, int64_t count, const float* middles, uint8_t* codes, float* scales);

}  // namespace peft
