// Activation functions and their gradients. Forward keeps nothing: the gradient comes from the input alone.
#pragma once
#include "shape.h"
#include "tensorflow.h"
#include "vector.h"

namespace peft {
namespace {

struct Gelu {
  static Floats value(Floats x) { return x * normal(x).cdf; }
  static Floats slope(Floats x) {
    const Normal n = normal(x);
    return n.cdf + x * n.density;
  }
};

/// 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))
struct GeluTanh {
  static constexpr float ROOT = 0.7978845608f, CUBIC = 0.044715f;
  static Floats inner(Floats x) { return hyperbolicTangent(x * (x * x * CUBIC + 1.0f) * ROOT); }
  static Floats value(Floats x) { return x * 0.5f * (inner(x) + 1.0f); }
  static Floats slope(Floats x) {
    const Floats t = inner(x);
    return (t + 1.0f) * 0.5f + x * 0.5f * (1.0f - t * t) * ((x * x * (3.0f * CUBIC) + 1.0f) * ROOT);
  }
};

struct Silu {
  static Floats value(Floats x) { return x * sigmoid(x); }
  static Floats slope(Floats x) {
    const Floats s = sigmoid(x);
    return s * (x * (1.0f - s) + 1.0f);
  }
};

struct Relu {
  static Floats value(Floats x) { return x <= 0.0f ? splat(0.0f) : x; }
  static Floats slope(Floats x) { return x > 0.0f ? splat(1.0f) : splat(0.0f); }
};

struct Tanh {
  static Floats value(Floats x) { return hyperbolicTangent(x); }
  static Floats slope(Floats x) {
    const Floats t = hyperbolicTangent(x);
    return 1.0f - t * t;
  }
};

constexpr int64_t ELEMENT_GRAIN = 16384;

template <typename F>
void activate(Call& call) {
  const Input x = call.floats(0);
  float* y = call.output(0, x.shape);
  parallel(x.size, ELEMENT_GRAIN, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += LANES) store(y + i, F::value(load(x.data + i, end - i)), end - i);
  });
}

/// dx = dy · f'(x)
template <typename F>
void activateGrad(Call& call) {
  const Input dy = call.floats(0), x = call.floats(1);
  expectSize("dy", dy, x.size);
  float* dx = call.output(0, x.shape);
  parallel(x.size, ELEMENT_GRAIN, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += LANES) {
      const int64_t left = end - i;
      store(dx + i, load(dy.data + i, left) * F::slope(load(x.data + i, left)), left);
    }
  });
}

/// y = f(gate) · up
template <typename F>
void gated(Call& call) {
  const Input gate = call.floats(0), up = call.floats(1);
  expectSize("up", up, gate.size);
  float* y = call.output(0, gate.shape);
  parallel(gate.size, ELEMENT_GRAIN, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += LANES) {
      const int64_t left = end - i;
      store(y + i, F::value(load(gate.data + i, left)) * load(up.data + i, left), left);
    }
  });
}

/// dgate = dy · up · f'(gate), dup = dy · f(gate)
template <typename F>
void gatedGrad(Call& call) {
  const Input dy = call.floats(0), gate = call.floats(1), up = call.floats(2);
  expectSize("dy", dy, gate.size);
  expectSize("up", up, gate.size);
  float* dgate = call.output(0, gate.shape);
  float* dup = call.output(1, gate.shape);
  parallel(gate.size, ELEMENT_GRAIN, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += LANES) {
      const int64_t left = end - i;
      const Floats d = load(dy.data + i, left), g = load(gate.data + i, left);
      store(dgate + i, d * load(up.data + i, left) * F::slope(g), left);
      store(dup + i, d * F::value(g), left);
    }
  });
}

}  // namespace
}  // namespace peft
