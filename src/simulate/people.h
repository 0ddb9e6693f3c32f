// People: who sends signals, settles doubt, cancels, from outside of all processes, with a
// connection of their own. They tell the truth: whoever settles a call looks into the ledger first.
// Inside of simulate/. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/inbox.h"
#include "simulate/world_parts.h"

namespace sluice {

class People {
 public:
  // `notify` after a message was left: whoever runs the run looks into its inbox.
  People(WorldParts& world, std::function<void()> notify)
      : world_(world), notify_(std::move(notify)) {}
  ~People();

  // Each true when the message was acknowledged.
  bool signal(const std::string& name);
  bool cancel();
  // Settles what can be known by now. True: all of it. `others_live`: a process that lost the run
  // is about to notice it, or to make a call whose intent is durable.
  bool settle(const std::vector<RunState::Doubt>& doubts, bool others_live);
  // Their connection dies with the machine.
  void power_gone();

 private:
  Result<void> send(const RunMessage& message);
  bool said(const std::string& task);
  Journal* journal();

  WorldParts& world_;
  std::function<void()> notify_;
  std::unique_ptr<Life> life_;
  std::unique_ptr<SimVfs> vfs_;
  std::unique_ptr<GroupCommitJournal> journal_;
  std::unique_ptr<WatchedJournal> watched_;
  DeathPlan immortal_{{}};
  std::int64_t signals_ = 0;
};

inline constexpr std::int64_t kFirstSignalValue = 100'000;  // no tool gives such numbers

}  // namespace sluice
