// Tensors seen as rows of their last axis, and checks of sizes.
#pragma once
#include "tensorflow.h"

namespace peft {
namespace {

int64_t lastOf(const Shape& shape) { return shape.rank == 0 ? 1 : shape.dims[shape.rank - 1]; }

int64_t firstOf(const Shape& shape) { return shape.rank == 0 ? 1 : shape.dims[0]; }

int64_t rowsOf(const Input& x) { return x.size == 0 ? 0 : x.size / lastOf(x.shape); }

void expectSize(const char* name, const Input& got, int64_t size) {
  if (got.size != size) fail("expected %lld elements in %s, got %lld", (long long)size, name, (long long)got.size);
}

}  // namespace
}  // namespace peft
