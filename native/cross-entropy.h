// Mean cross entropy over the rows whose label counts, without probabilities in memory.
#pragma once
#include "shape.h"
#include "tensorflow.h"
#include "vector.h"

namespace peft {
namespace {

constexpr int32_t IGNORED_LABEL = -100;  // as in PyTorch

struct Labels {
  const int32_t* data;
  int64_t counted;
};

Labels readLabels(Call& call, int index, int64_t N, int64_t C) {
  const Tensor<const int32_t> labels = call.ints(index);
  if (labels.size != N) fail("expected %lld labels, one for each row, got %lld", (long long)N, (long long)labels.size);
  int64_t counted = 0;
  for (int64_t i = 0; i < N; i++) {
    const int32_t label = labels.data[i];
    if (label == IGNORED_LABEL) continue;
    if (label < 0 || label >= C) {
      fail("expected labels from 0 to %lld or %d, labels[%lld] is %d", (long long)(C - 1), IGNORED_LABEL, (long long)i,
           label);
    }
    counted++;
  }
  return {labels.data, counted};
}

/// loss = mean(log Σ exp(logits) − logits[label]) over counted rows, 0 without any; and log Σ exp of every row.
void crossEntropy(Call& call) {
  const Input logits = call.floats(0);
  const int64_t C = lastOf(logits.shape), N = rowsOf(logits);
  const Labels labels = readLabels(call, 1, N, C);
  float* loss = call.output(0, {0, {}});
  float* logSums = call.output(1, {1, {N}});
  parallel(N, rowGrain(C), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const float* row = logits.data + i * C;
      Floats most = splat(-INFINITY), total{};
      for (int64_t j = 0; j < C; j += LANES) most = larger(first(C - j, load(row + j, C - j), -INFINITY), most);
      const float shift = largest(most);
      for (int64_t j = 0; j < C; j += LANES) total += first(C - j, exponential(load(row + j, C - j) - shift), 0.0f);
      logSums[i] = shift + logf(sum(total));
    }
  });
  double sum = 0;
  for (int64_t i = 0; i < N; i++) {
    if (labels.data[i] != IGNORED_LABEL) sum += (double)logSums[i] - (double)logits.data[i * C + labels.data[i]];
  }
  *loss = labels.counted == 0 ? 0.0f : (float)(sum / (double)labels.counted);
}

/// dlogits = (exp(logits − logSum) − onehot(label)) · dy / count, and 0 where the label does not count.
void crossEntropyGrad(Call& call) {
  const Input dy = call.floats(0), logits = call.floats(1), logSums = call.floats(3);
  const int64_t C = lastOf(logits.shape), N = rowsOf(logits);
  const Labels labels = readLabels(call, 2, N, C);
  expectSize("dy", dy, 1);
  expectSize("logSums", logSums, N);
  const float factor = labels.counted == 0 ? 0.0f : dy.data[0] / (float)labels.counted;
  float* dlogits = call.output(0, logits.shape);
  parallel(N, rowGrain(C), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const float* row = logits.data + i * C;
      float* to = dlogits + i * C;
      if (labels.data[i] == IGNORED_LABEL) {
        memset(to, 0, (size_t)C * 4);
        continue;
      }
      for (int64_t j = 0; j < C; j += LANES) {
        store(to + j, exponential(load(row + j, C - j) - logSums.data[i]) * factor, C - j);
      }
      to[labels.data[i]] -= factor;
    }
  });
}

}  // namespace
}  // namespace peft
