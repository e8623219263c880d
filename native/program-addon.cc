// Programs, for JavaScript.
//
// exports.program({ memories, constants, steps }): of the tensors that were pinned since the last one; freed by the garbage collector, or by
//   memories: Int32Array with, of each memory, its source (-1 its own, -2 the next pinned tensor, else that of a memory before it), the
//     first element in that, the type, the rank and the sizes
//   constants: [memory, bytes as a Uint8Array] of each
//   steps: [name, attributes as TensorFlow's operations have them, numbers, inputs, outputs], the last three Int32Arrays
// exports.runProgram(program, inputs, numbers, output, result): writes an Int32Array into the memories of `inputs`, one behind the other, runs the
//   steps and writes the memory `output` into a Float32Array
// exports.endProgram(program): frees it now
// exports.unpin(): frees what has been pinned since the last program, of which there will be none

#include "program-addon.h"

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "c_api.h"
#include "node.h"
#include "program.h"

namespace peft {
namespace {

template <typename T>
struct Numbers {
  T* data;
  size_t length;
};

template <typename T>
Numbers<T> numbersOf(napi_env env, napi_value value, napi_typedarray_type type) {
  napi_typedarray_type found;
  Numbers<T> numbers{nullptr, 0};
  void* data;
  if (napi_get_typedarray_info(env, value, &found, &numbers.length, &data, nullptr, nullptr) != napi_ok || found != type) {
    throw std::invalid_argument("program: expected a typed array of another type");
  }
  numbers.data = static_cast<T*>(data);
  return numbers;
}

std::vector<int32_t> integersOf(napi_env env, napi_value value) {
  const auto numbers = numbersOf<int32_t>(env, value, napi_int32_array);
  return {numbers.data, numbers.data + numbers.length};
}

napi_value at(napi_env env, napi_value list, uint32_t index) {
  napi_value value;
  expectOk(napi_get_element(env, list, index, &value));
  return value;
}

uint32_t lengthOf(napi_env env, napi_value list) {
  uint32_t length;
  expectOk(napi_get_array_length(env, list, &length));
  return length;
}

napi_value named(napi_env env, napi_value object, const char* name) {
  napi_value value;
  expectOk(napi_get_named_property(env, object, name, &value));
  return value;
}

std::string textFrom(napi_env env, napi_value value) {
  char text[96];
  size_t length;
  expectOk(napi_get_value_string_utf8(env, value, text, sizeof text, &length));
  return {text, length};
}

int32_t integerOf(napi_env env, napi_value value) {
  int32_t number;
  expectOk(napi_get_value_int32(env, value, &number));
  return number;
}

std::vector<Program::Place> placesOf(napi_env env, napi_value value) {
  const std::vector<int32_t> numbers = integersOf(env, value);
  std::vector<Program::Place> places;
  for (size_t i = 0; i + 4 <= numbers.size();) {
    Program::Place place{numbers[i], numbers[i + 1], numbers[i + 2], {numbers[i + 3], {}}};
    i += 4;
    if (place.shape.rank < 0 || place.shape.rank > MAX_RANK || i + static_cast<size_t>(place.shape.rank) > numbers.size()) {
      throw std::invalid_argument("program: expected at most 6 dimensions");
    }
    for (int d = 0; d < place.shape.rank; d++) place.shape.dims[d] = numbers[i++];
    places.push_back(place);
  }
  return places;
}

/// Those of the operation's own settings that are among the attributes.
Settings settingsOf(napi_env env, const std::string& name, napi_value attributes) {
  Settings settings;
  const Operation* const operation = registeredOperation(name.c_str());
  if (operation == nullptr) return settings;
  for (const char* const* spec = operation->settings; *spec != nullptr; spec++) {
    const size_t length = static_cast<size_t>(strchr(*spec, ':') - *spec);
    for (uint32_t i = 0; i < lengthOf(env, attributes); i++) {
      const napi_value attribute = at(env, attributes, i), value = named(env, attribute, "value");
      if (textFrom(env, named(env, attribute, "name")) != std::string(*spec, length)) continue;
      Setting& entry = settings.entries[settings.count++];
      entry = {*spec, length, 0.0f, false};
      double number;
      if (napi_get_value_double(env, value, &number) == napi_ok) entry.number = static_cast<float>(number);
      else expectOk(napi_get_value_bool(env, value, &entry.flag));
    }
  }
  return settings;
}

void deleteProgram(napi_env, void* data, void*) noexcept { delete static_cast<std::unique_ptr<Program>*>(data); }

std::unique_ptr<Program>& programOf(napi_env env, napi_value value) {
  void* data;
  if (napi_get_value_external(env, value, &data) != napi_ok) throw std::invalid_argument("expected a program");
  return *static_cast<std::unique_ptr<Program>*>(data);
}

template <size_t count>
void argumentsOf(napi_env env, napi_callback_info info, napi_value (&values)[count]) {
  size_t given = count;
  expectOk(napi_get_cb_info(env, info, &given, values, nullptr, nullptr));
  if (given < count) throw std::invalid_argument("expected " + std::to_string(count) + " arguments");
}

napi_value createProgram(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  argumentsOf(env, info, arguments);
  auto program = std::make_unique<Program>(takePins());
  program->place(placesOf(env, named(env, arguments[0], "memories")));
  const napi_value constants = named(env, arguments[0], "constants"), steps = named(env, arguments[0], "steps");
  for (uint32_t i = 0; i < lengthOf(env, constants); i++) {
    const napi_value constant = at(env, constants, i);
    const Memory& memory = program->memory(integerOf(env, at(env, constant, 0)));
    const auto bytes = numbersOf<uint8_t>(env, at(env, constant, 1), napi_uint8_array);
    if (bytes.length != static_cast<size_t>(memory.size) * sizeOf(memory.type)) throw std::invalid_argument("program: a constant of another size");
    if (bytes.length > 0) memcpy(memory.data, bytes.data, bytes.length);
  }
  for (uint32_t i = 0; i < lengthOf(env, steps); i++) {
    const napi_value step = at(env, steps, i);
    const std::string name = textFrom(env, at(env, step, 0));
    program->add(name, settingsOf(env, name, at(env, step, 1)), integersOf(env, at(env, step, 2)), integersOf(env, at(env, step, 3)), integersOf(env, at(env, step, 4)));
  }
  napi_value result;
  auto held = std::make_unique<std::unique_ptr<Program>>(std::move(program));
  expectOk(napi_create_external(env, held.get(), deleteProgram, nullptr, &result));
  held.release();
  return result;
}

napi_value runProgram(napi_env env, napi_callback_info info) {
  napi_value arguments[5];
  argumentsOf(env, info, arguments);
  const std::unique_ptr<Program>& program = programOf(env, arguments[0]);
  if (program == nullptr) throw std::invalid_argument("runProgram: the program has ended");
  const auto numbers = numbersOf<int32_t>(env, arguments[2], napi_int32_array);
  size_t done = 0;
  for (int32_t index : integersOf(env, arguments[1])) {
    const Memory& memory = program->memory(index);
    const auto count = static_cast<size_t>(memory.size);
    if (memory.type != TF_INT32 || done + count > numbers.length) throw std::invalid_argument("runProgram: expected as many integers as its inputs take");
    memcpy(memory.data, numbers.data + done, count * sizeof(int32_t));
    done += count;
  }
  program->run();
  const Memory& output = program->memory(integerOf(env, arguments[3]));
  const auto result = numbersOf<float>(env, arguments[4], napi_float32_array);
  if (output.type != TF_FLOAT || result.length != static_cast<size_t>(output.size)) throw std::invalid_argument("runProgram: expected room for its output");
  memcpy(result.data, output.data, result.length * sizeof(float));
  return nullptr;
}

napi_value unpin(napi_env, napi_callback_info) {
  const Program unmade(takePins());
  return nullptr;
}

napi_value endProgram(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  argumentsOf(env, info, arguments);
  programOf(env, arguments[0]).reset();
  return nullptr;
}

}  // namespace

void exportPrograms(napi_env env, napi_value exports) {
  exportFunction(env, exports, "program", called<createProgram>);
  exportFunction(env, exports, "runProgram", called<runProgram>);
  exportFunction(env, exports, "endProgram", called<endProgram>);
  exportFunction(env, exports, "unpin", called<unpin>);
}

}  // namespace peft
