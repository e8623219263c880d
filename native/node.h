// Node-API with exceptions inside, and none beyond.
#pragma once
#include <node_api.h>

#include <stdexcept>
#include <string>

namespace peft {

/// Node-API reports what went wrong as a status; a call that failed is an exception here, until the boundary to C.
inline void expectOk(napi_status status) {
  if (status != napi_ok) throw std::runtime_error("Node-API failed with status " + std::to_string(status));
}

/// The boundary to C: what is thrown behind it becomes a JavaScript error.
template <typename F>
napi_value guarded(napi_env env, const F& call) noexcept {
  try {
    return call();
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
  } catch (...) {
    napi_throw_error(env, nullptr, "an unknown failure");
  }
  return nullptr;
}

template <napi_value (*function)(napi_env, napi_callback_info)>
napi_value called(napi_env env, napi_callback_info info) {
  return guarded(env, [=] { return function(env, info); });
}

inline void exportFunction(napi_env env, napi_value exports, const char* name, napi_callback call) {
  napi_value function;
  expectOk(napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function));
  expectOk(napi_set_named_property(env, exports, name, function));
}

inline napi_value textOf(napi_env env, const char* text) {
  napi_value result;
  expectOk(napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &result));
  return result;
}

}  // namespace peft
