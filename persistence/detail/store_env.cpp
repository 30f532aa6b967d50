#include "store_env.hpp"

#include <utility>

#include "checked_tables.hpp"

namespace cow::detail {
namespace {

thread_local LowPriorityThread* compacting_thread = nullptr;

class StoreEnv final : public rocksdb::EnvWrapper {
 public:
  using EnvWrapper::EnvWrapper;

  const char* Name() const override { return "cow::StoreEnv"; }

  int GetBackgroundThreads(Priority pool) override {
    return pool == BOTTOM && compacting_thread != nullptr ? 1 : EnvWrapper::GetBackgroundThreads(pool);
  }
  void Schedule(void (*function)(void*), void* argument, Priority pool, void* tag, void (*undo)(void*)) override {
    if (pool == BOTTOM && compacting_thread != nullptr) {
      compacting_thread->post([=] { function(argument); });
    } else {
      EnvWrapper::Schedule(function, argument, pool, tag, undo);
    }
  }
};

}  // namespace

rocksdb::Env* store_env() {
  // Never destroyed: a store may be a static object.
  static rocksdb::Env* const env = new StoreEnv(checked_env());
  return env;
}

CompactsInThread::CompactsInThread(LowPriorityThread& thread) noexcept
    : before_(std::exchange(compacting_thread, &thread)) {}

CompactsInThread::~CompactsInThread() { compacting_thread = before_; }

}  // namespace cow::detail
