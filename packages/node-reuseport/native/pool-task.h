// Work on a thread of libuv's pool, whose promise is kept in the event loop of the environment that asked.
// Invariant: an environment that ends meanwhile (a worker thread that is terminated) refuses every call; then nothing is told, and all is
// freed. Hence plain N-API: the C++ wrapper takes such a refusal for a fault and ends the process.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace reuseport {

class PoolResult {
 public:
  explicit PoolResult(napi_env env) : env_(env) { napi_create_object(env, &object_); }
  napi_value object() const { return object_; }

  void set(const char* name, double number) {
    napi_value value = nullptr;
    if (napi_create_double(env_, number, &value) == napi_ok) put(name, value);
  }
  void set(const char* name, const std::string& text) {
    napi_value value = nullptr;
    if (napi_create_string_utf8(env_, text.data(), text.size(), &value) == napi_ok) put(name, value);
  }
  // The memory goes with the array: nothing is copied.
  void set(const char* name, std::vector<uint8_t> bytes) { setArray(name, napi_uint8_array, std::move(bytes)); }
  void set(const char* name, std::vector<uint32_t> words) { setArray(name, napi_uint32_array, std::move(words)); }

 private:
  void put(const char* name, napi_value value) { napi_set_named_property(env_, object_, name, value); }

  template <typename Number>
  void setArray(const char* name, napi_typedarray_type type, std::vector<Number> numbers) {
    auto* kept = new std::vector<Number>(std::move(numbers));
    const auto drop = [](napi_env, void*, void* hint) { delete static_cast<std::vector<Number>*>(hint); };
    napi_value buffer = nullptr;
    if (napi_create_external_arraybuffer(env_, kept->data(), kept->size() * sizeof(Number), drop, kept, &buffer) != napi_ok) {
      delete kept;
      return;
    }
    napi_value array = nullptr;
    if (napi_create_typedarray(env_, type, kept->size(), buffer, 0, &array) == napi_ok) put(name, array);
  }

  napi_env env_;
  napi_value object_ = nullptr;
};

class PoolTask {
 public:
  virtual ~PoolTask() = default;
  virtual void run() = 0;                       // on the pool
  virtual void tell(PoolResult* result) = 0;    // in the environment
};

// The promise of what `tell` says; undefined if the environment takes no more work.
Napi::Value runOnPool(Napi::Env env, const char* name, std::unique_ptr<PoolTask> task);

}  // namespace reuseport
