// The bias of a linear layer.
#pragma once
#include "shape.h"
#include "tensorflow.h"
#include "vector.h"

namespace peft {
namespace {

/// Adds the bias to every row of x, in the memory of x, which must not be read any more.
void addBias(Call& call) {
  const Input x = call.floats(0), bias = call.floats(1);
  const int64_t D = lastOf(x.shape), N = rowsOf(x);
  expectSize("bias", bias, D);
  float* y = call.reuse(0, 0);
  parallel(N, rowGrain(D), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      float* const row = y + i * D;
      for (int64_t j = 0; j < D; j += LANES) store(row + j, load(row + j, D - j) + load(bias.data + j, D - j), D - j);
    }
  });
}

}  // namespace
}  // namespace peft
