#include "serve/http_server.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <vector>

#include "base/ids.h"
#include "base/log.h"
#include "serve/http_connection.h"

namespace sluice {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kAwaited = asio::as_tuple(asio::use_awaitable);
constexpr auto kSweep = std::chrono::seconds(1);
constexpr auto kNoRoom = std::chrono::milliseconds(50);  // before we try to accept again
constexpr std::size_t kOtherFiles = 128;                 // that are no connections
constexpr int kBacklog = 4096;

}  // namespace

struct HttpServer::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& context, HttpLimits limits, const Clock& clock, HttpHandler handler)
      : io(context), acceptor(context), sweeper(context), shared(std::make_shared<HttpShared>()) {
    shared->limits = limits;
    shared->clock = &clock;
    shared->handler = std::move(handler);
    Random random(system_seed());
    shared->request_prefix = make_run_id(clock.wall_ns(), random);
  }

  asio::io_context& io;
  tcp::acceptor acceptor;
  asio::steady_timer sweeper;
  std::shared_ptr<HttpShared> shared;
  std::uint64_t accepted = 0;
  std::uint64_t evicted = 0;

  bool evict_one() {
    if (shared->idle.empty()) return false;
    shared->idle.front()->close();
    ++evicted;
    return true;
  }

  static asio::awaitable<void> accept_loop(std::shared_ptr<Impl> self) {
    while (self->acceptor.is_open()) {
      HttpShared& shared = *self->shared;
      const bool full = shared.all.size() >= shared.limits.connections;
      if (!full || !shared.idle.empty()) {
        auto [error, socket] = co_await self->acceptor.async_accept(kAwaited);
        if (error == asio::error::operation_aborted) co_return;
        if (!error) {
          if (shared.all.size() >= shared.limits.connections) self->evict_one();
          ++self->accepted;
          auto connection = std::make_shared<HttpConnection>(std::move(socket), self->shared);
          asio::co_spawn(self->io, HttpConnection::run(std::move(connection)), asio::detached);
          continue;
        }
        self->evict_one();  // most likely too many open files
      }
      asio::steady_timer pause(self->io, kNoRoom);
      co_await pause.async_wait(kAwaited);
    }
  }

  static asio::awaitable<void> sweep_loop(std::shared_ptr<Impl> self) {
    while (!self->shared->draining) {
      self->sweeper.expires_after(kSweep);
      auto [error] = co_await self->sweeper.async_wait(kAwaited);
      if (error) co_return;
      const SteadyNs since =
          self->shared->clock->steady_ns() - self->shared->limits.idle_ms * kNsPerMs;
      while (!self->shared->idle.empty() && self->shared->idle.front()->idle_since_ns() < since) {
        self->shared->idle.front()->close();
      }
    }
  }
};

HttpServer::HttpServer(asio::io_context& io, HttpLimits limits, const Clock& clock,
                       HttpHandler handler)
    : impl_(std::make_shared<Impl>(io, limits, clock, std::move(handler))) {}

HttpServer::~HttpServer() { drain(); }

void HttpServer::set_body_limit(HttpBodyLimit limit) {
  impl_->shared->body_limit = std::move(limit);
}

Result<void> HttpServer::listen(const std::string& host, std::uint16_t port, bool loopback_only) {
  error_code error;
  tcp::resolver resolver(impl_->io);
  const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
  if (error || found.empty()) {
    return fail(ErrorCode::kUsage,
                fmt::format("there is no address {}: {}", host, error.message()));
  }
  const tcp::endpoint endpoint = found.begin()->endpoint();
  if (loopback_only && !endpoint.address().is_loopback()) {
    return fail(
        ErrorCode::kUsage,
        fmt::format("{} can be reached from other machines, and no keys are asked for; give "
                    "--keys FILE, or --no-auth if everybody may use it",
                    host));
  }
  impl_->acceptor.open(endpoint.protocol(), error);
  if (!error) impl_->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) impl_->acceptor.bind(endpoint, error);
  if (!error) impl_->acceptor.listen(kBacklog, error);
  if (error) {
    return fail(ErrorCode::kUsage, fmt::format("cannot listen on {}:{}: {}; another --port may be "
                                               "free, and --port 0 finds one",
                                               host, port, error.message()));
  }
  asio::co_spawn(impl_->io, Impl::accept_loop(impl_), asio::detached);
  asio::co_spawn(impl_->io, Impl::sweep_loop(impl_), asio::detached);
  return {};
}

std::string HttpServer::address() const {
  error_code ignored;
  const tcp::endpoint endpoint = impl_->acceptor.local_endpoint(ignored);
  const std::string host = endpoint.address().to_string();
  return fmt::format("{}:{}", endpoint.address().is_v6() ? "[" + host + "]" : host,
                     endpoint.port());
}

void HttpServer::drain() {
  impl_->shared->draining = true;
  error_code ignored;
  impl_->acceptor.close(ignored);
  impl_->sweeper.cancel();
  while (!impl_->shared->idle.empty()) impl_->shared->idle.front()->close();
}

void HttpServer::close_all() {
  drain();
  const std::vector<HttpConnection*> all(impl_->shared->all.begin(), impl_->shared->all.end());
  for (HttpConnection* connection : all) connection->close();
}

HttpNumbers HttpServer::numbers() const {
  return {.connections = impl_->shared->all.size(),
          .idle = impl_->shared->idle.size(),
          .busy = impl_->shared->busy,
          .accepted = impl_->accepted,
          .evicted = impl_->evicted};
}

std::size_t raise_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const auto files = static_cast<std::size_t>(limit.rlim_cur);
  return files > 2 * kOtherFiles ? files - kOtherFiles : files / 2;
}

}  // namespace sluice
