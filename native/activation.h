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

/// The gradient is SiLU's at 1.702 x: the factors that go in and come out cancel.
struct QuickGelu {
  static constexpr float QUICK = 1.702f;
  static Floats value(Floats x) { return x * sigmoid(x * QUICK); }
  static Floats slope(Floats x) { return Silu::slope(x * QUICK); }
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

/// Rows of gates and of ups: each in a tensor of its own, or a row's ups behind its gates, where the second is left out.
struct Gates {
  int64_t rows, width, stride;
  const float *gate, *up;

  bool areApart() const { return stride == width; }
};

Gates gatesOf(const Input& gate, const Input& up) {
  const int64_t last = lastOf(gate.shape), rows = rowsOf(gate);
  if (up.size != 0 || gate.size == 0) {
    expectSize("up", up, gate.size);
    return {rows, last, last, gate.data, up.data};
  }
  if (last % 2 != 0) fail("expected as many gates as ups, got %lld in all", (long long)last);
  return {rows, last / 2, last, gate.data, gate.data + last / 2};
}

/// Calls `run(row, column, left)` for all vectors.
template <typename F>
void eachVector(const Gates& p, const F& run) {
  const int64_t pieces = (p.width + ELEMENT_GRAIN - 1) / ELEMENT_GRAIN;  // of a row: there may be one long one
  parallel(p.rows * pieces, rowGrain(p.width / (pieces < 1 ? 1 : pieces)), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; item++) {
      const int64_t first = item % pieces * ELEMENT_GRAIN, last = first + ELEMENT_GRAIN < p.width ? first + ELEMENT_GRAIN : p.width;
      for (int64_t j = first; j < last; j += LANES) run(item / pieces, j, last - j);
    }
  });
}

/// y = f(gate) · up
template <typename F>
void gated(Call& call) {
  const Input gate = call.floats(0), up = call.floats(1);
  const Gates p = gatesOf(gate, up);
  Shape shape = gate.shape;
  if (!p.areApart()) shape.dims[shape.rank - 1] = p.width;
  float* const y = call.output(0, shape);
  eachVector(p, [=](int64_t i, int64_t j, int64_t left) {
    const int64_t from = i * p.stride + j;
    store(y + i * p.width + j, F::value(load(p.gate + from, left)) * load(p.up + from, left), left);
  });
}

/// dgate = dy · up · f'(gate), dup = dy · f(gate); dgate has both where gate has
template <typename F>
void gatedGrad(Call& call) {
  const Input dy = call.floats(0), gate = call.floats(1), up = call.floats(2);
  const Gates p = gatesOf(gate, up);
  expectSize("dy", dy, p.rows * p.width);
  float* const dgate = call.output(0, gate.shape);
  float* const rest = call.output(1, up.shape);
  float* const dup = p.areApart() ? rest : dgate + p.width;
  eachVector(p, [=](int64_t i, int64_t j, int64_t left) {
    const int64_t from = i * p.stride + j;
    const Floats d = load(dy.data + i * p.width + j, left), g = load(p.gate + from, left);
    store(dgate + from, d * load(p.up + from, left) * F::slope(g), left);
    store(dup + from, d * F::value(g), left);
  });
}

}  // namespace
}  // namespace peft
