#include "program.h"

#include <new>
#include <stdexcept>
#include <utility>

#include "c_api.h"
#include "pool.h"

namespace peft {
namespace {

thread_local std::vector<TF_Tensor*> kept;

void pin(Call& call) {
  kept.push_back(call.taken(0));
  call.output(0, {1, {0}});
}

size_t bytesOf(const Shape& shape, int type) {
  size_t bytes = sizeOf(type);
  for (int i = 0; i < shape.rank; i++) bytes *= static_cast<size_t>(shape.dims[i]);
  return (bytes + 63) / 64 * 64;
}

Memory memoryOf(TF_Tensor* tensor) {
  Memory memory{TF_TensorData(tensor), {TF_NumDims(tensor), {}}, TF_TensorElementCount(tensor), TF_TensorType(tensor)};
  if (memory.shape.rank > MAX_RANK) throw std::runtime_error("a tensor of too many dimensions");
  for (int i = 0; i < memory.shape.rank; i++) memory.shape.dims[i] = TF_Dim(tensor, i);
  return memory;
}

int64_t countOf(const Shape& shape) {
  int64_t count = 1;
  for (int i = 0; i < shape.rank; i++) count *= shape.dims[i];
  return count;
}

}  // namespace

extern const Operation pinOperations[] = {
    {"PinFloat", {"x: float"}, {"none: float"}, {}, pin},
    {"PinBfloat16", {"x: bfloat16"}, {"none: float"}, {}, pin},
    {"PinInt32", {"x: int32"}, {"none: float"}, {}, pin},
    {"PinUint8", {"x: uint8"}, {"none: float"}, {}, pin},
    {nullptr, {}, {}, {}, nullptr},
};

std::vector<TF_Tensor*> takePins() { return std::exchange(kept, {}); }

Program::Program(std::vector<TF_Tensor*> pins) : pins_(std::move(pins)), own_(nullptr, &std::free) {}

void Program::place(const std::vector<Place>& places) {
  size_t bytes = 64;
  for (const Place& place : places) bytes += place.source == OWN ? bytesOf(place.shape, place.type) : 0;
  own_.reset(std::aligned_alloc(64, bytes));
  if (own_ == nullptr) throw std::bad_alloc();
  char* next = static_cast<char*>(own_.get());
  size_t pinned = 0;
  memories_.reserve(places.size());  // steps point into it
  for (const Place& place : places) {
    if (place.source == PINNED) {
      if (pinned == pins_.size()) throw std::runtime_error("fewer tensors are pinned than the program has");
      memories_.push_back(memoryOf(pins_[pinned++]));
      continue;
    }
    Memory memory{next, place.shape, countOf(place.shape), place.type};
    if (place.source == OWN) {
      next += bytesOf(place.shape, place.type);
    } else {
      const Memory& of = this->memory(place.source);
      if (place.offset < 0 || of.type != place.type || place.offset + memory.size > of.size) throw std::runtime_error("a part beyond what it is of");
      memory.data = static_cast<char*>(of.data) + static_cast<size_t>(place.offset) * sizeOf(of.type);
    }
    memories_.push_back(memory);
  }
  if (pinned != pins_.size()) throw std::runtime_error("more tensors are pinned than the program has");
}

Program::~Program() {
  for (TF_Tensor* pin : pins_) TF_DeleteTensor(pin);
}

const Memory& Program::memory(int32_t index) const {
  if (index < 0 || static_cast<size_t>(index) >= memories_.size()) throw std::runtime_error("no memory " + std::to_string(index));
  return memories_[static_cast<size_t>(index)];
}

void Program::add(const std::string& name, const Settings& settings, const std::vector<int32_t>& numbers, const std::vector<int32_t>& inputs,
                  const std::vector<int32_t>& outputs) {
  Step step{registeredOperation(name.c_str()), plainOperation(name), settings, numbers, {}, {}};
  if (step.operation == nullptr && step.plain == nullptr) throw std::runtime_error("no operation " + name);
  for (int32_t index : inputs) step.inputs.push_back(&memory(index));
  for (int32_t index : outputs) step.outputs.push_back(&memory(index));
  steps_.push_back(std::move(step));
}

void Program::run() const {
  const FlushedDenormals flushed;
  const AwakeThreads awake;
  for (const Step& step : steps_) {
    if (step.plain != nullptr) {
      step.plain(step.inputs.data(), step.outputs.data(), step.numbers.data());
      continue;
    }
    const Places places{step.inputs.data(), static_cast<int>(step.inputs.size()), step.outputs.data(), static_cast<int>(step.outputs.size())};
    runOperation(*step.operation, places, step.settings);
  }
}

}  // namespace peft
