// What a kernel sees of TensorFlow: its inputs, its settings, and where its outputs go. Over TensorFlow's C kernel API,
// which, unlike its C++ classes, is the same for every compiler and TensorFlow version.
//
// This header is also read by code that is compiled for newer processors (see kernels.cc), so it defines no function.
#pragma once
#include <stdint.h>

struct TF_OpKernelContext;
struct TF_Tensor;

namespace peft {

constexpr int MAX_RANK = 6;
/// Inputs and outputs of an operation together.
constexpr int MAX_TENSORS = 16;
constexpr int MAX_SETTINGS = 9;

struct Shape {
  int rank;
  int64_t dims[MAX_RANK];
};

/// An input or output tensor. An optional input that was left out is an empty tensor.
template <typename T>
struct Tensor {
  T* data;
  Shape shape;
  int64_t size;  // elements
};

using Input = Tensor<const float>;

/// bfloat16 numbers: each the upper half of a float's bits.
using Halves = Tensor<const uint16_t>;

struct Settings;

/// A tensor of a program (program.h), where an operation runs without TensorFlow.
struct Memory {
  void* data;
  Shape shape;
  int64_t size;  // elements
  int type;      // TF_DataType
};

/// What an operation of a program reads and writes.
struct Places {
  const Memory* const* inputs;
  int inputCount;
  const Memory* const* outputs;
  int outputCount;
};

/// One run of an operation.
class Call {
 public:
  Call(TF_OpKernelContext* context, const Settings* settings);
  Call(const Places& places, const Settings* settings);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Input floats(int index);
  Tensor<const int32_t> ints(int index);
  Halves halves(int index);
  Tensor<const uint8_t> bytes(int index);
  /// Memory for an output; its content is undefined.
  float* output(int index, const Shape& shape);

  float number(const char* name) const;
  bool flag(const char* name) const;

  /// An input of any type as it is, for longer than the call: the caller deletes it.
  TF_Tensor* taken(int index);

 private:
  template <typename T>
  Tensor<T> input(int index, int type);
  void hold(TF_Tensor* tensor);

  TF_OpKernelContext* const context_;  // nullptr in a program
  const Places places_;
  const Settings* settings_;
  TF_Tensor* held_[MAX_TENSORS];
  int count_ = 0;
};

/// Ends the operation with an InvalidArgument error: what was expected and what came, as printf takes it.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

/// An operation: the signature as in TensorFlow's op definitions ("x: float"), and the kernel. Lists end with nullptr.
struct Operation {
  const char* name;
  const char* inputs[10];
  const char* outputs[6];
  const char* settings[MAX_SETTINGS + 1];  // "name: float" or "name: bool"
  void (*run)(Call&);
};

/// Registers an operation for the CPU as `<prefix><name>`.
/// Returns nullptr, or why TensorFlow did not take it (valid until the next call).
const char* registerOperation(const char* prefix, const Operation& operation);

/// The operation that was registered as this, or nullptr.
const Operation* registeredOperation(const char* name);

/// Runs an operation on memory of a program. What went wrong is thrown as std::runtime_error.
void runOperation(const Operation& operation, const Places& places, const Settings& settings);

}  // namespace peft
