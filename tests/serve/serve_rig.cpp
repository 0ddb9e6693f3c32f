#include "tests/serve/serve_rig.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <charconv>
#include <chrono>
#include <future>

#include "serve/api_routes.h"

namespace sluice::test {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);
constexpr int kPatienceMs = 20'000;

}  // namespace

HeldModel::HeldModel() {
  info_.id = "m";
  info_.description = "a model of the tests";
  info_.context_tokens = 2048;
  info_.has_chat_template = true;
}

HeldModel::~HeldModel() {
  for (RequestId id : open_ids()) cancel(id);
}

RequestId HeldModel::submit(ModelRequest request, ModelCallbacks callbacks) {
  std::lock_guard lock(mutex_);
  const RequestId id = next_++;
  open_.emplace(id, Open{std::move(request), std::move(callbacks)});
  changed_.notify_all();
  return id;
}

void HeldModel::cancel(RequestId id) {
  {
    std::lock_guard lock(mutex_);
    if (!open_.contains(id)) return;
    ++cancelled_;
  }
  end(id, fail(ErrorCode::kCancelled, "the request was cancelled"));
}

void HeldModel::release(std::string_view program) {
  std::lock_guard lock(mutex_);
  released_.emplace_back(program);
}

Result<std::vector<std::vector<float>>> HeldModel::embed(const std::vector<std::string>& texts) {
  while (embeddings_wait) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::vector<std::vector<float>> out;
  for (const std::string& text : texts) out.push_back({static_cast<float>(text.size()), 1});
  return out;
}

bool HeldModel::wait_open(std::size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return open_.size() == count; });
}

std::vector<RequestId> HeldModel::open_ids() {
  std::lock_guard lock(mutex_);
  std::vector<RequestId> ids;
  for (const auto& [id, open] : open_) ids.push_back(id);
  return ids;
}

ModelRequest HeldModel::request(RequestId id) {
  std::lock_guard lock(mutex_);
  return open_.at(id).request;
}

void HeldModel::say(RequestId id, const std::string& text) {
  std::function<void(std::string_view)> on_text;
  {
    std::lock_guard lock(mutex_);
    auto found = open_.find(id);
    if (found == open_.end()) return;
    on_text = found->second.callbacks.on_text;
  }
  on_text(text);
}

void HeldModel::end(RequestId id, Result<ModelReply> reply) {
  ModelCallbacks callbacks;
  {
    std::lock_guard lock(mutex_);
    auto found = open_.find(id);
    if (found == open_.end()) return;
    callbacks = std::move(found->second.callbacks);
    open_.erase(found);
    changed_.notify_all();
  }
  callbacks.on_end(std::move(reply));
}

std::size_t HeldModel::cancelled() {
  std::lock_guard lock(mutex_);
  return cancelled_;
}

std::vector<std::string> HeldModel::released() {
  std::lock_guard lock(mutex_);
  return released_;
}

ServeRig::ServeRig(RigOptions options) {
  auto model = std::make_unique<HeldModel>();
  model_ = model.get();
  std::vector<ServedModel> models;
  models.push_back({.id = "m", .instance = std::move(model), .fingerprint = "fp"});
  context_ = std::make_unique<ApiContext>(io_, system_clock(), ServedModels(std::move(models)),
                                          std::move(options.keys), options.most_open);
  context_->most_waiting_bytes = std::size_t{8} << 20;
  http_ = std::make_unique<HttpServer>(io_, options.limits, system_clock(),
                                       options.handler ? options.handler : api_handler(*context_));
  if (!options.handler) http_->set_body_limit(api_body_limit(*context_));
  context_->http_numbers = [this] { return http_->numbers(); };
  auto listening = http_->listen("127.0.0.1", 0, true);
  EXPECT_TRUE(listening);
  const std::string address = http_->address();
  std::from_chars(address.data() + address.rfind(':') + 1, address.data() + address.size(), port_);
  thread_ = std::thread([this] {
    auto work = boost::asio::make_work_guard(io_);
    io_.run();
  });
}

ServeRig::~ServeRig() {
  model_->embeddings_wait = false;
  on_server([](ApiContext&, HttpServer& http) { http.close_all(); });
  boost::asio::post(io_, [this] { io_.stop(); });
  thread_.join();
  close_models(*context_);
  io_.restart();
  io_.poll();
}

void ServeRig::on_server(const std::function<void(ApiContext&, HttpServer&)>& work) {
  std::promise<void> done;
  boost::asio::post(io_, [&] {
    work(*context_, *http_);
    done.set_value();
  });
  done.get_future().wait();
}

HttpNumbers ServeRig::numbers() {
  HttpNumbers out;
  on_server([&](ApiContext&, HttpServer& http) { out = http.numbers(); });
  return out;
}

bool ServeRig::becomes(const std::function<bool(ApiContext&, HttpServer&)>& holds) {
  for (int i = 0; i < kPatienceMs / 10; ++i) {
    bool now = false;
    on_server([&](ApiContext& context, HttpServer& http) { now = holds(context, http); });
    if (now) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

PlainClient::PlainClient(std::uint16_t port, int receive_buffer) {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_buffer > 0) {
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
}

PlainClient::~PlainClient() { close(); }

void PlainClient::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void PlainClient::reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

bool PlainClient::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

void PlainClient::post(const std::string& path, std::string_view body,
                       const std::string& headers) const {
  send(fmt::format("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{}\r\n{}", path,
                   body.size(), headers, body));
}

bool PlainClient::read_more() {
  pollfd look{.fd = socket_, .events = POLLIN, .revents = 0};
  if (::poll(&look, 1, kPatienceMs) <= 0) return false;
  char bytes[16384];
  const ssize_t count = ::recv(socket_, bytes, sizeof bytes, 0);
  if (count <= 0) return false;
  buffer_.append(bytes, static_cast<std::size_t>(count));
  return true;
}

std::string PlainClient::read_until(std::string_view text) {
  while (buffer_.find(text) == std::string::npos && read_more()) {
  }
  return buffer_;
}

ClientReply PlainClient::reply() {
  ClientReply out;
  read_until("\r\n\r\n");
  const auto head_end = buffer_.find("\r\n\r\n");
  if (head_end == std::string::npos) return out;
  out.head = buffer_.substr(0, head_end);
  buffer_.erase(0, head_end + 4);
  std::from_chars(out.head.data() + 9, out.head.data() + 12, out.status);
  if (const auto at = out.head.find("Content-Length: "); at != std::string::npos) {
    std::size_t length = 0;
    std::from_chars(out.head.data() + at + 16, out.head.data() + out.head.size(), length);
    while (buffer_.size() < length && read_more()) {
    }
    out.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
    return out;
  }
  while (true) {  // chunks
    while (buffer_.find("\r\n") == std::string::npos && read_more()) {
    }
    std::size_t length = 0;
    const auto line = buffer_.find("\r\n");
    if (line == std::string::npos) return out;
    std::from_chars(buffer_.data(), buffer_.data() + line, length, 16);
    while (buffer_.size() < line + length + 4 && read_more()) {
    }
    out.body += buffer_.substr(line + 2, length);
    buffer_.erase(0, line + length + 4);
    if (length == 0) return out;
  }
}

bool PlainClient::closed() {
  while (read_more()) {
  }
  char byte = 0;
  return ::recv(socket_, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
}

std::string chat_body(const std::string& more) {
  return R"({"model":"m","messages":[{"role":"user","content":"hi"}])" +
         (more.empty() ? "" : "," + more) + "}";
}

}  // namespace sluice::test
