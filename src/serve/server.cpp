#include "serve/server.h"

#include <fmt/format.h>

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <utility>

#include "serve/api_routes.h"

namespace sluice {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr auto kLook = std::chrono::milliseconds(50);  // whether all has ended, while draining
constexpr auto kSecond = std::chrono::seconds(1);
constexpr auto kLastWords = std::chrono::seconds(3);  // for answers about what was cut off

}  // namespace

struct ApiServer::Impl {
  Impl(const ServeOptions& given, const Clock& the_clock, ServedModels models, ApiKeys keys)
      : options(given),
        clock(the_clock),
        context(io, clock, std::move(models), std::move(keys),
                given.queue + given.engine.max_running),
        http(std::make_unique<HttpServer>(io, given.http, clock, api_handler(context))),
        signals(io),
        look(io),
        seconds(io) {
    http->set_body_limit(api_body_limit(context));
    context.http_numbers = [this] { return http->numbers(); };
  }

  // Models call back from their threads until they are closed.
  ~Impl() {
    http->close_all();
    close_models(context);
    io.restart();
    io.poll();
  }

  ServeOptions options;
  const Clock& clock;
  asio::io_context io{1};
  ApiContext context;
  std::unique_ptr<HttpServer> http;
  asio::signal_set signals;
  asio::steady_timer look;
  asio::steady_timer seconds;
  ServeObserver observer;
  SteadyNs cut_at_ns = 0;
  bool cut_off = false;

  void notice(std::string_view line) const {
    if (observer.on_notice) observer.on_notice(line);
  }

  void wait_for_signal() {
    signals.async_wait([this](const error_code& error, int) {
      if (error) return;
      if (!context.draining) {
        begin_drain();
        wait_for_signal();
      } else {
        cut("a second signal");
      }
    });
  }

  void begin_drain() {
    context.draining = true;
    http->drain();
    cut_at_ns = clock.steady_ns() + options.drain_ms * kNsPerMs;
    const std::size_t busy = http->numbers().busy;
    if (busy > 0) {
      notice(
          fmt::format("going down: {} requests are being finished, for at most {} s; a second "
                      "signal cuts them off",
                      busy, options.drain_ms / 1000));
    }
    look_for_end();
  }

  void cut(std::string_view why) {
    if (std::exchange(cut_off, true)) return;
    (void)signals.clear(ignored);  // a third one ends the process as usual
    notice(fmt::format("cut off by {}: {} calls", why, context.open_calls.size()));
    cut_at_ns = clock.steady_ns() + std::chrono::nanoseconds(kLastWords).count();
    end_all_calls(context);
  }

  void look_for_end() {
    if (http->numbers().busy == 0 || (cut_off && clock.steady_ns() >= cut_at_ns)) {
      io.stop();
      return;
    }
    if (clock.steady_ns() >= cut_at_ns) cut("the time for it");
    look.expires_after(kLook);
    look.async_wait([this](const error_code& error) {
      if (!error) look_for_end();
    });
  }

  ServeNumbers numbers() const {
    ServeNumbers out{.connections = http->numbers().connections, .draining = context.draining};
    for (const ServedModel& model : context.models.all()) {
      auto stats = engine_stats(*model.instance);
      if (!stats) continue;
      out.running += stats->running;
      out.waiting += stats->waiting;
      out.decode_tokens += stats->decode_tokens + stats->forced_tokens;
      out.prefill_tokens += stats->prefill_tokens;
    }
    return out;
  }

  void each_second() {
    seconds.expires_after(kSecond);
    seconds.async_wait([this](const error_code& error) {
      if (error) return;
      observer.on_second(numbers());
      each_second();
    });
  }

  error_code ignored;
};

ApiServer::ApiServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ApiServer::~ApiServer() = default;

Result<std::unique_ptr<ApiServer>> ApiServer::open(const ServeOptions& options,
                                                   const Clock& clock) {
  ServeOptions chosen = options;
  chosen.http.connections = std::min(chosen.http.connections, raise_open_files());
  ApiKeys keys;
  if (!options.keys_file.empty()) {
    auto read = ApiKeys::read(options.keys_file);
    if (!read) return std::unexpected(read.error());
    keys = std::move(*read);
  }
  for (const auto& [tenant, weight] : keys.tenant_weights()) {
    chosen.engine.policies.tenant_weights[tenant] = weight;
  }
  const bool loopback_only = keys.empty() && !options.no_auth;
  auto models = ServedModels::open(options.models, chosen.engine, clock.wall_ns() / kNsPerSecond);
  if (!models) return std::unexpected(models.error());
  auto impl = std::make_unique<Impl>(chosen, clock, std::move(*models), std::move(keys));
  auto listening = impl->http->listen(options.host, options.port, loopback_only);
  if (!listening) return std::unexpected(listening.error());
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(impl)));
}

std::string ApiServer::address() const { return impl_->http->address(); }
const ServedModels& ApiServer::models() const { return impl_->context.models; }

ServeEnd ApiServer::run(ServeObserver observer) {
  impl_->observer = std::move(observer);
  impl_->context.on_request = impl_->observer.on_request;
  (void)impl_->signals.add(SIGINT, impl_->ignored);
  (void)impl_->signals.add(SIGTERM, impl_->ignored);
  impl_->wait_for_signal();
  if (impl_->observer.on_second) impl_->each_second();
  impl_->io.run();
  return impl_->cut_off ? ServeEnd::kCutOff : ServeEnd::kDrained;
}

}  // namespace sluice
