// Lets a tool end only when no thread of the pool is at work on what it holds any more.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

namespace sluice {

// Shared by the tool and the work that it has posted. Any thread.
class WorkGate {
 public:
  // While it stands, its thread is inside; `entered` is false where the gate was closed before.
  class Inside {
   public:
    explicit Inside(WorkGate& gate);
    ~Inside();
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    bool entered() const { return entered_; }

   private:
    WorkGate& gate_;
    const bool entered_;
  };

  // Nobody enters any more. Returns when nobody is inside; `hurry` is called first where somebody
  // is. The next work may have entered before the last one is out (its result was already told), so
  // there may be several.
  void close(const std::function<void()>& hurry);

 private:
  bool enter();
  void leave();

  std::mutex mutex_;
  std::condition_variable left_;
  std::uint32_t inside_ = 0;
  bool closed_ = false;
};

}  // namespace sluice
