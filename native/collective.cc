// The collectives' part of TensorFlow's eager C API lies in another library than that of kernels, and the binding keeps its context to
// itself. So the functions are looked up in what the process has loaded, and there is a second context, for sums alone.

#include "collective.h"

#include <dlfcn.h>

#include <condition_variable>
#include <cstring>
#include <mutex>

#include "c_api.h"
#include "listen.h"

struct TFE_Context;
struct TFE_ContextOptions;
struct TFE_Op;
struct TFE_TensorHandle;

namespace peft {
namespace {

/// TensorFlow's functions of these names.
struct Eager {
  TFE_ContextOptions* (*NewContextOptions)();
  void (*DeleteContextOptions)(TFE_ContextOptions*);
  TFE_Context* (*NewContext)(const TFE_ContextOptions*, TF_Status*);
  void (*EnableCollectiveOps)(TFE_Context*, const void* server, size_t bytes, TF_Status*);
  void (*AbortCollectiveOps)(TFE_Context*, TF_Status*);
  void (*CollectiveOpsCheckPeerHealth)(TFE_Context*, const char* task, int64_t milliseconds, TF_Status*);
  TFE_Op* (*NewOp)(TFE_Context*, const char* name, TF_Status*);
  void (*DeleteOp)(TFE_Op*);
  void (*OpSetDevice)(TFE_Op*, const char* device, TF_Status*);
  void (*OpAddInput)(TFE_Op*, TFE_TensorHandle*, TF_Status*);
  void (*OpSetAttrType)(TFE_Op*, const char* name, TF_DataType);
  void (*OpSetAttrString)(TFE_Op*, const char* name, const void* value, size_t length);
  void (*OpSetAttrFloat)(TFE_Op*, const char* name, float);
  void (*OpSetAttrBool)(TFE_Op*, const char* name, unsigned char);
  void (*OpSetAttrInt)(TFE_Op*, const char* name, int64_t);
  void (*Execute)(TFE_Op*, TFE_TensorHandle** results, int* count, TF_Status*);
  TFE_TensorHandle* (*NewTensorHandle)(const TF_Tensor*, TF_Status*);
  void (*DeleteTensorHandle)(TFE_TensorHandle*);
  TF_Tensor* (*TensorHandleResolve)(TFE_TensorHandle*, TF_Status*);
};

void* loadedLibrary() {
  for (const char* name : {"libtensorflow_cc.so.2", "libtensorflow.so.2", "libtensorflow_cc.2.dylib", "libtensorflow.2.dylib"}) {
    if (void* library = dlopen(name, RTLD_NOLOAD | RTLD_LAZY)) return library;
  }
  return nullptr;
}

/// The functions, or nullptr where this TensorFlow does not have all of them.
const Eager* eager() {
  static Eager functions;
  static const bool complete = [] {
    void* library = loadedLibrary();
    bool found = library != nullptr;
    const auto find = [&](auto& function, const char* name) {
      if (!found) return;
      void* symbol = dlsym(library, name);
      found = symbol != nullptr;
      memcpy(&function, &symbol, sizeof symbol);
    };
#define FIND(name) find(functions.name, "TFE_" #name)
    FIND(NewContextOptions), FIND(DeleteContextOptions), FIND(NewContext), FIND(EnableCollectiveOps), FIND(AbortCollectiveOps);
    FIND(CollectiveOpsCheckPeerHealth), FIND(NewOp), FIND(DeleteOp), FIND(OpSetDevice), FIND(OpAddInput), FIND(OpSetAttrType);
    FIND(OpSetAttrString), FIND(OpSetAttrFloat), FIND(OpSetAttrBool), FIND(OpSetAttrInt), FIND(Execute), FIND(NewTensorHandle);
    FIND(DeleteTensorHandle), FIND(TensorHandleResolve);
#undef FIND
    return found;
  }();
  return complete ? &functions : nullptr;
}

class Status {
 public:
  Status() : status_(TF_NewStatus()) {}
  ~Status() { TF_DeleteStatus(status_); }
  Status(const Status&) = delete;
  Status& operator=(const Status&) = delete;
  operator TF_Status*() { return status_; }
  bool ok() const { return TF_GetCode(status_) == TF_OK; }
  /// What went wrong, behind the code's number, which is gRPC's.
  std::string text() const { return ok() ? "" : std::to_string(TF_GetCode(status_)) + ": " + TF_Message(status_); }

 private:
  TF_Status* status_;
};

// TensorFlow takes the cluster as a protocol buffer: fields of a number and a length, or a number and a number.
void appendNumber(std::string& message, uint64_t number) {
  for (; number > 127; number >>= 7) message.push_back(static_cast<char>(number | 128));
  message.push_back(static_cast<char>(number));
}
void appendField(std::string& message, int field, const std::string& value) {
  appendNumber(message, static_cast<uint64_t>(field) << 3 | 2);
  appendNumber(message, value.size());
  message += value;
}
void appendField(std::string& message, int field, uint64_t value) {
  appendNumber(message, static_cast<uint64_t>(field) << 3);
  appendNumber(message, value);
}

std::string taskName(int rank) { return "/job:worker/replica:0/task:" + std::to_string(rank); }

/// tensorflow.ServerDef
std::string serverOf(const Cluster& cluster) {
  std::string job, jobs, experimental, session, server;
  appendField(job, 1, "worker");  // JobDef.name
  for (size_t i = 0; i < cluster.addresses.size(); i++) {
    std::string task;
    appendField(task, 1, static_cast<uint64_t>(i));
    appendField(task, 2, cluster.addresses[i]);
    appendField(job, 2, task);  // JobDef.tasks
  }
  appendField(jobs, 1, job);                      // ClusterDef.job
  appendField(experimental, 1, taskName(0));      // ConfigProto.Experimental.collective_group_leader
  appendField(session, 2, static_cast<uint64_t>(1));  // ConfigProto.intra_op_parallelism_threads: sums need none of the cores
  appendField(session, 16, experimental);         // ConfigProto.experimental
  appendField(server, 1, jobs);                   // ServerDef.cluster
  appendField(server, 2, "worker");               // ServerDef.job_name
  appendField(server, 3, static_cast<uint64_t>(cluster.rank));  // ServerDef.task_index
  appendField(server, 4, session);                // ServerDef.default_session_config
  appendField(server, 5, "grpc");                 // ServerDef.protocol
  return server;
}

/// The context is never deleted: TensorFlow's servers cannot be shut down.
TFE_Context* context = nullptr;
Cluster joined;

/// Two sums that two processes begin in opposite orders would wait for each other.
struct Turns {
  std::mutex mutex;
  std::condition_variable passed;
  uint64_t given = 0;
  uint64_t now = 0;
} turns;

class Turn {
 public:
  explicit Turn(uint64_t place) {
    std::unique_lock<std::mutex> lock(turns.mutex);
    turns.passed.wait(lock, [place] { return turns.now == place; });
  }
  ~Turn() {
    {
      const std::lock_guard<std::mutex> lock(turns.mutex);
      turns.now++;
    }
    turns.passed.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
};

TFE_TensorHandle* handleOf(const Eager& api, TF_Tensor* tensor, TF_Status* status) {
  if (tensor == nullptr) return nullptr;
  TFE_TensorHandle* handle = api.NewTensorHandle(tensor, status);
  TF_DeleteTensor(tensor);
  return handle;
}

TF_Tensor* tensorOf(TF_DataType type, const int64_t* dims, int rank, const void* data, size_t bytes) {
  TF_Tensor* tensor = TF_AllocateTensor(type, dims, rank, bytes);
  if (tensor != nullptr) memcpy(TF_TensorData(tensor), data, bytes);
  return tensor;
}

/// The sums are taken over one group; the key of a sum is its length, so that no two shapes share one.
TFE_TensorHandle* reduce(const Eager& api, float* numbers, size_t count, Status& status) {
  const int64_t dims[] = {static_cast<int64_t>(count)};
  const int32_t settings[] = {static_cast<int32_t>(joined.addresses.size()), 1, static_cast<int32_t>(count)};
  // The numbers where they lie, or a copy of what is not aligned.
  TF_Tensor* const given = TF_NewTensor(TF_FLOAT, dims, 1, numbers, count * sizeof(float), [](void*, size_t, void*) {}, nullptr);
  std::vector<TFE_TensorHandle*> inputs{handleOf(api, given, status)};
  for (const int32_t& setting : settings) inputs.push_back(handleOf(api, tensorOf(TF_INT32, nullptr, 0, &setting, sizeof setting), status));
  TFE_Op* op = status.ok() ? api.NewOp(context, "CollectiveReduceV2", status) : nullptr;
  TFE_TensorHandle* result = nullptr;
  if (op != nullptr) {
    api.OpSetDevice(op, (taskName(joined.rank) + (joined.on_gpu ? "/device:GPU:0" : "/device:CPU:0")).c_str(), status);
    for (TFE_TensorHandle* input : inputs) {
      if (status.ok() && input != nullptr) api.OpAddInput(op, input, status);
    }
    api.OpSetAttrType(op, "T", TF_FLOAT);
    api.OpSetAttrString(op, "merge_op", "Add", 3);
    api.OpSetAttrString(op, "final_op", "Id", 2);
    api.OpSetAttrString(op, "communication_hint", "nccl", 4);  // on CPUs, and in a TensorFlow without NCCL, a ring all the same
    api.OpSetAttrFloat(op, "timeout_seconds", static_cast<float>(joined.timeout));
    api.OpSetAttrBool(op, "is_stateless", 0);
    api.OpSetAttrInt(op, "Nordering_token", 0);
    api.OpSetAttrInt(op, "max_subdivs_per_device", -1);
    int results = 1;
    if (status.ok()) api.Execute(op, &result, &results, status);
    api.DeleteOp(op);
  }
  for (TFE_TensorHandle* input : inputs) {
    if (input != nullptr) api.DeleteTensorHandle(input);
  }
  return result;
}

}  // namespace

std::string connectCollectives(const Cluster& cluster) {
  const Eager* api = eager();
  if (api == nullptr) return "this TensorFlow has no collectives";
  if (context != nullptr) return "this process has joined workers before, and cannot leave them";
  Status status;
  TFE_ContextOptions* options = api->NewContextOptions();
  TFE_Context* made = api->NewContext(options, status);
  api->DeleteContextOptions(options);
  if (!status.ok()) return status.text();
  const std::string server = serverOf(cluster);
  api->EnableCollectiveOps(made, server.data(), server.size(), status);
  if (!status.ok()) return status.text();
  const std::string& own = cluster.addresses[static_cast<size_t>(cluster.rank)];
  const std::string reason = listenOnlyOn(cluster.listen, std::stoi(own.substr(own.rfind(':') + 1)));
  if (!reason.empty()) return reason;
  joined = cluster;
  context = made;
  return "";
}

uint64_t nextSum() {
  const std::lock_guard<std::mutex> lock(turns.mutex);
  return turns.given++;
}

std::string sumOverProcesses(float* numbers, size_t count, uint64_t place) {
  const Turn turn(place);
  const Eager* api = eager();
  if (api == nullptr || context == nullptr) return "this process has not joined workers";
  Status status;
  TFE_TensorHandle* result = reduce(*api, numbers, count, status);
  TF_Tensor* sums = status.ok() ? api->TensorHandleResolve(result, status) : nullptr;
  if (sums != nullptr) {
    memcpy(numbers, TF_TensorData(sums), count * sizeof(float));
    TF_DeleteTensor(sums);
  }
  if (result != nullptr) api->DeleteTensorHandle(result);
  return status.text();
}

std::string checkProcess(int rank, int64_t milliseconds) {
  const Eager* api = eager();
  if (api == nullptr || context == nullptr) return "this process has not joined workers";
  Status status;
  api->CollectiveOpsCheckPeerHealth(context, taskName(rank).c_str(), milliseconds, status);
  return status.text();
}

void abortCollectives(const char* reason) {
  const Eager* api = eager();
  if (api == nullptr || context == nullptr) return;
  Status status;
  TF_SetStatus(status, TF_CANCELLED, reason);
  api->AbortCollectiveOps(context, status);
}

}  // namespace peft
