// Products with weights in NF4 and in int8, or with stacks of them: a stripe is unpacked at a time, into floats; few rows read the packed
// weight once. Products and sums are in float32, but where x is rounded too: to int8 in int8.h, to bfloat16 with NF4 where that is faster.
#pragma once
#include "few-rows.h"
#include "grouped.h"
#include "int8.h"
#include "many-rows.h"
#include "nf4-rows.h"
#include "shape.h"

namespace peft {
namespace {

template <>
inline Floats vectorAt<Nf4>(const Product<Nf4>& p, int64_t row, int64_t column, int64_t left) {
  return numbersAt(*p.weight, p.weight->begin + row * (p.transposed ? p.width : p.outputs) + column, left);
}

template <>
inline Floats vectorAt<Int8>(const Product<Int8>& p, int64_t row, int64_t column, int64_t left) {
  const Ints codes = codesAt(p.weight->codes + row * (p.transposed ? p.width : p.outputs) + column, left);
  return __builtin_convertvector(codes, Floats) * p.weight->factors[row];
}

/// Codes are little beside the work of unpacking them.
template <>
inline void askFor<Nf4>(const Product<Nf4>&, int64_t, int64_t) {}
template <>
inline void askFor<Int8>(const Product<Int8>&, int64_t, int64_t) {}

/// Numbers that share a byte are terms that follow each other: the first ones of all bytes are unpacked and turned, then the others.
template <>
inline void rearrange<Nf4>(const Product<Nf4>& p, int64_t j, int64_t count, int64_t width, int64_t k, int64_t depth, float* to) {
  constexpr int64_t STEP = 2 * LANES;
  const Nf4& w = *p.weight;
  if (!p.transposed || w.block % STEP != 0 || p.width % STEP != 0 || k % STEP != 0) return rearrangeVectors(p, j, count, width, k, depth, to);
  for (int64_t c = 0; c < width; c += LANES) {
    for (int64_t i = 0; i < depth; i += STEP) {
      for (int half = 0; half < 2; half++) {
        Floats rows[LANES];
#pragma GCC unroll 16
        for (int r = 0; r < LANES; r++) {
          const int64_t first = w.begin + (j + (c + r < count ? c + r : 0)) * p.width + k + i;
          const Words pairs = bytesAt(w.codes + first / 2);
          rows[r] = codesAt(half == 0 ? pairs >> 4 : pairs & 15) * (c + r < count ? w.scale(w.blockOf(first)) : 0.0f);
        }
        transpose(rows);
        for (int r = 0; r < LANES; r++) store(to + (i + 2 * r + half) * width + c, rows[r]);
      }
    }
  }
}

/// In bfloat16 where the processor multiplies pairs of them and that may be: twice as fast.
template <>
void multiply<Nf4>(const Product<Nf4>& p) {
#if defined(__AVX512BF16__) && !defined(__AMX_BF16__)
  if (p.weight->rounded && Nf4Terms::suit(p)) return multiplyHalves<Nf4Terms>(p);
#endif
  multiplyFloats(p);
}

/// M rows of x, which are arranged, with one of the weight that begins with a block.
template <int M>
inline void blockProducts(const float* x, int64_t xStride, const Nf4& w, int64_t first, int64_t size, float* y, int64_t width) {
  constexpr int64_t STEP = 2 * LANES;
  Floats sums[M] = {};
  const uint8_t* codes = w.codes + first / 2;
  for (int64_t k = 0; k < size; k += w.block) {
    Floats parts[M][2] = {};
    for (int64_t i = 0; i < w.block; i += STEP, codes += LANES) {
      __builtin_prefetch(codes + AHEAD);
      const Words pairs = bytesAt(codes);
      const Floats even = codesAt(pairs >> 4), odd = codesAt(pairs & 15);
      for (int m = 0; m < M; m++) {
        parts[m][0] += load(x + m * xStride + k + i) * even;
        parts[m][1] += load(x + m * xStride + k + i + LANES) * odd;
      }
    }
    const float scale = w.scale(w.blockOf(first + k));
    for (int m = 0; m < M; m++) sums[m] += (parts[m][0] + parts[m][1]) * scale;
  }
  for (int m = 0; m < M; m++) y[m * width] = sum(sums[m]);
}

inline void addBias(float* y, const float* bias, int64_t rows, int64_t begin, int64_t end, int64_t width) {
  for (int64_t i = 0; bias != nullptr && i < rows; i++) {
    for (int64_t j = begin; j < end; j++) y[i * width + j] += bias[j];
  }
}

/// y = x Wᵀ + bias of rows that are whole blocks
void fewRowsOf(const Product<Nf4>& p) {
  const int64_t size = p.width, width = p.outputs;
  float* const arranged = scratch(static_cast<size_t>(p.rows * size));
  for (int64_t i = 0; i < p.rows; i++) arrange<uint16_t>(p.x + i * size, size, size, arranged + i * size);  // even ones, then odd ones
  parallel(width, rowGrain(size), [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j++) {
      int64_t i = 0;
      for (; i + 4 <= p.rows; i += 4) blockProducts<4>(arranged + i * size, size, *p.weight, p.weight->begin + j * size, size, p.y + i * width + j, width);
      for (; i < p.rows; i++) blockProducts<1>(arranged + i * size, size, *p.weight, p.weight->begin + j * size, size, p.y + i * width + j, width);
    }
    addBias(p.y, p.bias, p.rows, begin, end, width);
  });
}

void fewRowsOf(const Product<Int8>& p) {
  multiplyFew<int8_t>({p.x, p.weight->codes, nullptr, p.y, p.rows, p.width, p.outputs, true});
  for (int64_t i = 0; i < p.rows; i++) {
    for (int64_t j = 0; j < p.outputs; j++) p.y[i * p.outputs + j] *= p.weight->factors[j];
  }
  addBias(p.y, p.bias, p.rows, 0, p.outputs, p.outputs);
}

constexpr int64_t FEW_OF_PACKED = 8;

inline bool suitsFew(const Product<Nf4>& p) { return p.weight->block % (2 * LANES) == 0 && p.width % p.weight->block == 0; }
inline bool suitsFew(const Product<Int8>&) { return true; }
inline bool suitsFew(const Product<RoundedInt8>&) { return true; }

/// y (M, N) = x (M, K) Wᵀ + bias of W (N, K), or x W of W (K, N); `rows` and `columns` are W's, which are those from the `first` on of the
/// `height` that are held. Of a stack of `count` matrices each row goes by the one that `experts` says.
template <typename Weight>
void packedProduct(Call& call, const Weight& weight, const Tensor<const int32_t>& experts, const Input& bias) {
  const Input x = call.floats(0);
  const bool transposed = call.flag("transposed");
  const int64_t rows = static_cast<int64_t>(call.number("rows")), columns = static_cast<int64_t>(call.number("columns"));
  const int64_t width = transposed ? columns : rows, outputs = transposed ? rows : columns, count = static_cast<int64_t>(call.number("count"));
  const int64_t start = static_cast<int64_t>(call.number("first")), height = static_cast<int64_t>(call.number("height"));
  if (start < 0 || rows < 0 || start + rows > height) fail("expected rows within the %lld that are held", (long long)height);
  if (x.shape.rank != 2 || x.shape.dims[1] != width) {
    fail("expected x (M, %lld), got rank %d with %lld columns", (long long)width, x.shape.rank, (long long)lastOf(x.shape));
  }
  const int64_t all = x.shape.dims[0];
  if (count > 1 && experts.size != all) fail("expected %lld experts, one for each row, got %lld", (long long)all, (long long)experts.size);
  if (bias.size != 0) expectSize("bias", bias, outputs);
  float* const y = call.output(0, {2, {all, outputs}});
  const auto multiplyRows = [&](int64_t place, int64_t first, int64_t many) {
    Weight matrix = weight;
    matrix.skip(place * height + start, columns);
    const Product<Weight> p{x.data + first * width, &matrix, bias.size == 0 ? nullptr : bias.data, y + first * outputs, many, width, outputs, transposed};
    if (transposed && many <= FEW_OF_PACKED && suitsFew(p)) fewRowsOf(p);
    else multiply<Weight>(p);
  };
  if (count > 1) eachExpert(experts, count, multiplyRows);
  else multiplyRows(0, 0, all);
}

int64_t sizeOf(const Call& call) {
  return static_cast<int64_t>(call.number("count")) * static_cast<int64_t>(call.number("height")) * static_cast<int64_t>(call.number("columns"));
}

void nf4Product(Call& call) {
  const Tensor<const uint8_t> codes = call.bytes(1), nested = call.bytes(3);
  const Input scales = call.floats(2), map = call.floats(4);
  const int64_t size = sizeOf(call);
  const int64_t block = static_cast<int64_t>(call.number("block")), nestedBlock = static_cast<int64_t>(call.number("nested_block"));
  if (block < 1 || nestedBlock < 1) fail("expected blocks of 1 number or more");
  const Nf4 weight(codes.data, scales.data, nested.size == 0 ? nullptr : nested.data, map.data, block, nestedBlock, map.size > 256 ? map.data[256] : 0.0f, call.flag("rounded"));
  const int64_t blocks = (size + weight.block - 1) / weight.block;
  if (codes.size != (size + 1) / 2) fail("expected %lld bytes of codes, got %lld", (long long)((size + 1) / 2), (long long)codes.size);
  if (nested.size != 0 && (nested.size != blocks || map.size != 257)) fail("expected %lld codes of scales and a map of 256 with the offset", (long long)blocks);
  expectSize("scales", scales, nested.size == 0 ? blocks : (blocks + weight.nestedBlock - 1) / weight.nestedBlock);
  packedProduct(call, weight, call.ints(5), call.floats(6));
}

void int8Product(Call& call) {
  const Tensor<const uint8_t> codes = call.bytes(1);
  const Input factors = call.floats(2);
  if (codes.size != sizeOf(call)) fail("expected %lld codes, got %lld", (long long)sizeOf(call), (long long)codes.size);
  expectSize("factors", factors, static_cast<int64_t>(call.number("count")) * static_cast<int64_t>(call.number("height")));
  const Int8 weight{reinterpret_cast<const int8_t*>(codes.data), factors.data};
  if (call.flag("rounded")) packedProduct(call, RoundedInt8{weight, call.number("threshold")}, call.ints(3), call.floats(4));
  else packedProduct(call, weight, call.ints(3), call.floats(4));
}

}  // namespace
}  // namespace peft
