#include "runtime/run_loop.h"

#include <span>
#include <utility>
#include <vector>

#include "runtime/binder.h"

namespace sluice {

namespace {
template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
}  // namespace

struct RunLoop::Impl {
  Impl(PhysicalPlanPtr plan, Host& host_in, ValueStore& values_in, TraceSink* trace,
       std::function<void(RunOutcome)> end)
      : host(host_in), values(values_in), state(std::move(plan), trace), binder(values_in),
        on_end(std::move(end)) {}

  void take(Event event) {
    if (state.ended()) return;
    if (event.at == 0) event.at = host.now();
    rest_values(event);
    SteadyNs at = event.at;
    state.apply(std::span<const Event>(&event, 1), sink);
    while (!sink.binds.empty()) {
      binds.clear();
      binds.swap(sink.binds);
      bounds.clear();
      binder.bind(state, binds, bounds);
      state.apply_bound(at, bounds, sink);
    }
    carry_out();
  }

  // What calls give goes to the store before the state machine holds it.
  void rest_values(Event& event) {
    if (auto* ended = std::get_if<CallEnded>(&event.body)) {
      if (auto* returned = std::get_if<CallReturned>(&ended->outcome)) {
        returned->output = values.keep(std::move(returned->output));
      }
    } else if (auto* item = std::get_if<ItemEmitted>(&event.body)) {
      item->item = values.keep(std::move(item->item));
    }
  }

  void carry_out() {
    std::vector<RunEffect> effects;
    effects.swap(sink.effects);
    for (RunEffect& effect : effects) {
      std::visit(Overloaded{
                     [&](StartCall& body) { host.perform(body); },
                     [&](CancelCall& body) { host.cancel(body.call); },
                     [&](ResumeCall& body) { host.resume(body.call); },
                     [&](AdmitPlan& body) { host.admit(body); },
                     [&](SetTimer& body) { host.set_timer(body.timer, body.delay_ns); },
                     [&](ClearTimer& body) { host.clear_timer(body.timer); },
                     [&](EndRun& body) { on_end(std::move(body.outcome)); },
                 },
                 effect.body);
    }
  }

  Host& host;
  ValueStore& values;
  RunState state;
  Binder binder;
  std::function<void(RunOutcome)> on_end;
  EffectSink sink;
  std::vector<BindRequest> binds;
  std::vector<Bound> bounds;
};

RunLoop::RunLoop(PhysicalPlanPtr plan, Host& host, ValueStore& values, TraceSink* trace,
                 std::function<void(RunOutcome)> on_end)
    : impl_(std::make_unique<Impl>(std::move(plan), host, values, trace, std::move(on_end))) {}
RunLoop::~RunLoop() = default;

void RunLoop::start(const RunOptions& options) {
  deliver({0, RunStarted{options.run_id, options.run_id, options.params, options.seed}});
}
void RunLoop::deliver(Event event) { impl_->take(std::move(event)); }
void RunLoop::interrupt() { deliver({0, Interrupted{}}); }
void RunLoop::cancel(std::string reason) { deliver({0, CancelRequested{std::move(reason)}}); }

}  // namespace sluice
