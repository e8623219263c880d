#include "tensorflow.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "c_api.h"

namespace peft {

struct Setting {
  const char* name;
  size_t length;  // of the name
  float number;
  bool flag;
};

struct Settings {
  Setting entries[4];
  int count = 0;
};

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

void* createKernel(const Operation& operation, TF_OpKernelConstruction* construction) {
  auto kernel = std::make_unique<Kernel>();
  kernel->operation = &operation;
  Status status;
  for (const char* const* spec = operation.settings; *spec != nullptr; spec++) {
    Setting& entry = kernel->settings.entries[kernel->settings.count++];
    const char* colon = strchr(*spec, ':');
    entry.name = *spec;
    entry.length = static_cast<size_t>(colon - *spec);
    const std::string name(*spec, entry.length);
    if (strcmp(colon, ": float") == 0) {
      TF_OpKernelConstruction_GetAttrFloat(construction, name.c_str(), &entry.number, status.status);
    } else {
      TF_Bool flag = 0;
      TF_OpKernelConstruction_GetAttrBool(construction, name.c_str(), &flag, status.status);
      entry.flag = flag != 0;
    }
    if (!status.ok()) {
      TF_OpKernelConstruction_Failure(construction, status.status);
      return nullptr;
    }
  }
  return kernel.release();
}

void runKernel(void* data, TF_OpKernelContext* context) {
  const Kernel& kernel = *static_cast<Kernel*>(data);
  try {
    Call call(context, &kernel.settings);
    kernel.operation->run(call);
  } catch (const Failure& failure) {
    Status status;
    const std::string text = std::string(kernel.operation->name) + ": " + failure.text;
    TF_SetStatus(status.status, failure.code, text.c_str());
    TF_OpKernelContext_Failure(context, status.status);
  }
}

void deleteKernel(void* data) { delete static_cast<Kernel*>(data); }

// TensorFlow passes nothing of ours to the function that creates a kernel, so each operation needs a function of its
// own: one instance of this template for each place in the table.
constexpr int MAX_OPERATIONS = 128;
Registered* table[MAX_OPERATIONS];
int registered = 0;

template <int place>
void* create(TF_OpKernelConstruction* construction) {
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

Call::Call(TF_OpKernelContext* context, const Settings* settings) : context_(context), settings_(settings) {}

Call::~Call() {
  for (int i = 0; i < count_; i++) TF_DeleteTensor(held_[i]);
}

TF_Tensor* Call::input(int index, Shape* shape) {
  Status status;
  TF_Tensor* tensor = nullptr;
  TF_GetInput(context_, index, &tensor, status.status);
  status.throwUnlessOk();
  held_[count_++] = tensor;
  shape->rank = TF_NumDims(tensor);
  if (shape->rank > MAX_RANK) fail("input %d: expected at most %d dimensions, got %d", index, MAX_RANK, shape->rank);
  for (int i = 0; i < shape->rank; i++) shape->dims[i] = TF_Dim(tensor, i);
  return tensor;
}

Input Call::floats(int index) {
  Input result;
  TF_Tensor* tensor = input(index, &result.shape);
  result.data = static_cast<const float*>(TF_TensorData(tensor));
  result.size = TF_TensorElementCount(tensor);
  return result;
}

Tensor<const int32_t> Call::ints(int index) {
  Tensor<const int32_t> result;
  TF_Tensor* tensor = input(index, &result.shape);
  result.data = static_cast<const int32_t*>(TF_TensorData(tensor));
  result.size = TF_TensorElementCount(tensor);
  return result;
}

Halves Call::halves(int index) {
  Halves result;
  TF_Tensor* tensor = input(index, &result.shape);
  result.data = static_cast<const uint16_t*>(TF_TensorData(tensor));
  result.size = TF_TensorElementCount(tensor);
  return result;
}

float* Call::output(int index, const Shape& shape) {
  Status status;
  size_t bytes = sizeof(float);
  for (int i = 0; i < shape.rank; i++) bytes *= static_cast<size_t>(shape.dims[i]);
  TF_Tensor* tensor =
      TF_AllocateOutput(context_, index, TF_FLOAT, shape.dims, shape.rank, bytes, status.status);
  status.throwUnlessOk();
  held_[count_++] = tensor;
  return static_cast<float*>(TF_TensorData(tensor));
}

float* Call::reuse(int outputIndex, int inputIndex) {
  Status status;
  Shape shape;
  TF_Tensor* tensor = input(inputIndex, &shape);
  TF_SetOutput(context_, outputIndex, tensor, status.status);
  status.throwUnlessOk();
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

}  // namespace peft
