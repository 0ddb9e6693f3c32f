#include "host/calls/asio_host.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "host/calls/call_runner.h"
#include "host/calls/call_targets.h"
#include "host/calls/host_timers.h"
#include "host/calls/wait_spec.h"
#include "host/resources/admit.h"

namespace sluice {

namespace asio = boost::asio;

struct AsioHost::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& context, HostServices given)
      : io(context),
        services(std::move(given)),
        timers(context, services.clock,
               [this](std::uint64_t timer) { deliver({0, TimerFired{timer}}); }),
        calls(std::make_shared<CallRunner>(
            context, services, targets, [this](Event event) { deliver(std::move(event)); },
            [this](CallProbed probed) { inbox->probed(std::move(probed)); })) {}

  asio::io_context& io;
  HostServices services;
  EventInbox* inbox = nullptr;
  std::function<bool(const StartCall&)> lets;
  CallTargets targets;
  HostTimers timers;
  std::shared_ptr<CallRunner> calls;

  void deliver(Event event) {
    event.at = services.clock.steady_ns();
    inbox->deliver(std::move(event));
  }

  // `work` on the run's thread unless the host is gone by then.
  template <class Work>
  void later(Work work) {
    asio::post(io, [weak = weak_from_this(), work = std::move(work)]() mutable {
      if (auto self = weak.lock()) work(*self);
    });
  }

  Result<void> load(Value& value) const {
    auto whole = services.values.load(value);
    if (!whole) return std::unexpected(whole.error());
    value = std::move(*whole);
    return {};
  }

  // The plan and its arguments as they are, and the scope that they were given in.
  Result<const PlanScope*> load(AdmitPlan& admit) const {
    const StepTarget* target = targets.find(admit.step);
    if (target == nullptr) {
      return fail(ErrorCode::kInternal, "a step of a plan that was never added");
    }
    for (Value* value : {&admit.plan, &admit.args}) {
      if (auto loaded = load(*value); !loaded) return std::unexpected(loaded.error());
    }
    return target->scope;
  }

  Result<PhysicalPlanPtr> admit(AdmitPlan admit) {
    auto scope = load(admit);
    if (!scope) return std::unexpected(scope.error());
    auto admitted = admit_plan(admit, **scope, services.resources,
                               {.optimizer = services.optimizer, .history = services.history});
    if (!admitted) return std::unexpected(admitted.error());
    targets.add_plan(admitted->plan, *admitted->scope, services.resources);
    return admitted->plan;
  }

  // For questions about a call: what a model wants is looked up by the step's `tools`.
  Result<StartCall> readable(const StartCall& start) const {
    StartCall loaded = start;
    if (start.wanted.is_null()) return loaded;
    for (Value* value : {&loaded.args, &loaded.wanted}) {
      if (auto done = load(*value); !done) return std::unexpected(done.error());
    }
    return loaded;
  }

  const FunctionSpec* function_of(const StartCall& start) const {
    auto loaded = readable(start);
    if (!loaded) return nullptr;
    if (start.undo) {
      auto undo = targets.undo_function(*loaded);
      return undo ? *undo : nullptr;
    }
    auto target = targets.tool_of(*loaded);
    return target ? target->function : nullptr;
  }
};

AsioHost::AsioHost(asio::io_context& io, HostServices services)
    : impl_(std::make_shared<Impl>(io, std::move(services))) {}
AsioHost::~AsioHost() = default;

void AsioHost::set_inbox(EventInbox* inbox) { impl_->inbox = inbox; }

void AsioHost::add_plan(const PhysicalPlanPtr& plan, const PlanScope& scope) {
  impl_->targets.add_plan(plan, scope, impl_->services.resources);
}

void AsioHost::ask_before_calls(std::function<bool(const StartCall&)> lets) {
  impl_->lets = std::move(lets);
}
bool AsioHost::lets_begin(const StartCall& start) { return !impl_->lets || impl_->lets(start); }

void AsioHost::know_steps(const PhysicalPlanPtr& plan) {
  const PlanScope* scope = impl_->services.resources.scope(plan->logical.get());
  if (scope != nullptr) add_plan(plan, *scope);
}

void AsioHost::hold_calls() { impl_->calls->hold(); }
void AsioHost::release_calls() { impl_->calls->release(); }

SteadyNs AsioHost::now() { return impl_->services.clock.steady_ns(); }
WallNs AsioHost::wall_now() { return impl_->services.clock.wall_ns(); }

void AsioHost::post(std::function<void()> work) {
  impl_->later([work = std::move(work)](Impl&) { work(); });
}

void AsioHost::set_timer(const SetTimer& timer) { impl_->timers.set(timer); }
void AsioHost::clear_timer(std::uint64_t timer) { impl_->timers.clear(timer); }

void AsioHost::perform(const StartCall& start) { impl_->calls->begin(start); }
void AsioHost::cancel(const CallRef& call) { impl_->calls->cancel(call); }
void AsioHost::resume(const CallRef& call) { impl_->calls->resume(call); }

void AsioHost::admit(const AdmitPlan& admit) {
  impl_->later([admit](Impl& self) {
    auto plan = self.admit(admit);
    if (plan) {
      self.deliver({0, PlanAdmitted{admit.task, std::move(*plan)}});
    } else {
      self.deliver({0, PlanRefused{admit.task, plan.error()}});
    }
  });
}

void AsioHost::begin_wait(const BeginWait& wait) {
  impl_->later([wait](Impl& self) {
    BeginWait loaded = wait;
    WaitBegan began{.call = wait.call};
    if (auto done = self.load(loaded.spec); done) {
      began = read_wait(loaded, self.services.clock.wall_ns());
    } else {
      began.error = done.error();
    }
    self.deliver({0, std::move(began)});
  });
}

Effect AsioHost::effect_of(const StartCall& start) {
  const OperatorKind op = start.step->logical.op;
  if (!start.undo && start.wanted.is_null()) {
    if (op == OperatorKind::kCode) return Effect::kPure;
    // Asking a model again costs money and changes nothing, whatever its tools may do.
    if (op == OperatorKind::kLlm) {
      return start.step->effect == Effect::kPure ? Effect::kPure : Effect::kRead;
    }
  }
  const FunctionSpec* function = impl_->function_of(start);
  // Nothing to call: it fails, or is done, before anything leaves.
  return function == nullptr ? Effect::kPure : function->effect;
}

bool AsioHost::has_probe(const StartCall& start) {
  const OperatorKind op = start.step->logical.op;
  const bool tool = start.undo || !start.wanted.is_null() || op == OperatorKind::kTool;
  if (!tool) return false;
  const FunctionSpec* function = impl_->function_of(start);
  return function != nullptr && function->has_probe;
}

void AsioHost::probe(const StartCall& start) { impl_->calls->probe(start); }

Result<PhysicalPlanPtr> AsioHost::adopt(const AdmitPlan& admit, const Value& recorded) {
  AdmitPlan loaded = admit;
  auto scope = impl_->load(loaded);
  if (!scope) return std::unexpected(scope.error());
  auto adopted = adopt_plan(loaded, recorded, **scope, impl_->services.resources);
  if (!adopted) return std::unexpected(adopted.error());
  impl_->targets.add_plan(adopted->plan, *adopted->scope, impl_->services.resources);
  return adopted->plan;
}

}  // namespace sluice
