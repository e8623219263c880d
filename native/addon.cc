// The Node addon: registers the kernels with the TensorFlow that is loaded in this process.
//
// exports.sources:         the hash of the sources it was compiled from
// exports.instructionSets: those that were compiled and that this processor has, the best first
// exports.threads:         how many threads the kernels use
// exports.bfloat16Products: whether the processor multiplies bfloat16 numbers faster than floats
// exports.register(name):  registers the operations for one set and returns the prefix of their names
// exports.misalignment(x): how far the memory of an ArrayBuffer is from the 64 bytes TensorFlow wants it aligned to
// exports.quantizeNf4(values, middles, codes, scales): writes the codes and scales of numbers, as nf4.h says
// and what collective-addon.cc and program-addon.cc have

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include "collective-addon.h"
#include "nf4.h"
#include "node.h"
#include "pool.h"
#include "program-addon.h"
#include "program.h"
#include "tensorflow.h"

// The hash of the sources: two versions of this library in one process must not share the names of operations.
#ifndef SOURCES
#error "compile with -DSOURCES=<hash>"
#endif
#define TEXT_OF(word) #word
#define TEXT(word) TEXT_OF(word)

namespace peft {

namespace baseline {
extern const Operation operations[];
}
#if defined(__x86_64__)
namespace avx2 {
extern const Operation operations[];
}
namespace avx512 {
extern const Operation operations[];
}
// Those are not there where the compiler is too old for them.
namespace avx512vnni {
extern const Operation operations[] __attribute__((weak));
}
namespace avx512bf16 {
extern const Operation operations[] __attribute__((weak));
}
namespace amx {
extern const Operation operations[] __attribute__((weak));
}
#endif

namespace {

struct InstructionSet {
  const char* name;
  const Operation* operations;
  bool supported;
  bool registered;
};

InstructionSet instructionSets[] = {
#if defined(__x86_64__)
    {"amx", amx::operations, false, false},
    {"avx512bf16", avx512bf16::operations, false, false},
    {"avx512vnni", avx512vnni::operations, false, false},
    {"avx512", avx512::operations, false, false},
    {"avx2", avx2::operations, false, false},
#endif
    {"baseline", baseline::operations, true, false},
};


/// Whether the processor multiplies tiles of bfloat16 numbers and of bytes, and the system lets this process do so.
bool hasTiles() {
#if defined(__x86_64__) && defined(__linux__)
  unsigned a, b, c, d;
  constexpr unsigned NEEDED = 1u << 22 | 1u << 24 | 1u << 25;  // AMX-BF16, AMX-TILE, AMX-INT8
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & NEEDED) != NEEDED) return false;
  constexpr long REQUEST_PERMISSION = 0x1023, TILE_DATA = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
  return false;
#endif
}

/// Whether the processor multiplies bfloat16 numbers faster than floats. Intel's do so by tiles alone: of pairs they multiply half as many
/// in the same time as floats, which the kernels then widen them to.
bool bfloat16Products = false;

void askProcessor() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni"), bfloat16 = vnni && __builtin_cpu_supports("avx512bf16");
  const bool tiles = bfloat16 && hasTiles(), slow = __builtin_cpu_is("intel");
  const bool has[] = {tiles, bfloat16, vnni, avx512, avx2, true};
  int i = 0;
  for (InstructionSet& set : instructionSets) set.supported = has[i++] && set.operations != nullptr;
  if (slow) std::swap(instructionSets[1], instructionSets[2]);
  bfloat16Products = tiles || (bfloat16 && !slow);
#endif
}

/// A process registers each set once, however many JavaScript threads load the addon.
const char* registerOnce(InstructionSet& set, const std::string& prefix) {
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  if (set.registered) return nullptr;
  for (const Operation* operations : {set.operations, pinOperations}) {
    for (const Operation* operation = operations; operation->name != nullptr; operation++) {
      const char* reason = registerOperation(prefix.c_str(), *operation);
      if (reason != nullptr) return reason;
    }
  }
  set.registered = true;
  return nullptr;
}

/// The one argument of a call, or nullptr.
napi_value argumentOf(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument = nullptr;
  expectOk(napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr));
  return count == 1 ? argument : nullptr;
}

napi_value registerSet(napi_env env, napi_callback_info info) {
  char name[32] = "";
  const napi_value argument = argumentOf(env, info);
  if (argument == nullptr || napi_get_value_string_utf8(env, argument, name, sizeof name, nullptr) != napi_ok) {
    throw std::invalid_argument("register: expected the name of an instruction set");
  }
  for (InstructionSet& set : instructionSets) {
    if (strcmp(set.name, name) != 0 || !set.supported) continue;
    const std::string prefix = std::string("TfjsPeft_" TEXT(SOURCES) "_") + name + "_";
    const char* reason = registerOnce(set, prefix);
    if (reason != nullptr) throw std::runtime_error(std::string("register: ") + reason);
    return textOf(env, prefix.c_str());
  }
  throw std::invalid_argument(std::string("register: this processor has no instruction set '") + name + "'");
}

napi_value misalignment(napi_env env, napi_callback_info info) {
  size_t length;
  void* memory;
  const napi_value argument = argumentOf(env, info);
  if (argument == nullptr || napi_get_arraybuffer_info(env, argument, &memory, &length) != napi_ok) {
    throw std::invalid_argument("misalignment: expected an ArrayBuffer");
  }
  napi_value result;
  expectOk(napi_create_uint32(env, static_cast<uint32_t>(reinterpret_cast<uintptr_t>(memory) % 64), &result));
  return result;
}

/// A typed array of this type and at least `size` elements.
template <typename T>
T* elementsOf(napi_env env, napi_value value, napi_typedarray_type type, size_t size) {
  napi_typedarray_type found;
  size_t length;
  void* data;
  if (napi_get_typedarray_info(env, value, &found, &length, &data, nullptr, nullptr) != napi_ok || found != type || length < size) {
    throw std::invalid_argument("quantizeNf4: expected numbers, 15 middles, room for a byte of each two and for a scale of each 64");
  }
  return static_cast<T*>(data);
}

napi_value quantizeNumbers(napi_env env, napi_callback_info info) {
  size_t given = 4, count = 0;
  napi_value arguments[4] = {};
  expectOk(napi_get_cb_info(env, info, &given, arguments, nullptr, nullptr));
  const float* const values = elementsOf<float>(env, arguments[0], napi_float32_array, 0);
  expectOk(napi_get_typedarray_info(env, arguments[0], nullptr, &count, nullptr, nullptr, nullptr));
  const float* const middles = elementsOf<float>(env, arguments[1], napi_float32_array, 15);
  uint8_t* const codes = elementsOf<uint8_t>(env, arguments[2], napi_uint8_array, (count + 1) / 2);
  float* const scales = elementsOf<float>(env, arguments[3], napi_float32_array, (count + NF4_BLOCK - 1) / NF4_BLOCK);
  quantizeNf4(values, static_cast<int64_t>(count), middles, codes, scales);
  return nullptr;
}

napi_value init(napi_env env, napi_value exports) {
  askProcessor();
  napi_value names, threads, bfloat16;
  expectOk(napi_create_array(env, &names));
  uint32_t count = 0;
  for (const InstructionSet& set : instructionSets) {
    if (set.supported) expectOk(napi_set_element(env, names, count++, textOf(env, set.name)));
  }
  expectOk(napi_set_named_property(env, exports, "sources", textOf(env, TEXT(SOURCES))));
  expectOk(napi_set_named_property(env, exports, "instructionSets", names));
  expectOk(napi_create_int32(env, threadCount(), &threads));
  expectOk(napi_set_named_property(env, exports, "threads", threads));
  expectOk(napi_get_boolean(env, bfloat16Products, &bfloat16));
  expectOk(napi_set_named_property(env, exports, "bfloat16Products", bfloat16));
  exportFunction(env, exports, "register", called<registerSet>);
  exportFunction(env, exports, "misalignment", called<misalignment>);
  exportFunction(env, exports, "quantizeNf4", called<quantizeNumbers>);
  exportCollectives(env, exports);
  exportPrograms(env, exports);
  return exports;
}

}  // namespace
}  // namespace peft

NAPI_MODULE_INIT() {
  return peft::guarded(env, [=] { return peft::init(env, exports); });
}
