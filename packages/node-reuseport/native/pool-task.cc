#include "pool-task.h"

namespace reuseport {

namespace {

struct Pending {
  std::unique_ptr<PoolTask> task;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
};

void execute(napi_env, void* data) { static_cast<Pending*>(data)->task->run(); }

void complete(napi_env env, napi_status status, void* data) {
  std::unique_ptr<Pending> pending(static_cast<Pending*>(data));
  napi_delete_async_work(env, pending->work);
  napi_handle_scope scope = nullptr;
  if (status == napi_cancelled || napi_open_handle_scope(env, &scope) != napi_ok) return;
  PoolResult result(env);
  pending->task->tell(&result);
  if (result.object() != nullptr) napi_resolve_deferred(env, pending->deferred, result.object());
  napi_close_handle_scope(env, scope);
}

}  // namespace

Napi::Value runOnPool(Napi::Env env, const char* name, std::unique_ptr<PoolTask> task) {
  auto pending = std::make_unique<Pending>();
  pending->task = std::move(task);
  napi_value promise = nullptr;
  napi_value label = nullptr;
  if (napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &label) != napi_ok ||
      napi_create_promise(env, &pending->deferred, &promise) != napi_ok ||
      napi_create_async_work(env, nullptr, label, execute, complete, pending.get(), &pending->work) != napi_ok) {
    return env.Undefined();
  }
  if (napi_queue_async_work(env, pending->work) != napi_ok) {
    napi_delete_async_work(env, pending->work);
    return env.Undefined();
  }
  pending.release();
  return Napi::Value(env, promise);
}

}  // namespace reuseport
