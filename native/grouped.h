// Products of rows with the matrices of their experts: the rows of each expert lie side by side, so that its matrix is read once
// and those of experts without rows are not read at all.
#pragma once
#include "few-rows.h"
#include "many-rows.h"
#include "shape.h"

namespace peft {
namespace {

/// Up to so many rows of an expert go by its matrix as it is stored.
constexpr int64_t FEW_OF_AN_EXPERT = 10;

/// Calls `run(expert, first row, rows)` for each expert that has rows.
template <typename F>
void eachExpert(const Tensor<const int32_t>& experts, int64_t count, const F& run) {
  for (int64_t i = 0; i < experts.size;) {
    const int64_t expert = experts.data[i], first = i;
    if (expert < 0 || expert >= count) fail("expected experts from 0 to %lld, got %lld", (long long)count - 1, (long long)expert);
    if (i > 0 && expert < experts.data[i - 1]) fail("expected rows in the order of their experts");
    while (i < experts.size && experts.data[i] == expert) i++;
    run(expert, first, i - first);
  }
}

/// y (S, N) = x (S, K) Wᵀ of each row's W (N, K), or x W of W (K, N); the weight (E, ·, ·) is a stack of them.
template <typename Weight, typename Number>
void grouped(Call& call) {
  const Input x = call.floats(0);
  Weight weight;
  weightOf(call, 1, &weight);
  const Tensor<const int32_t> experts = call.ints(2);
  const bool transposed = call.flag("transposed");
  if (x.shape.rank != 2 || weight.shape.rank != 3 || experts.size != x.shape.dims[0] || x.shape.dims[1] != weight.shape.dims[transposed ? 2 : 1]) {
    fail("expected x (S, K), S experts and weight %s, got x with %lld rows and %lld columns, %lld experts and a weight of rank %d",
         transposed ? "(E, N, K)" : "(E, K, N)", (long long)firstOf(x.shape), (long long)lastOf(x.shape), (long long)experts.size, weight.shape.rank);
  }
  const int64_t K = x.shape.dims[1], N = weight.shape.dims[transposed ? 1 : 2];
  float* const y = call.output(0, {2, {x.shape.dims[0], N}});
  eachExpert(experts, weight.shape.dims[0], [&](int64_t expert, int64_t first, int64_t rows) {
    const Product<Number> p{x.data + first * K, weight.data + expert * K * N, nullptr, y + first * N, rows, K, N, transposed};
    if (transposed && rows <= FEW_OF_AN_EXPERT) multiplyFew<Number>(p);
    else multiply<Number>(p);
  });
}

/// dW (E, M, N) = dyᵀ x over the rows of each expert, of dy (S, M) and x (S, N); zeros for experts without any
void groupedOuter(Call& call) {
  const Input dy = call.floats(0), x = call.floats(1);
  const Tensor<const int32_t> experts = call.ints(2);
  const int64_t S = firstOf(x.shape), M = lastOf(dy.shape), N = lastOf(x.shape), count = static_cast<int64_t>(call.number("count"));
  expectSize("dy", dy, S * M);
  if (experts.size != S) fail("expected %lld experts, one for each row, got %lld", (long long)S, (long long)experts.size);
  float* const dw = call.output(0, {3, {count, M, N}});
  int64_t next = 0;  // the first expert that has no gradient yet
  const auto zerosUpTo = [&](int64_t end) {
    if (next < end) memset(dw + next * M * N, 0, static_cast<size_t>((end - next) * M * N) * 4);
  };
  eachExpert(experts, count, [&](int64_t expert, int64_t first, int64_t rows) {
    zerosUpTo(expert);
    next = expert + 1;
    float* const turned = sharedScratch(static_cast<size_t>(M * rows));
    parallel(rows, rowGrain(M), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        for (int64_t j = 0; j < M; j++) turned[j * rows + i] = dy.data[(first + i) * M + j];
      }
    });
    multiply<float>({turned, x.data + first * N, nullptr, dw + expert * M * N, M, rows, N, false});
  });
  zerosUpTo(count);
}

}  // namespace
}  // namespace peft
