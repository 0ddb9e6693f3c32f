// RunLoop: drives one run. Takes events from a Host, applies them, carries out binds itself and
// hands other effects to the Host. The same loop runs live, in the simulator and in replay. One
// thread: the Host's run thread.
#pragma once

#include <functional>
#include <memory>

#include "data/value.h"
#include "plan/physical.h"
#include "runtime/event.h"
#include "runtime/host.h"
#include "runtime/run_state.h"
#include "runtime/value_store.h"

namespace sluice {

struct RunOptions {
  std::string run_id;
  Value params;
  std::uint64_t seed = 0;
};

class RunLoop final : public EventInbox {
 public:
  // All references outlive the loop. `on_end` is called once, last.
  RunLoop(PhysicalPlanPtr plan, Host& host, ValueStore& values, TraceSink* trace,
          std::function<void(RunOutcome)> on_end);
  ~RunLoop() override;

  void start(const RunOptions& options);
  void deliver(Event event) override;
  void interrupt();  // once: nothing new starts; twice: at once
  void cancel(std::string reason);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace sluice
