// The bias of a linear layer.
#pragma once
#include "shape.h"
#include "tensorflow.h"
#include "vector.h"

namespace peft {
namespace {

/// y = x + bias in every row.
void addBias(Call& call) {
  const Input x = call.floats(0), bias = call.floats(1);
  const int64_t D = lastOf(x.shape), N = rowsOf(x);
  expectSize("bias", bias, D);
  float* const y = call.output(0, x.shape);
  parallel(N, rowGrain(D), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const float* const from = x.data + i * D;
      for (int64_t j = 0; j < D; j += LANES) store(y + i * D + j, load(from + j, D - j) + load(bias.data + j, D - j), D - j);
    }
  });
}

}  // namespace
}  // namespace peft
