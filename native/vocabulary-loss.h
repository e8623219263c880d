// Cross entropy of rows against the words of a vocabulary, of which some are seen at a time (src/base/ops/vocabulary-loss.ts has the formula).
#pragma once
#include "cross-entropy.h"

namespace peft {
namespace {

/// What is known of a row when some words have been seen.
struct Seen {
  float most;     // the largest z
  float sum;      // Σ exp(z − most)
  float atLabel;  // its label's z; 0 before
  float spread;   // Σ weight · z
};

/// Some words, and what their logits become.
struct SomeWords {
  int64_t first, words;
  float factor, cap;     // z = factor · logit, or cap · tanh of that / cap; no cap is 0
  const float* weights;  // of all classes, where `spread` is asked for; else nullptr
};

/// Turns logits into z and gives their largest.
float scaled(const SomeWords& part, float* row) {
  Floats most = splat(-INFINITY);
  for (int64_t j = 0; j < part.words; j += LANES) {
    Floats z = load(row + j, part.words - j) * part.factor;
    if (part.cap > 0) z = hyperbolicTangent(z / part.cap) * part.cap;
    store(row + j, z, part.words - j);
    most = larger(first(part.words - j, z, -INFINITY), most);
  }
  return largest(most);
}

/// Words that are summed in floats before a double takes the sum.
constexpr int64_t RUN = 4096;

/// @param each gives what is added up of the words from the j-th on, of which `left` are there
template <typename F>
double summed(int64_t words, const F& each) {
  double total = 0;
  for (int64_t begin = 0; begin < words; begin += RUN) {
    const int64_t end = begin + RUN < words ? begin + RUN : words;
    Floats run{};
    for (int64_t j = begin; j < end; j += LANES) run += first(end - j, each(j, end - j), 0.0f);
    total += (double)sum(run);
  }
  return total;
}

/// dz / d logit
inline Floats chain(const SomeWords& part, Floats z) {
  if (part.cap > 0) return (1.0f - z / part.cap * (z / part.cap)) * part.factor;
  return splat(part.factor);
}

/// exp(z − shift) in place of z, times dz / d logit; gives the sum of the exponentials.
double exponentials(const SomeWords& part, float* row, float shift) {
  return summed(part.words, [&](int64_t j, int64_t left) {
    const Floats z = load(row + j, left), e = exponential(z - shift);
    store(row + j, e * chain(part, z), left);
    return e;
  });
}

/// Σ weight · z. A class of weight 0 adds nothing, whatever its logit is.
double spread(const SomeWords& part, const float* row) {
  return summed(part.words, [&](int64_t j, int64_t left) {
    const Floats weight = load(part.weights + part.first + j, left), z = load(row + j, left);
    return weight > 0.0f ? weight * z : splat(0.0f);
  });
}

/// What is known of each row with these words too, and what sums of before are multiplied by. Of the logits, which are the caller's alone,
/// are left exp(z − most) · dz / d logit, and 0 at the label and in rows whose label does not count.
void vocabularyPart(Call& call) {
  const Input logits = call.floats(0), weights = call.floats(2), before = call.floats(3);
  const int64_t words = lastOf(logits.shape), N = rowsOf(logits), all = static_cast<int64_t>(call.number("words"));
  const Labels labels = readLabels(call, 1, N, all);
  if (weights.size != 0) expectSize("weights", weights, all);
  expectSize("sums", before, 4 * N);
  const SomeWords part{static_cast<int64_t>(call.number("first")), words, call.number("factor"), call.number("cap"), weights.size == 0 ? nullptr : weights.data};
  if (part.first < 0 || part.first + words > all) fail("expected words within the %lld of the vocabulary", (long long)all);
  const auto next = reinterpret_cast<Seen*>(call.output(0, {2, {N, 4}}));
  float* const shrink = call.output(1, {2, {N, 1}});
  float* const data = const_cast<float*>(logits.data);
  const auto seen = reinterpret_cast<const Seen*>(before.data);
  parallel(N, rowGrain(words), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      float* const row = data + i * words;
      next[i] = seen[i];
      shrink[i] = 1;
      if (labels.data[i] == IGNORED_LABEL) {
        memset(row, 0, (size_t)words * 4);
        continue;
      }
      Seen& now = next[i];
      const float most = scaled(part, row);
      now.most = most > now.most ? most : now.most;
      const float shift = now.most == -INFINITY ? 0 : now.most;
      if (seen[i].most < now.most) shrink[i] = expf(seen[i].most - shift);
      const int64_t label = labels.data[i] - part.first;
      const bool isHere = label >= 0 && label < words;
      if (isHere) now.atLabel = row[label];
      if (part.weights != nullptr) now.spread = (float)((double)now.spread + spread(part, row));
      now.sum = (float)((double)now.sum * (double)shrink[i] + exponentials(part, row, shift));
      if (isHere) row[label] = 0;
    }
  });
}

/// sum · factor of each row + more, in the sum's memory, which is the caller's alone. Where a factor is 0 the sum is not looked at.
void scaledSum(Call& call) {
  const Input before = call.floats(0), factors = call.floats(1), more = call.floats(2);
  const int64_t D = lastOf(before.shape), N = rowsOf(before);
  expectSize("factors", factors, N);
  expectSize("more", more, before.size);
  float* const data = const_cast<float*>(before.data);
  *call.output(0, {0, {}}) = 0;  // an operation has an output
  parallel(N, rowGrain(D), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const float factor = factors.data[i];
      for (int64_t j = i * D; j < (i + 1) * D; j += LANES) {
        const int64_t left = (i + 1) * D - j;
        const Floats added = load(more.data + j, left);
        store(data + j, factor == 0 ? added : load(data + j, left) * factor + added, left);
      }
    }
  });
}

}  // namespace
}  // namespace peft
