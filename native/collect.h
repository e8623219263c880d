// The rows of tokens that each come from several: from where experts leave them, side by side by expert, back to the tokens.
#pragma once
#include "shape.h"
#include "tensorflow.h"
#include "vector.h"

namespace peft {
namespace {

/// The row of each choice of each token, among as many.
struct Choices {
  int64_t tokens, each, width;
  const int32_t* places;
};

Choices choicesOf(Call& call, int index, const Input& rows) {
  const Tensor<const int32_t> places = call.ints(index);
  const int64_t count = rowsOf(rows), each = static_cast<int64_t>(call.number("each"));
  if (places.size != count || each < 1 || count % each != 0) {
    fail("expected a place for each of %lld rows, %lld of each token, got %lld", (long long)count, (long long)each, (long long)places.size);
  }
  for (int64_t i = 0; i < count; i++) {
    if (places.data[i] < 0 || places.data[i] >= count) fail("expected places from 0 to %lld, got %d", (long long)count - 1, places.data[i]);
  }
  return {count / each, each, lastOf(rows.shape), places.data};
}

/// sum (tokens, width): Σₖ wₖ yₖ, or Σₖ yₖ where weights are left out
void collect(Call& call) {
  const Input y = call.floats(0), weights = call.floats(1);
  const Choices p = choicesOf(call, 2, y);
  if (weights.size != 0) expectSize("weights", weights, p.tokens * p.each);
  float* const sum = call.output(0, {2, {p.tokens, p.width}});
  parallel(p.tokens, rowGrain(p.width * p.each), [=](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n++) {
      const int32_t* const places = p.places + n * p.each;
      for (int64_t j = 0; j < p.width; j += LANES) {
        Floats total{};
        for (int64_t k = 0; k < p.each; k++) {
          const Floats row = load(y.data + places[k] * p.width + j, p.width - j);
          total += weights.size == 0 ? row : row * weights.data[n * p.each + k];
        }
        store(sum + n * p.width + j, total, p.width - j);
      }
    }
  });
}

/// dyₖ = wₖ d, dwₖ = yₖ · d
void collectGrad(Call& call) {
  const Input d = call.floats(0), y = call.floats(1), weights = call.floats(2);
  const Choices p = choicesOf(call, 3, y);
  expectSize("dy", d, p.tokens * p.width);
  expectSize("weights", weights, p.tokens * p.each);
  float *const dy = call.output(0, {2, {p.tokens * p.each, p.width}}), *const dw = call.output(1, {2, {p.tokens, p.each}});
  parallel(p.tokens, rowGrain(p.width * p.each), [=](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n++) {
      const float* const from = d.data + n * p.width;
      for (int64_t i = n * p.each; i < (n + 1) * p.each; i++) {
        const float* const row = y.data + p.places[i] * p.width;
        float* const to = dy + p.places[i] * p.width;
        const float weight = weights.data[i];
        Floats total{};
        for (int64_t j = 0; j < p.width; j += LANES) {
          const Floats value = load(from + j, p.width - j);
          total += load(row + j, p.width - j) * value;
          store(to + j, value * weight, p.width - j);
        }
        dw[i] = sum(total);
      }
    }
  });
}

}  // namespace
}  // namespace peft
