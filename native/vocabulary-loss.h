// Cross entropy of rows against a vocabulary, and in place of the logits its gradient (src/base/ops/vocabulary-loss.ts has the formula).
#pragma once
#include "cross-entropy.h"

namespace peft {
namespace {

struct Vocabulary {
  int64_t words;
  float factor, cap;  // z = factor · logit, or cap · tanh of that / cap; no cap is 0
  float smoothing;
  const float* weights;  // of the classes, or nullptr: 1 each
  double weightSum;

  Floats weightsFrom(int64_t j) const {
    return weights == nullptr ? first(words - j, splat(1.0f), 0.0f) : load(weights + j, words - j);
  }
};

/// Turns logits into z and gives their largest.
float scaled(const Vocabulary& v, float* row) {
  Floats most = splat(-INFINITY);
  for (int64_t j = 0; j < v.words; j += LANES) {
    Floats z = load(row + j, v.words - j) * v.factor;
    if (v.cap > 0) z = hyperbolicTangent(z / v.cap) * v.cap;
    store(row + j, z, v.words - j);
    most = larger(first(v.words - j, z, -INFINITY), most);
  }
  return largest(most);
}

/// Words that are summed in floats before a double takes the sum.
constexpr int64_t RUN = 4096;

double exponentials(const Vocabulary& v, const float* row, float shift) {
  double total = 0;
  for (int64_t begin = 0; begin < v.words; begin += RUN) {
    const int64_t end = begin + RUN < v.words ? begin + RUN : v.words;
    Floats part{};
    for (int64_t j = begin; j < end; j += LANES) part += first(end - j, exponential(load(row + j, end - j) - shift), 0.0f);
    total += (double)sum(part);
  }
  return total;
}

/// Σ weight · (logSum − z). A class of weight 0 adds nothing, whatever its logit is.
double spread(const Vocabulary& v, const float* row, float logSum) {
  double total = 0;
  for (int64_t begin = 0; begin < v.words; begin += RUN) {
    const int64_t end = begin + RUN < v.words ? begin + RUN : v.words;
    Floats part{};
    for (int64_t j = begin; j < end; j += LANES) {
      const Floats weight = v.weightsFrom(j);
      const Floats lost = weight * (logSum - load(row + j, v.words - j));
      part += weight > 0.0f ? lost : splat(0.0f);
    }
    total += (double)sum(part);
  }
  return total;
}

float chain(const Vocabulary& v, float z) { return v.cap > 0 ? v.factor * (1.0f - z / v.cap * (z / v.cap)) : v.factor; }

/// d loss / d logit in place of z.
void gradient(const Vocabulary& v, float* row, int32_t label, float own, float logSum) {
  const float each = v.smoothing / (float)v.words;
  const float all = own + each * (float)v.weightSum;
  const float atLabel = own * chain(v, row[label]);
  for (int64_t j = 0; j < v.words; j += LANES) {
    const Floats z = load(row + j, v.words - j);
    Floats d = exponential(z - logSum) * all;
    if (each > 0) d -= v.weightsFrom(j) * each;
    d *= v.factor;
    if (v.cap > 0) d *= 1.0f - z / v.cap * (z / v.cap);
    store(row + j, d, v.words - j);
  }
  row[label] -= atLabel;
}

/// The loss of each row, 0 where its label does not count. The logits are the caller's alone: they become what it asks for, z or the gradient.
void vocabularyLoss(Call& call) {
  const Input logits = call.floats(0), weights = call.floats(2);
  const int64_t V = lastOf(logits.shape), N = rowsOf(logits);
  const Labels labels = readLabels(call, 1, N, V);
  if (weights.size != 0) expectSize("weights", weights, V);
  Vocabulary v{V, call.number("factor"), call.number("cap"), call.number("smoothing"), weights.size == 0 ? nullptr : weights.data, (double)V};
  if (v.weights != nullptr) {
    v.weightSum = 0;
    for (int64_t j = 0; j < V; j++) v.weightSum += (double)v.weights[j];
  }
  const bool back = call.flag("back");
  float* losses = call.output(0, {1, {N}});
  float* data = const_cast<float*>(logits.data);
  parallel(N, rowGrain(V), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      float* row = data + i * V;
      const int32_t label = labels.data[i];
      losses[i] = 0;
      if (label == IGNORED_LABEL) {
        if (back) memset(row, 0, (size_t)V * 4);
        continue;
      }
      const float shift = scaled(v, row);
      const float logSum = shift + (float)log(exponentials(v, row, shift));
      const float own = (1.0f - v.smoothing) * (v.weights == nullptr ? 1.0f : v.weights[label]);
      double loss = own > 0 ? (double)own * ((double)logSum - (double)row[label]) : 0.0;
      if (v.smoothing > 0) loss += (double)(v.smoothing / (float)V) * spread(v, row, logSum);
      losses[i] = (float)loss;
      if (back) gradient(v, row, label, own, logSum);
    }
  });
}

}  // namespace
}  // namespace peft
