#include "runtime/run_loop.h"

#include <deque>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "runtime/binder.h"

namespace sluice {

namespace {
constexpr int kBindRounds = 2000;

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
}  // namespace

struct RunLoop::Impl : std::enable_shared_from_this<RunLoop::Impl> {
  Impl(PhysicalPlanPtr plan, Host& host_in, ValueStore& values_in, TraceSink* trace,
       std::function<void(RunOutcome)> end)
      : host(host_in),
        values(values_in),
        state(std::move(plan), trace),
        binder(values_in),
        on_end(std::move(end)) {}

  void take(Event event) {
    if (state.ended()) return;
    if (event.at == 0) event.at = host.now();
    rest_values(event);
    if (binding) {
      waiting.push_back(std::move(event));
      return;
    }
    apply(event);
  }

  void apply(const Event& event) {
    at = event.at;
    state.apply(std::span<const Event>(&event, 1), sink);
    bind_all();
  }

  // Binds enter before the next outside event. A loop of values alone could go on for hours: every
  // so often the host gets its turn, and whoever stops the run is heard.
  void bind_all() {
    for (int round = 0; !sink.binds.empty(); ++round) {
      if (round == kBindRounds) {
        binding = true;
        return host.post([weak = weak_from_this()] {
          if (auto self = weak.lock()) self->go_on();
        });
      }
      binds.clear();
      binds.swap(sink.binds);
      bounds.clear();
      binder.bind(state, binds, bounds);
      state.apply_bound(at, bounds, sink);
    }
    carry_out();
  }

  void go_on() {
    binding = false;
    for (auto event = waiting.begin(); event != waiting.end(); ++event) {
      bool stops = std::holds_alternative<Interrupted>(event->body) ||
                   std::holds_alternative<CancelRequested>(event->body);
      if (!stops) continue;
      Event stop = std::move(*event);
      waiting.erase(event);
      apply(stop);
      return drain();
    }
    bind_all();
    drain();
  }

  void drain() {
    while (!binding && !waiting.empty() && !state.ended()) {
      Event next = std::move(waiting.front());
      waiting.pop_front();
      apply(next);
    }
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
  std::deque<Event> waiting;  // while binds go on
  SteadyNs at = 0;
  bool binding = false;
};

RunLoop::RunLoop(PhysicalPlanPtr plan, Host& host, ValueStore& values, TraceSink* trace,
                 std::function<void(RunOutcome)> on_end)
    : impl_(std::make_shared<Impl>(std::move(plan), host, values, trace, std::move(on_end))) {}
RunLoop::~RunLoop() = default;

void RunLoop::start(const RunOptions& options) {
  deliver({0, RunStarted{options.run_id, options.run_id, options.params, options.seed}});
}
void RunLoop::deliver(Event event) { impl_->take(std::move(event)); }
void RunLoop::interrupt() { deliver({0, Interrupted{}}); }
void RunLoop::cancel(std::string reason) { deliver({0, CancelRequested{std::move(reason)}}); }

}  // namespace sluice
