// The processor's own tiles (Intel AMX): 16 rows of 64 bytes; of a right factor each row holds groups of terms of 16 columns, 4 bytes each.
#pragma once
#include "vector.h"

#if defined(__AMX_TILE__)

namespace peft {
namespace {

/// All eight, whole.
struct TileConfig {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

}  // namespace
}  // namespace peft

#endif
