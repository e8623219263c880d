#include "tensorflow.h"

#include <cassert>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "c_api.h"
#include "pool.h"
#include "settings.h"

namespace peft {

namespace {

/// What a failed kernel throws; it never leaves this file.
struct Failure {
  TF_Code code;
  char text[400];
};

struct Status {
  TF_Status* status = TF_NewStatus();
  ~Status() { TF_DeleteStatus(status); }
  bool ok() const { return TF_GetCode(status) == TF_OK; }
  void throwUnlessOk() const {
    if (ok()) return;
    Failure failure{TF_GetCode(status), {}};
    snprintf(failure.text, sizeof failure.text, "%s", TF_Message(status));
    throw failure;
  }
};

const Setting& find(const Settings& settings, const char* name) {
  for (int i = 0; i < settings.count; i++) {
    const Setting& entry = settings.entries[i];
    if (strncmp(entry.name, name, entry.length) == 0 && name[entry.length] == '\0') return entry;
  }
  fail("no setting '%s'", name);
}

/// A registered operation; lives as long as the process, as the registration does.
struct Registered {
  Operation operation;
  std::string name;
};

struct Kernel {
  const Operation* operation;
  Settings settings;
};

/// Reads an operation's settings. TensorFlow calls it from C, where no exception may arrive: it throws none.
void* createKernel(const Operation& operation, TF_OpKernelConstruction* construction) noexcept {
  Status status;
  std::unique_ptr<Kernel> kernel(new (std::nothrow) Kernel{&operation, {}});
  if (kernel == nullptr) {
    TF_SetStatus(status.status, TF_RESOURCE_EXHAUSTED, "no memory for a kernel");
    TF_OpKernelConstruction_Failure(construction, status.status);
    return nullptr;
  }
  for (const char* const* spec = operation.settings; *spec != nullptr; spec++) {
    Setting& entry = kernel->settings.entries[kernel->settings.count++];
    const char* colon = strchr(*spec, ':');
    assert(colon != nullptr && kernel->settings.count <= MAX_SETTINGS);
    entry.name = *spec;
    entry.length = static_cast<size_t>(colon - *spec);
    char name[32];
    snprintf(name, sizeof name, "%.*s", static_cast<int>(entry.length), *spec);
    if (strcmp(colon, ": float") == 0) {
      TF_OpKernelConstruction_GetAttrFloat(construction, name, &entry.number, status.status);
    } else {
      TF_Bool flag = 0;
      TF_OpKernelConstruction_GetAttrBool(construction, name, &flag, status.status);
      entry.flag = flag != 0;
    }
    if (!status.ok()) {
      TF_OpKernelConstruction_Failure(construction, status.status);
      return nullptr;
    }
  }
  return kernel.release();
}

void reportFailure(TF_OpKernelContext* context, const Kernel& kernel, TF_Code code, const char* text) noexcept {
  Status status;
  char whole[500];
  snprintf(whole, sizeof whole, "%s: %s", kernel.operation->name, text);
  TF_SetStatus(status.status, code, whole);
  TF_OpKernelContext_Failure(context, status.status);
}

/// The boundary to C: what is thrown behind it ends here, as the operation's error.
void runKernel(void* data, TF_OpKernelContext* context) noexcept {
  const Kernel& kernel = *static_cast<Kernel*>(data);
  try {
    const FlushedDenormals flushed;
    Call call(context, &kernel.settings);
    kernel.operation->run(call);
  } catch (const Failure& failure) {
    reportFailure(context, kernel, failure.code, failure.text);
  } catch (const std::bad_alloc&) {
    reportFailure(context, kernel, TF_RESOURCE_EXHAUSTED, "not enough memory for the kernel's own use");
  } catch (const std::exception& error) {
    reportFailure(context, kernel, TF_INTERNAL, error.what());
  } catch (...) {
    reportFailure(context, kernel, TF_INTERNAL, "an unknown failure");
  }
}

void deleteKernel(void* data) noexcept { delete static_cast<Kernel*>(data); }

// TensorFlow passes nothing of ours to the function that creates a kernel, so each operation needs a function of its
// own: one instance of this template for each place in the table.
constexpr int MAX_OPERATIONS = 384;
Registered* table[MAX_OPERATIONS];
int registered = 0;

template <int place>
void* create(TF_OpKernelConstruction* construction) noexcept {
  return createKernel(table[place]->operation, construction);
}

using Create = void* (*)(TF_OpKernelConstruction*);

template <int... places>
Create creatorAt(int place, std::integer_sequence<int, places...>) {
  static constexpr Create all[] = {create<places>...};
  return all[place];
}

}  // namespace

void fail(const char* format, ...) {
  Failure failure{TF_INVALID_ARGUMENT, {}};
  va_list values;
  va_start(values, format);
  vsnprintf(failure.text, sizeof failure.text, format, values);
  va_end(values);
  throw failure;
}

Call::Call(TF_OpKernelContext* context, const Settings* settings) : context_(context), places_{}, settings_(settings) {}

Call::Call(const Places& places, const Settings* settings) : context_(nullptr), places_(places), settings_(settings) {}

Call::~Call() {
  for (int i = 0; i < count_; i++) TF_DeleteTensor(held_[i]);
}

void Call::hold(TF_Tensor* tensor) {
  if (count_ == MAX_TENSORS) {
    TF_DeleteTensor(tensor);
    fail("more than %d tensors", MAX_TENSORS);
  }
  held_[count_++] = tensor;
}

TF_Tensor* Call::taken(int index) {
  if (index < 0 || index >= TF_NumInputs(context_)) fail("no input %d: there are %d", index, TF_NumInputs(context_));
  Status status;
  TF_Tensor* tensor = nullptr;
  TF_GetInput(context_, index, &tensor, status.status);
  status.throwUnlessOk();
  return tensor;
}

template <typename T>
Tensor<T> Call::input(int index, int type) {
  if (context_ == nullptr) {
    if (index < 0 || index >= places_.inputCount) fail("no input %d: there are %d", index, places_.inputCount);
    const Memory& memory = *places_.inputs[index];
    if (memory.type != type) fail("input %d: expected data type %d, got %d", index, type, memory.type);
    return {static_cast<T*>(memory.data), memory.shape, memory.size};
  }
  TF_Tensor* const tensor = taken(index);
  hold(tensor);
  if (TF_TensorType(tensor) != type) fail("input %d: expected data type %d, got %d", index, type, TF_TensorType(tensor));
  Tensor<T> result{static_cast<T*>(TF_TensorData(tensor)), {TF_NumDims(tensor), {}}, TF_TensorElementCount(tensor)};
  Shape& shape = result.shape;
  if (shape.rank > MAX_RANK) fail("input %d: expected at most %d dimensions, got %d", index, MAX_RANK, shape.rank);
  for (int i = 0; i < shape.rank; i++) shape.dims[i] = TF_Dim(tensor, i);
  return result;
}

Input Call::floats(int index) { return input<const float>(index, TF_FLOAT); }

Tensor<const int32_t> Call::ints(int index) { return input<const int32_t>(index, TF_INT32); }

Tensor<const uint8_t> Call::bytes(int index) { return input<const uint8_t>(index, TF_UINT8); }

Halves Call::halves(int index) { return input<const uint16_t>(index, TF_BFLOAT16); }

float* Call::output(int index, const Shape& shape) {
  if (context_ == nullptr) {
    if (index < 0 || index >= places_.outputCount) fail("no output %d: there are %d", index, places_.outputCount);
    const Memory& memory = *places_.outputs[index];
    int64_t size = 1;
    for (int i = 0; i < shape.rank; i++) size *= shape.dims[i];
    if (memory.type != TF_FLOAT || memory.size != size) fail("output %d: expected %lld floats, got %lld", index, (long long)size, (long long)memory.size);
    return static_cast<float*>(memory.data);
  }
  if (index < 0 || index >= TF_NumOutputs(context_)) fail("no output %d: there are %d", index, TF_NumOutputs(context_));
  Status status;
  size_t bytes = sizeof(float);
  for (int i = 0; i < shape.rank; i++) {
    assert(shape.dims[i] >= 0);
    bytes *= static_cast<size_t>(shape.dims[i]);
  }
  TF_Tensor* tensor =
      TF_AllocateOutput(context_, index, TF_FLOAT, shape.dims, shape.rank, bytes, status.status);
  status.throwUnlessOk();
  hold(tensor);
  return static_cast<float*>(TF_TensorData(tensor));
}

float Call::number(const char* name) const { return find(*settings_, name).number; }

bool Call::flag(const char* name) const { return find(*settings_, name).flag; }

const char* registerOperation(const char* prefix, const Operation& operation) {
  static std::string reason;
  if (registered == MAX_OPERATIONS) return "too many operations";
  auto* entry = new Registered{operation, std::string(prefix) + operation.name};
  TF_OpDefinitionBuilder* definition = TF_NewOpDefinitionBuilder(entry->name.c_str());
  for (const char* const* spec = operation.inputs; *spec != nullptr; spec++) {
    TF_OpDefinitionBuilderAddInput(definition, *spec);
  }
  for (const char* const* spec = operation.outputs; *spec != nullptr; spec++) {
    TF_OpDefinitionBuilderAddOutput(definition, *spec);
  }
  for (const char* const* spec = operation.settings; *spec != nullptr; spec++) {
    TF_OpDefinitionBuilderAddAttr(definition, *spec);
  }
  Status status;
  TF_RegisterOpDefinition(definition, status.status);
  if (status.ok()) {
    const Create creator = creatorAt(registered, std::make_integer_sequence<int, MAX_OPERATIONS>());
    TF_KernelBuilder* builder = TF_NewKernelBuilder(entry->name.c_str(), "CPU", creator, runKernel, deleteKernel);
    TF_RegisterKernelBuilder(entry->name.c_str(), builder, status.status);
  }
  if (!status.ok()) {
    reason = TF_Message(status.status);
    return reason.c_str();
  }
  table[registered++] = entry;
  return nullptr;
}

const Operation* registeredOperation(const char* name) {
  for (int i = 0; i < registered; i++) {
    if (table[i]->name == name) return &table[i]->operation;
  }
  return nullptr;
}

void runOperation(const Operation& operation, const Places& places, const Settings& settings) {
  try {
    Call call(places, &settings);
    operation.run(call);
  } catch (const Failure& failure) {
    throw std::runtime_error(std::string(operation.name) + ": " + failure.text);
  }
}

}  // namespace peft
