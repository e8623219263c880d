// Rotary position embedding, in halves: number i and number i + D / 2 of a head are a point; and the angles.
#pragma once
#include "shape.h"
#include "tensorflow.h"
#include "vector.h"

namespace peft {
namespace {

/// (a, b) to (a cos − b sin, b cos + a sin); `back` turns the other way, which is the gradient.
/// x (B, T, H, D), cos and sin (B, T, 1, D / 2).
void rope(Call& call) {
  const Input x = call.floats(0), cos = call.floats(1), sin = call.floats(2);
  const bool back = call.flag("back");
  if (x.shape.rank != 4 || x.shape.dims[3] % 2 != 0) fail("expected x of 4 dimensions, the last of them even");
  const int64_t tokens = x.shape.dims[0] * x.shape.dims[1], H = x.shape.dims[2], half = x.shape.dims[3] / 2;
  expectSize("cos", cos, tokens * half);
  expectSize("sin", sin, tokens * half);
  float* y = call.output(0, x.shape);
  parallel(tokens, rowGrain(H * half), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      for (int64_t h = 0; h < H; h++) {
        const int64_t at = (i * H + h) * 2 * half;
        for (int64_t d = 0; d < half; d += LANES) {
          const int64_t left = half - d;
          const Floats a = load(x.data + at + d, left), b = load(x.data + at + half + d, left);
          const Floats c = load(cos.data + i * half + d, left), turned = load(sin.data + i * half + d, left);
          const Floats s = back ? -turned : turned;
          store(y + at + d, a * c - b * s, left);
          store(y + at + half + d, b * c + a * s, left);
        }
      }
    }
  });
}

/// cos and sin (B, T, 1, R / 2) of position · frequency, times `scale`, of positions (B · T) and frequencies (R / 2).
void rotation(Call& call) {
  const Tensor<const int32_t> positions = call.ints(0);
  const Input frequencies = call.floats(1);
  const float scale = call.number("scale");
  const auto batch = static_cast<int64_t>(call.number("batch"));
  if (batch < 1 || positions.size % batch != 0) fail("expected %lld rows of positions, got %lld positions", (long long)batch, (long long)positions.size);
  const int64_t half = frequencies.size;
  const Shape shape{4, {batch, positions.size / batch, 1, half}};
  float *cos = call.output(0, shape), *sin = call.output(1, shape);
  parallel(positions.size, rowGrain(64 * half), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      for (int64_t d = 0; d < half; d++) {
        const float angle = static_cast<float>(positions.data[i]) * frequencies.data[d];
        cos[i * half + d] = cosf(angle) * scale;
        sin[i * half + d] = sinf(angle) * scale;
      }
    }
  });
}

}  // namespace
}  // namespace peft
