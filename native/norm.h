// Layer norm and RMS norm over the last axis, of x or of x + residual.
#pragma once
#include "shape.h"
#include "tensorflow.h"
#include "vector.h"

namespace peft {
namespace {

/// y = x̂ γ + β with x̂ = (s − mean) · rstd, s = x + residual, rstd = 1 / √(var + ε).
/// Without `centred` the mean counts as 0 (RMS norm). x̂ and rstd are outputs where `keep` asks for them.
template <bool keep>
void norm(Call& call) {
  const Input x = call.floats(0), residual = call.floats(1), gamma = call.floats(2), beta = call.floats(3);
  const float epsilon = call.number("epsilon");
  const bool centred = call.flag("centred");
  const int64_t D = lastOf(x.shape), N = rowsOf(x);
  expectSize("gamma", gamma, D);
  if (beta.size != 0) expectSize("beta", beta, D);
  if (residual.size != 0) expectSize("residual", residual, x.size);
  float* y = call.output(0, x.shape);
  float* normed = keep ? call.output(1, x.shape) : nullptr;
  float* rstds = keep ? call.output(2, {1, {N}}) : nullptr;
  const bool adds = residual.size != 0, shifts = beta.size != 0;
  parallel(N, rowGrain(D), [=](int64_t begin, int64_t end) {
    float* const row = scratch(static_cast<size_t>(D) + LANES);
    for (int64_t i = begin; i < end; i++) {
      const float *xi = x.data + i * D, *ri = residual.data + i * D;
      float* const h = keep ? normed + i * D : row;
      Floats total{};
      for (int64_t j = 0; j < D; j += LANES) {
        Floats v = load(xi + j, D - j);
        if (adds) v += load(ri + j, D - j);
        store(h + j, v, D - j);
        total += v;
      }
      const float mean = centred ? sum(total) / static_cast<float>(D) : 0.0f;
      Floats squares{};
      for (int64_t j = 0; j < D; j += LANES) {
        const Floats v = first(D - j, load(h + j, D - j) - mean, 0.0f);
        squares += v * v;
      }
      const float rstd = 1.0f / sqrtf(sum(squares) / static_cast<float>(D) + epsilon);
      if (keep) rstds[i] = rstd;
      float* const yi = y + i * D;
      for (int64_t j = 0; j < D; j += LANES) {
        const int64_t left = D - j;
        const Floats v = (load(h + j, left) - mean) * rstd;
        store(h + j, v, left);
        Floats out = v * load(gamma.data + j, left);
        if (shifts) out += load(beta.data + j, left);
        store(yi + j, out, left);
      }
    }
  });
}

/// With g = dy γ:  dx = (g − mean(g) − x̂ mean(g x̂)) · rstd; without `centred` the term mean(g) is left out.
void normGrad(Call& call) {
  const Input dy = call.floats(0), normed = call.floats(1), rstds = call.floats(2), gamma = call.floats(3);
  const bool centred = call.flag("centred");
  const int64_t D = lastOf(dy.shape), N = rowsOf(dy);
  expectSize("normed", normed, dy.size);
  expectSize("rstd", rstds, N);
  expectSize("gamma", gamma, D);
  float* dx = call.output(0, dy.shape);
  parallel(N, rowGrain(D), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const float *di = dy.data + i * D, *h = normed.data + i * D;
      Floats total{}, along{};
      for (int64_t j = 0; j < D; j += LANES) {
        const int64_t left = D - j;
        const Floats g = load(di + j, left) * load(gamma.data + j, left);
        total += g;
        along += g * load(h + j, left);
      }
      const float meanG = centred ? sum(total) / static_cast<float>(D) : 0.0f;
      const float meanAlong = sum(along) / static_cast<float>(D), rstd = rstds.data[i];
      for (int64_t j = 0; j < D; j += LANES) {
        const int64_t left = D - j;
        const Floats g = load(di + j, left) * load(gamma.data + j, left);
        store(dx + i * D + j, (g - meanG - load(h + j, left) * meanAlong) * rstd, left);
      }
    }
  });
}

/// dγ = Σ dy x̂, dβ = Σ dy, over rows.
void normParameterGrad(Call& call) {
  const Input dy = call.floats(0), normed = call.floats(1);
  const int64_t D = lastOf(dy.shape), N = rowsOf(dy);
  expectSize("normed", normed, dy.size);
  float* dgamma = call.output(0, {1, {D}});
  float* dbeta = call.output(1, {1, {D}});
  const int64_t blocks = (D + LANES - 1) / LANES;
  parallel(blocks, rowGrain(N * LANES), [=](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block++) {
      const int64_t j = block * LANES, left = D - j;
      Floats gammaTotal{}, betaTotal{};
      for (int64_t i = 0; i < N; i++) {
        const Floats d = load(dy.data + i * D + j, left);
        gammaTotal += d * load(normed.data + i * D + j, left);
        betaTotal += d;
      }
      store(dgamma + j, gammaTotal, left);
      store(dbeta + j, betaTotal, left);
    }
  });
}

}  // namespace
}  // namespace peft
