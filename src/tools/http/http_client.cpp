#include "tools/http/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <mutex>
#include <unordered_map>

namespace sluice {
namespace {

constexpr long kConnectTimeoutMs = 10'000;
using OnEnd = std::function<void(std::expected<HttpResponse, HttpFailure>)>;

struct Transfer {
  HttpTransferId id = 0;
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  HttpRequest request;
  HttpResponse response;
  OnEnd on_end;
  bool too_large = false;
  char error_text[CURL_ERROR_SIZE] = "";

  Transfer() : easy(curl_easy_init()) {}
  ~Transfer() {
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
};

// One of libcurl's sockets. The descriptor is borrowed: released, never closed.
struct Watch {
  Watch(const boost::asio::any_io_executor& io, curl_socket_t socket) : descriptor(io, socket) {}
  ~Watch() { descriptor.release(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  boost::asio::posix::stream_descriptor descriptor;
  int wanted = 0;
  bool reading = false;
  bool writing = false;
};

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  std::uint64_t limit = transfer.request.max_bytes;
  if (limit > 0 && transfer.response.body.size() + size * count > limit) {
    transfer.too_large = true;
    return 0;
  }
  transfer.response.body.append(data, size * count);
  return size * count;
}

std::string header_of(CURL* easy, const char* name) {
  curl_header* header = nullptr;
  if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return "";
  return header->value;
}

void set_up(Transfer& transfer) {
  CURL* easy = transfer.easy;
  const HttpRequest& request = transfer.request;
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer.error_text);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  if (request.fresh_connection) curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
  if (request.method == "HEAD") curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  bool wants_body =
      request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (request.body || wants_body) {
    const std::string empty;
    const std::string& body = request.body ? *request.body : empty;
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body.c_str());
  }
  if (request.method != "HEAD") {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  // An empty value stops libcurl from adding a header of its own.
  transfer.headers = curl_slist_append(transfer.headers, "Expect:");
  if (!request.body) {
    transfer.headers = curl_slist_append(transfer.headers, "Content-Type:");
  }
  for (const auto& [name, value] : request.headers) {
    std::string line =
        value.empty() ? fmt::format("{};", name) : fmt::format("{}: {}", name, value);
    transfer.headers = curl_slist_append(transfer.headers, line.c_str());
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer.headers);
}

HttpFailure failure_of(const Transfer& transfer, CURLcode code) {
  std::string where = transfer.request.method + " " + display_url(transfer.request.url);
  long sent_bytes = 0;
  curl_easy_getinfo(transfer.easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
  bool sent = sent_bytes > 0;
  if (transfer.too_large) {
    return {
        Error(ErrorCode::kToolTooLarge,
              fmt::format("{} answered with more than {} bytes; raise max_bytes or ask for less",
                          where, transfer.request.max_bytes)),
        sent};
  }
  std::string reason =
      transfer.error_text[0] != '\0' ? transfer.error_text : curl_easy_strerror(code);
  std::string advice;
  if (code == CURLE_COULDNT_RESOLVE_HOST) advice = "; check the host name and the network";
  if (code == CURLE_COULDNT_CONNECT) advice = "; is the server running, and is the port right?";
  if (code == CURLE_PEER_FAILED_VERIFICATION) {
    advice = "; its certificate is not trusted on this machine";
  }
  return {Error(ErrorCode::kHttpUnreachable, fmt::format("{}: {}{}", where, reason, advice)), sent};
}

}  // namespace

struct HttpClient::Impl : std::enable_shared_from_this<HttpClient::Impl> {
  boost::asio::any_io_executor io;
  CURLM* multi = nullptr;
  boost::asio::steady_timer timer;
  std::unordered_map<curl_socket_t, std::shared_ptr<Watch>> watches;
  std::unordered_map<HttpTransferId, std::unique_ptr<Transfer>> transfers;
  HttpTransferId next_id = 1;
  bool closed = false;

  explicit Impl(boost::asio::any_io_executor executor) : io(std::move(executor)), timer(io) {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &Impl::on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &Impl::on_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
  }

  void close() {
    closed = true;
    timer.cancel();
    for (auto& [id, transfer] : transfers) curl_multi_remove_handle(multi, transfer->easy);
    transfers.clear();
    curl_multi_cleanup(multi);
    multi = nullptr;
    watches.clear();
  }

  static int on_socket(CURL*, curl_socket_t socket, int what, void* user, void*) {
    auto& self = *static_cast<Impl*>(user);
    if (what == CURL_POLL_REMOVE) {
      self.watches.erase(socket);
      return 0;
    }
    auto& watch = self.watches[socket];
    if (!watch) watch = std::make_shared<Watch>(self.io, socket);
    watch->wanted = what;
    if (!self.closed) self.arm(socket, watch);
    return 0;
  }

  static int on_timer(CURLM*, long timeout_ms, void* user) {
    auto& self = *static_cast<Impl*>(user);
    self.timer.cancel();
    if (timeout_ms < 0 || self.closed) return 0;
    self.timer.expires_after(std::chrono::milliseconds(timeout_ms));
    self.timer.async_wait([weak = self.weak_from_this()](boost::system::error_code failed) {
      auto impl = weak.lock();
      if (impl && !failed && !impl->closed) impl->act(CURL_SOCKET_TIMEOUT, 0);
    });
    return 0;
  }

  void arm(curl_socket_t socket, const std::shared_ptr<Watch>& watch) {
    if ((watch->wanted & CURL_POLL_IN) != 0 && !watch->reading) {
      watch->reading = true;
      wait(socket, watch, boost::asio::posix::stream_descriptor::wait_read, CURL_CSELECT_IN);
    }
    if ((watch->wanted & CURL_POLL_OUT) != 0 && !watch->writing) {
      watch->writing = true;
      wait(socket, watch, boost::asio::posix::stream_descriptor::wait_write, CURL_CSELECT_OUT);
    }
  }

  void wait(curl_socket_t socket, const std::shared_ptr<Watch>& watch,
            boost::asio::posix::stream_descriptor::wait_type direction, int event) {
    watch->descriptor.async_wait(
        direction, [weak = weak_from_this(), weak_watch = std::weak_ptr<Watch>(watch), socket,
                    event](boost::system::error_code failed) {
          auto impl = weak.lock();
          auto current = weak_watch.lock();
          if (!impl || impl->closed || !current) return;
          (event == CURL_CSELECT_IN ? current->reading : current->writing) = false;
          if (failed == boost::asio::error::operation_aborted) return;
          int wanted = event == CURL_CSELECT_IN ? CURL_POLL_IN : CURL_POLL_OUT;
          if ((current->wanted & wanted) != 0) impl->act(socket, failed ? CURL_CSELECT_ERR : event);
          auto found = impl->watches.find(socket);
          if (!impl->closed && found != impl->watches.end() && found->second == current) {
            impl->arm(socket, current);
          }
        });
  }

  void act(curl_socket_t socket, int event) {
    int running = 0;
    curl_multi_socket_action(multi, socket, event, &running);
    int left = 0;
    while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      CURLcode code = message->data.result;
      Transfer* done = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &done);
      conclude(done->id, code);
      if (closed) return;
    }
  }

  void conclude(HttpTransferId id, CURLcode code) {
    auto node = transfers.extract(id);
    auto& transfer = *node.mapped();
    std::expected<HttpResponse, HttpFailure> result;
    if (code == CURLE_OK) {
      auto& response = transfer.response;
      curl_easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &response.status);
      response.content_type = header_of(transfer.easy, "Content-Type");
      response.location = header_of(transfer.easy, "Location");
      response.retry_after = header_of(transfer.easy, "Retry-After");
      result = std::move(response);
    } else {
      result = std::unexpected(failure_of(transfer, code));
    }
    curl_multi_remove_handle(multi, transfer.easy);
    auto on_end = std::move(transfer.on_end);
    on_end(std::move(result));
  }
};

HttpClient::HttpClient(boost::asio::any_io_executor io)
    : impl_(std::make_shared<Impl>(std::move(io))) {}

HttpClient::~HttpClient() { impl_->close(); }

HttpTransferId HttpClient::start(HttpRequest request, OnEnd on_end) {
  auto transfer = std::make_unique<Transfer>();
  transfer->id = impl_->next_id++;
  transfer->request = std::move(request);
  transfer->on_end = std::move(on_end);
  set_up(*transfer);
  HttpTransferId id = transfer->id;
  CURL* easy = transfer->easy;
  impl_->transfers.emplace(id, std::move(transfer));
  curl_multi_add_handle(impl_->multi, easy);  // work begins through the timer callback
  return id;
}

void HttpClient::stop(HttpTransferId id) {
  auto node = impl_->transfers.extract(id);
  if (!node.empty()) curl_multi_remove_handle(impl_->multi, node.mapped()->easy);
}

std::string display_url(const std::string& url) {
  std::string text = url.substr(0, url.find_first_of("?#"));
  std::size_t scheme = text.find("://");
  if (scheme == std::string::npos) return text;
  std::size_t slash = text.find('/', scheme + 3);
  std::size_t at = text.rfind('@', slash);
  if (at != std::string::npos && at > scheme) text.erase(scheme + 3, at + 1 - (scheme + 3));
  return text;
}

}  // namespace sluice
