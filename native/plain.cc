#include "plain.h"

#include <cstring>
#include <stdexcept>
#include <utility>

#include "c_api.h"

namespace peft {
namespace {

/// Calls `row(x, y)` with the places of each innermost row in two arrays.
template <typename F>
void eachRow(int rank, const int32_t* sizes, const int32_t* xStrides, const int32_t* yStrides, int64_t x, int64_t y, const F& row) {
  if (rank <= 1) return row(x, y);
  for (int32_t i = 0; i < sizes[0]; i++) eachRow(rank - 1, sizes + 1, xStrides + 1, yStrides + 1, x + int64_t{i} * xStrides[0], y + int64_t{i} * yStrides[0], row);
}

void copy(const Memory* const* inputs, const Memory* const* outputs, const int32_t* numbers) {
  const auto* from = static_cast<const uint32_t*>(inputs[0]->data);
  auto* to = static_cast<uint32_t*>(outputs[0]->data);
  const int rank = numbers[0];
  const int32_t *sizes = numbers + 1, *x = sizes + rank, *y = x + 1 + rank;
  const int32_t size = sizes[rank - 1], xStep = x[rank], yStep = y[rank];
  eachRow(rank, sizes, x + 1, y + 1, x[0], y[0], [=](int64_t begin, int64_t end) {
    if (xStep == 1 && yStep == 1) {
      memcpy(to + end, from + begin, static_cast<size_t>(size) * 4);
    } else {
      for (int64_t i = 0; i < size; i++) to[end + i * yStep] = from[begin + i * xStep];
    }
  });
}

void fill(const Memory* const* inputs, const Memory* const* outputs, const int32_t*) {
  const uint32_t value = *static_cast<const uint32_t*>(inputs[0]->data);
  auto* to = static_cast<uint32_t*>(outputs[0]->data);
  for (int64_t i = 0; i < outputs[0]->size; i++) to[i] = value;
}

template <typename F, typename T>
void combine(const Memory* const* inputs, const Memory* const* outputs, const int32_t* numbers) {
  const auto *a = static_cast<const T*>(inputs[0]->data), *b = static_cast<const T*>(inputs[1]->data);
  auto* y = static_cast<T*>(outputs[0]->data);
  const int rank = numbers[0];
  const int32_t *sizes = numbers + 1, *aStrides = sizes + rank, *bStrides = aStrides + rank;
  const int32_t size = sizes[rank - 1], aStep = aStrides[rank - 1], bStep = bStrides[rank - 1];
  eachRow(rank, sizes, aStrides, bStrides, 0, 0, [&](int64_t i, int64_t j) {
    if (aStep == 1 && bStep == 1) {
      for (int64_t n = 0; n < size; n++) y[n] = F::of(a[i + n], b[j + n]);
    } else {
      for (int64_t n = 0; n < size; n++) y[n] = F::of(a[i + n * aStep], b[j + n * bStep]);
    }
    y += size;
  });
}

/// Of floats, or of integers, which wrap as TensorFlow's do.
template <typename F>
void elementwise(const Memory* const* inputs, const Memory* const* outputs, const int32_t* numbers) {
  if (inputs[0]->type == TF_FLOAT) combine<F, float>(inputs, outputs, numbers);
  else combine<F, uint32_t>(inputs, outputs, numbers);
}

struct Sum {
  template <typename T>
  static T of(T a, T b) { return a + b; }
};
struct Difference {
  template <typename T>
  static T of(T a, T b) { return a - b; }
};
struct Product {
  template <typename T>
  static T of(T a, T b) { return a * b; }
};

int64_t rowOf(const Memory& table, int32_t index, const char* name) {
  if (index < 0 || index >= table.shape.dims[0]) throw std::runtime_error(std::string(name) + ": no row " + std::to_string(index) + ", there are " + std::to_string(table.shape.dims[0]));
  return index;
}

void gather(const Memory* const* inputs, const Memory* const* outputs, const int32_t*) {
  const Memory &table = *inputs[0], &ids = *inputs[1];
  const size_t row = table.size == 0 ? 0 : static_cast<size_t>(table.size / table.shape.dims[0]) * sizeOf(table.type);
  for (int64_t i = 0; i < ids.size; i++) {
    const auto place = static_cast<size_t>(rowOf(table, static_cast<const int32_t*>(ids.data)[i], "Gather"));
    memcpy(static_cast<char*>(outputs[0]->data) + static_cast<size_t>(i) * row, static_cast<const char*>(table.data) + place * row, row);
  }
}

void update(const Memory* const* inputs, const Memory* const*, const int32_t*) {
  const Memory &x = *inputs[0], &places = *inputs[1], &rows = *inputs[2];
  const size_t row = x.size == 0 ? 0 : static_cast<size_t>(x.size / x.shape.dims[0]) * sizeOf(x.type);
  for (int64_t i = 0; i < places.size; i++) {
    const auto place = static_cast<size_t>(rowOf(x, static_cast<const int32_t*>(places.data)[i], "Update"));
    memcpy(static_cast<char*>(x.data) + place * row, static_cast<const char*>(rows.data) + static_cast<size_t>(i) * row, row);
  }
}

void widen(const Memory* const* inputs, const Memory* const* outputs, const int32_t*) {
  const auto* from = static_cast<const uint16_t*>(inputs[0]->data);
  auto* to = static_cast<uint32_t*>(outputs[0]->data);
  for (int64_t i = 0; i < inputs[0]->size; i++) to[i] = static_cast<uint32_t>(from[i]) << 16;
}

void toFloat(const Memory* const* inputs, const Memory* const* outputs, const int32_t*) {
  const auto* from = static_cast<const int32_t*>(inputs[0]->data);
  auto* to = static_cast<float*>(outputs[0]->data);
  for (int64_t i = 0; i < inputs[0]->size; i++) to[i] = static_cast<float>(from[i]);
}

}  // namespace

size_t sizeOf(int type) { return type == TF_UINT8 ? 1 : type == TF_BFLOAT16 ? 2 : 4; }

Plain plainOperation(const std::string& name) {
  static const std::pair<const char*, Plain> all[] = {
      {"Copy", copy}, {"Fill", fill}, {"Add", elementwise<Sum>}, {"Sub", elementwise<Difference>}, {"Mul", elementwise<Product>},
      {"Gather", gather}, {"Update", update}, {"Widen", widen}, {"ToFloat", toFloat},
  };
  for (const auto& [own, plain] : all) {
    if (name == own) return plain;
  }
  return nullptr;
}

}  // namespace peft
