// What programs need of TensorFlow's own operations: rows that are moved, found and added. JavaScript has worked out shapes and strides.
#pragma once
#include <stdint.h>

#include <string>

#include "tensorflow.h"

namespace peft {

using Plain = void (*)(const Memory* const* inputs, const Memory* const* outputs, const int32_t* numbers);

/// By name, or nullptr. Elements have 32 bits, but for Gather's and Widen's:
/// - Copy (x) → y: rank, sizes, offset and strides in x, offset and strides in y
/// - Fill (value) → y
/// - Add, Sub, Mul (a, b) → y, all floats or all integers: rank, sizes, strides in a, strides in b; y is without gaps
/// - Gather (table, ids) → rows
/// - Update (x, places, rows): rows of x are written over
/// - Widen (bfloat16 x) → y, ToFloat (int32 x) → y
Plain plainOperation(const std::string& name);

/// Bytes of an element.
size_t sizeOf(int type);

}  // namespace peft
