// One step of AdamW (src/training/adamw.ts has the formula), for the whole of a trained tensor.
#pragma once
#include "shape.h"
#include "tensorflow.h"
#include "vector.h"

namespace peft {
namespace {

void adamW(Call& call) {
  const Input variable = call.floats(0), mean = call.floats(1), square = call.floats(2), grad = call.floats(3);
  const Input numbers = call.floats(4);
  expectSize("mean", mean, variable.size);
  expectSize("square", square, variable.size);
  expectSize("grad", grad, variable.size);
  expectSize("numbers", numbers, 7);
  const float beta2 = numbers.data[1], epsilon = numbers.data[3], rate = numbers.data[4];
  const float rootCorrection = numbers.data[5], kept = numbers.data[6];
  const float rest1 = numbers.data[0], rest2 = numbers.data[2];  // 1 − β, which a float's 1 − β is not near enough to
  float* const nextVariable = call.output(0, variable.shape);
  float* const nextMean = call.output(1, variable.shape);
  float* const nextSquare = call.output(2, variable.shape);
  parallel(variable.size, 16384, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += LANES) {
      const int64_t left = end - i;
      const Floats g = load(grad.data + i, left), m = load(mean.data + i, left), s = load(square.data + i, left);
      const Floats newMean = m + (g - m) * rest1, newSquare = s * beta2 + g * g * rest2;
      const Floats step = newMean / (squareRoot(newSquare) / rootCorrection + epsilon);
      store(nextMean + i, newMean, left);
      store(nextSquare + i, newSquare, left);
      store(nextVariable + i, load(variable.data + i, left) * kept - step * rate, left);
    }
  });
}

}  // namespace
}  // namespace peft
