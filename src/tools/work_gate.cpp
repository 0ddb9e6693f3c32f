#include "tools/work_gate.h"

namespace sluice {

WorkGate::Inside::Inside(WorkGate& gate) : gate_(gate), entered_(gate.enter()) {}

WorkGate::Inside::~Inside() {
  if (entered_) gate_.leave();
}

bool WorkGate::enter() {
  std::lock_guard lock(mutex_);
  if (!closed_) ++inside_;
  return !closed_;
}

void WorkGate::leave() {
  std::lock_guard lock(mutex_);
  --inside_;
  left_.notify_all();
}

void WorkGate::close(const std::function<void()>& hurry) {
  std::unique_lock lock(mutex_);
  closed_ = true;
  if (inside_ > 0) hurry();
  left_.wait(lock, [this] { return inside_ == 0; });
}

}  // namespace sluice
