// What the parts of the binding share: argument helpers, and the functions that put each part's calls on `exports`.
// Conventions: a call that the operating system may refuse returns −errno; TypeScript (src/) checks arguments and
// makes errors of negative numbers. Handles are Externals; they never leave src/.
#pragma once

#include <napi.h>

#include <memory>

#include "journal.h"

namespace reuseport {

void exportSocket(Napi::Env env, Napi::Object exports);
void exportTcp(Napi::Env env, Napi::Object exports);
void exportConntrack(Napi::Env env, Napi::Object exports);
void exportLock(Napi::Env env, Napi::Object exports);
void exportNetlink(Napi::Env env, Napi::Object exports);
void exportThread(Napi::Env env, Napi::Object exports);
void exportUnix(Napi::Env env, Napi::Object exports);
void exportReactor(Napi::Env env, Napi::Object exports);

// A journal outlives whichever of its handles is collected first.
struct JournalHandle {
  std::shared_ptr<Journal> journal;
};
using JournalExternal = Napi::External<JournalHandle>;

inline int32_t intArgument(const Napi::CallbackInfo& info, size_t index) {
  return index < info.Length() && info[index].IsNumber() ? info[index].As<Napi::Number>().Int32Value() : -1;
}
inline uint32_t wordArgument(const Napi::CallbackInfo& info, size_t index) {
  return index < info.Length() && info[index].IsNumber() ? info[index].As<Napi::Number>().Uint32Value() : 0;
}
inline bool boolArgument(const Napi::CallbackInfo& info, size_t index) {
  return index < info.Length() && info[index].IsBoolean() && info[index].As<Napi::Boolean>().Value();
}
inline std::string textArgument(const Napi::CallbackInfo& info, size_t index) {
  return index < info.Length() && info[index].IsString() ? info[index].As<Napi::String>().Utf8Value() : std::string();
}

// The bytes [offset, offset + length) of a Uint8Array argument; nullptr if they are not all there.
inline uint8_t* bytesArgument(const Napi::CallbackInfo& info, size_t index, int64_t offset, int64_t length) {
  if (index >= info.Length() || !info[index].IsTypedArray() || offset < 0 || length < 0) return nullptr;
  auto array = info[index].As<Napi::TypedArray>();
  if (array.TypedArrayType() != napi_uint8_array) return nullptr;
  auto bytes = info[index].As<Napi::Uint8Array>();
  if (offset > static_cast<int64_t>(bytes.ByteLength()) - length) return nullptr;
  static uint8_t none;  // an empty array may have no storage
  return bytes.Data() == nullptr ? &none : bytes.Data() + offset;
}

}  // namespace reuseport
