// Sums over processes, for JavaScript. Each gives a text with what went wrong, which is empty where nothing did.
//
// exports.connect(addresses, rank, listen, timeout): joins the others; IPv4 address to listen on as a number, seconds
// exports.sum(numbers):        a promise; replaces the numbers of a Float32Array by their sums. Begins at once, beside JavaScript, which leaves the
//                              array alone until it is done; several are taken one behind the other, in the order of the calls
// exports.take(numbers):       writes the tensor that was pinned (program.h) into a Float32Array
// exports.check(rank, milliseconds): a promise; whether another process answers

#include "collective-addon.h"

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "c_api.h"
#include "collective.h"
#include "node.h"
#include "program.h"

namespace peft {
namespace {

template <size_t count>
std::vector<napi_value> argumentsOf(napi_env env, napi_callback_info info) {
  size_t given = count;
  std::vector<napi_value> values(count);
  expectOk(napi_get_cb_info(env, info, &given, values.data(), nullptr, nullptr));
  if (given < count) throw std::invalid_argument("expected " + std::to_string(count) + " arguments");
  return values;
}

double numberOf(napi_env env, napi_value value) {
  double number;
  expectOk(napi_get_value_double(env, value, &number));
  return number;
}

std::string stringOf(napi_env env, napi_value value) {
  size_t length;
  expectOk(napi_get_value_string_utf8(env, value, nullptr, 0, &length));
  std::string text(length + 1, '\0');
  expectOk(napi_get_value_string_utf8(env, value, &text[0], length + 1, &length));
  text.resize(length);
  return text;
}

float* floatsOf(napi_env env, napi_value value, size_t& count) {
  napi_typedarray_type type;
  void* memory;
  if (napi_get_typedarray_info(env, value, &type, &count, &memory, nullptr, nullptr) != napi_ok || type != napi_float32_array) {
    throw std::invalid_argument("expected a Float32Array");
  }
  return static_cast<float*>(memory);
}

/// Work beside the JavaScript thread, and the promise of what went wrong with it.
struct Job {
  int rank = 0;
  int64_t milliseconds = 0;
  uint64_t place = 0;
  float* numbers = nullptr;
  size_t count = 0;
  napi_ref array = nullptr;  // whose they are
  std::string reason;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
};

void finish(napi_env env, napi_status status, void* data) noexcept {
  const std::unique_ptr<Job> job(static_cast<Job*>(data));
  if (status != napi_ok) job->reason = "cancelled";
  guarded(env, [&]() -> napi_value {
    if (job->array != nullptr) expectOk(napi_delete_reference(env, job->array));
    expectOk(napi_delete_async_work(env, job->work));
    expectOk(napi_resolve_deferred(env, job->deferred, textOf(env, job->reason.c_str())));
    return nullptr;
  });
}

napi_value start(napi_env env, std::unique_ptr<Job> job, const char* name, napi_async_execute_callback run) {
  napi_value promise;
  expectOk(napi_create_promise(env, &job->deferred, &promise));
  expectOk(napi_create_async_work(env, nullptr, textOf(env, name), run, finish, job.get(), &job->work));
  expectOk(napi_queue_async_work(env, job->work));
  job.release();  // finish has it
  return promise;
}

/// What would leave a function that C calls becomes the reason.
template <typename F>
void reasonOf(Job& job, const F& call) noexcept {
  try {
    job.reason = call();
  } catch (...) {
    job.reason = "8: not enough memory";
  }
}

napi_value connect(napi_env env, napi_callback_info info) {
  const auto values = argumentsOf<5>(env, info);
  Cluster cluster;
  uint32_t count;
  expectOk(napi_get_array_length(env, values[0], &count));
  for (uint32_t i = 0; i < count; i++) {
    napi_value address;
    expectOk(napi_get_element(env, values[0], i, &address));
    cluster.addresses.push_back(stringOf(env, address));
  }
  cluster.rank = static_cast<int>(numberOf(env, values[1]));
  cluster.listen = static_cast<uint32_t>(numberOf(env, values[2]));
  cluster.timeout = numberOf(env, values[3]);
  expectOk(napi_get_value_bool(env, values[4], &cluster.on_gpu));
  if (cluster.rank < 0 || static_cast<size_t>(cluster.rank) >= cluster.addresses.size()) throw std::invalid_argument("connect: no such rank");
  const std::string reason = connectCollectives(cluster);
  // A process that is asked to end would wait for the threads at work, and these for the other processes.
  if (reason.empty()) expectOk(napi_add_env_cleanup_hook(env, [](void*) { abortCollectives("the process ends"); }, nullptr));
  return textOf(env, reason.c_str());
}

napi_value sum(napi_env env, napi_callback_info info) {
  const auto values = argumentsOf<1>(env, info);
  auto job = std::make_unique<Job>();
  job->numbers = floatsOf(env, values[0], job->count);
  expectOk(napi_create_reference(env, values[0], 1, &job->array));
  job->place = nextSum();
  return start(env, std::move(job), "sum", [](napi_env, void* data) {
    Job& own = *static_cast<Job*>(data);
    reasonOf(own, [&] { return sumOverProcesses(own.numbers, own.count, own.place); });
  });
}

napi_value take(napi_env env, napi_callback_info info) {
  const auto values = argumentsOf<1>(env, info);
  const std::vector<TF_Tensor*> pins = takePins();
  const auto release = [](const std::vector<TF_Tensor*>* tensors) { for (TF_Tensor* tensor : *tensors) TF_DeleteTensor(tensor); };
  const std::unique_ptr<const std::vector<TF_Tensor*>, decltype(release)> held(&pins, release);
  size_t count;
  float* const numbers = floatsOf(env, values[0], count);
  if (pins.size() != 1 || TF_TensorType(pins[0]) != TF_FLOAT || static_cast<size_t>(TF_TensorElementCount(pins[0])) != count) {
    throw std::invalid_argument("take: expected a pinned tensor of as many numbers");
  }
  if (count > 0) memcpy(numbers, TF_TensorData(pins[0]), count * sizeof(float));
  return nullptr;
}

napi_value check(napi_env env, napi_callback_info info) {
  const auto values = argumentsOf<2>(env, info);
  auto job = std::make_unique<Job>();
  job->rank = static_cast<int>(numberOf(env, values[0]));
  job->milliseconds = static_cast<int64_t>(numberOf(env, values[1]));
  return start(env, std::move(job), "check", [](napi_env, void* data) {
    Job& own = *static_cast<Job*>(data);
    reasonOf(own, [&] { return checkProcess(own.rank, own.milliseconds); });
  });
}

}  // namespace

void exportCollectives(napi_env env, napi_value exports) {
  exportFunction(env, exports, "connect", called<connect>);
  exportFunction(env, exports, "sum", called<sum>);
  exportFunction(env, exports, "take", called<take>);
  exportFunction(env, exports, "check", called<check>);
}

}  // namespace peft
