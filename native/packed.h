// Products with weights in NF4 and in int8, or with stacks of them: a stripe is unpacked at a time, into floats; few rows read the packed
// weight once. Products and sums are in float32, but where x is rounded too: int8.h.
#pragma once
#include "few-rows.h"
#include "grouped.h"
#include "int8.h"
#include "many-rows.h"
#include "shape.h"

namespace peft {
namespace {

/// What the 16 codes stand for.
alignas(64) const float NF4_CODES[16] = {
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,
    -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
    0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f};

/// A weight row by row: two codes a byte, a scale for each block of numbers.
struct Nf4 {
  const uint8_t* codes;
  const float* scales;           // of blocks, or of their scales
  const uint8_t* nested;         // codes of the blocks' scales, or nullptr
  const float* map;              // what those stand for
  int64_t block, nestedBlock;    // numbers, and scales, that share one
  float offset;
  int64_t begin;                 // of the numbers before it, other matrices of its stack
  int blockBits, nestedBits;     // of those numbers, where they are powers of two: dividing by them takes longer than what it is for

  Nf4(const uint8_t* codes, const float* scales, const uint8_t* nested, const float* map, int64_t block, int64_t nestedBlock, float offset)
      : codes(codes), scales(scales), nested(nested), map(map), block(block), nestedBlock(nestedBlock), offset(offset), begin(0), blockBits(bitsOf(block)), nestedBits(bitsOf(nestedBlock)) {}

  int64_t blockOf(int64_t number) const { return blockBits >= 0 ? number >> blockBits : number / block; }

  float scale(int64_t index) const {
    if (nested == nullptr) return scales[index];
    return map[nested[index]] * scales[nestedBits >= 0 ? index >> nestedBits : index / nestedBlock] + offset;
  }

 private:
  static int bitsOf(int64_t n) { return (n & (n - 1)) == 0 ? __builtin_ctzll(static_cast<unsigned long long>(n)) : -1; }
};

/// A matrix of a stack whose matrices have these sizes.
inline Nf4 matrixOf(Nf4 stack, int64_t place, int64_t rows, int64_t columns) {
  stack.begin = place * rows * columns;
  return stack;
}

template <typename Weight>  // of int8
inline Weight matrixOf(Weight stack, int64_t place, int64_t rows, int64_t columns) {
  stack.codes += place * rows * columns;
  stack.factors += place * rows;
  return stack;
}

inline Floats codesAt(Words codes) {
#if defined(__AVX512F__)
  return (Floats)_mm512_permutexvar_ps((__m512i)codes, _mm512_load_ps(NF4_CODES));
#elif defined(__AVX2__)
  const __m256i places = (__m256i)codes;
  const __m256 low = _mm256_permutevar8x32_ps(_mm256_load_ps(NF4_CODES), places);
  const __m256 high = _mm256_permutevar8x32_ps(_mm256_load_ps(NF4_CODES + 8), places);
  return (Floats)_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(places, 28)));
#else
  Floats result;
  for (int i = 0; i < LANES; i++) result[i] = NF4_CODES[codes[i]];
  return result;
#endif
}

inline Words bytesAt(const uint8_t* from) {
#if defined(__AVX512F__)
  return (Words)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(__AVX2__)
  return (Words)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#else
  Words result;
  for (int i = 0; i < LANES; i++) result[i] = from[i];
  return result;
#endif
}

/// The codes of LANES numbers, in their order.
inline Words apart(const uint8_t* pairs) {
#if defined(__AVX2__)
  int64_t bytes = 0;
  memcpy(&bytes, pairs, LANES / 2);
  const __m128i both = _mm_cvtsi64_si128(bytes), half = _mm_set1_epi8(15);
  const __m128i codes = _mm_unpacklo_epi8(_mm_and_si128(_mm_srli_epi16(both, 4), half), _mm_and_si128(both, half));
#if defined(__AVX512F__)
  return (Words)_mm512_cvtepu8_epi32(codes);
#else
  return (Words)_mm256_cvtepu8_epi32(codes);
#endif
#else
  Words codes;
  for (int i = 0; i < LANES; i++) codes[i] = i % 2 == 0 ? pairs[i / 2] >> 4 : pairs[i / 2] & 15;
  return codes;
#endif
}

/// LANES numbers from the one at `index` on, in their order; the first `left`, then zeros.
inline Floats numbersAt(const Nf4& w, int64_t index, int64_t left) {
  if (left >= LANES && index % LANES == 0 && w.block % LANES == 0) {
    return codesAt(apart(w.codes + index / 2)) * w.scale(w.blockOf(index));
  }
  Floats result{};
  for (int i = 0; i < LANES && i < left; i++) {
    const int64_t place = index + i;
    const uint8_t pair = w.codes[place / 2];
    result[i] = NF4_CODES[place % 2 == 0 ? pair >> 4 : pair & 15] * w.scale(w.blockOf(place));
  }
  return result;
}

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

/// y (M, N) = x (M, K) Wᵀ + bias of W (N, K), or x W of W (K, N); `rows` and `columns` are W's. Of a stack of `count` matrices each row
/// goes by the one that `experts` says.
template <typename Weight>
void packedProduct(Call& call, const Weight& weight, const Tensor<const int32_t>& experts, const Input& bias) {
  const Input x = call.floats(0);
  const bool transposed = call.flag("transposed");
  const int64_t rows = static_cast<int64_t>(call.number("rows")), columns = static_cast<int64_t>(call.number("columns"));
  const int64_t width = transposed ? columns : rows, outputs = transposed ? rows : columns, count = static_cast<int64_t>(call.number("count"));
  if (x.shape.rank != 2 || x.shape.dims[1] != width) {
    fail("expected x (M, %lld), got rank %d with %lld columns", (long long)width, x.shape.rank, (long long)lastOf(x.shape));
  }
  const int64_t all = x.shape.dims[0];
  if (count > 1 && experts.size != all) fail("expected %lld experts, one for each row, got %lld", (long long)all, (long long)experts.size);
  if (bias.size != 0) expectSize("bias", bias, outputs);
  float* const y = call.output(0, {2, {all, outputs}});
  const auto multiplyRows = [&](int64_t place, int64_t first, int64_t many) {
    const Weight matrix = matrixOf(weight, place, rows, columns);
    const Product<Weight> p{x.data + first * width, &matrix, bias.size == 0 ? nullptr : bias.data, y + first * outputs, many, width, outputs, transposed};
    if (transposed && many <= FEW_OF_PACKED && suitsFew(p)) fewRowsOf(p);
    else multiply<Weight>(p);
  };
  if (count > 1) eachExpert(experts, count, multiplyRows);
  else multiplyRows(0, 0, all);
}

int64_t sizeOf(const Call& call) {
  return static_cast<int64_t>(call.number("count")) * static_cast<int64_t>(call.number("rows")) * static_cast<int64_t>(call.number("columns"));
}

void nf4Product(Call& call) {
  const Tensor<const uint8_t> codes = call.bytes(1), nested = call.bytes(3);
  const Input scales = call.floats(2), map = call.floats(4);
  const int64_t size = sizeOf(call);
  const int64_t block = static_cast<int64_t>(call.number("block")), nestedBlock = static_cast<int64_t>(call.number("nested_block"));
  if (block < 1 || nestedBlock < 1) fail("expected blocks of 1 number or more");
  const Nf4 weight(codes.data, scales.data, nested.size == 0 ? nullptr : nested.data, map.data, block, nestedBlock, map.size > 256 ? map.data[256] : 0.0f);
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
  expectSize("factors", factors, static_cast<int64_t>(call.number("count")) * static_cast<int64_t>(call.number("rows")));
  const Int8 weight{reinterpret_cast<const int8_t*>(codes.data), factors.data};
  if (call.flag("rounded")) packedProduct(call, RoundedInt8{weight, call.number("threshold")}, call.ints(3), call.floats(4));
  else packedProduct(call, weight, call.ints(3), call.floats(4));
}

}  // namespace
}  // namespace peft
