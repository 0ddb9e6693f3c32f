#include "serve/info_routes.h"

#include "data/json.h"
#include "prometheus/text_serializer.h"

namespace sluice {

namespace asio = boost::asio;

namespace {

std::string json_text(const Value& value) {
  return to_json(value, {.indent = 0, .redact_secrets = false});
}

Value model_value(const ServedModel& model) {
  const ModelInfo& info = model.instance->info();
  return Value::object(
      {{"id", Value::string(model.id)},
       {"object", Value::string("model")},
       {"created", Value::integer(model.created_s)},
       {"owned_by", Value::string("sluice")},
       {"sluice", Value::object({{"description", Value::string(info.description)},
                                 {"context_tokens", Value::integer(info.context_tokens)},
                                 {"chat", Value::boolean(info.has_chat_template)},
                                 {"embedded", Value::boolean(info.embedded)}})}});
}

void add_connections(const HttpNumbers& http, MetricFamilies& into) {
  using prometheus::MetricType;
  auto add = [&](const char* name, MetricType type, const char* help, std::uint64_t count) {
    prometheus::MetricFamily family{name, help, type, {}};
    (type == MetricType::Gauge ? &add_gauge : &add_counter)(family, {}, static_cast<double>(count));
    into.push_back(std::move(family));
  };
  add("sluice_http_connections", MetricType::Gauge, "Open connections.", http.connections);
  add("sluice_http_idle_connections", MetricType::Gauge, "Of them: between requests.", http.idle);
  add("sluice_http_accepted_connections_total", MetricType::Counter, "Connections accepted.",
      http.accepted);
  add("sluice_http_evicted_connections_total", MetricType::Counter,
      "Idle connections closed to make room.", http.evicted);
}

}  // namespace

asio::awaitable<void> serve_models(RouteCall& call) {
  std::vector<Value> models;
  for (const ServedModel& model : call.context.models.all()) models.push_back(model_value(model));
  co_await reply_json(call, 200,
                      json_text(Value::object({{"object", Value::string("list")},
                                               {"data", Value::array(std::move(models))}})));
}

asio::awaitable<void> serve_one_model(RouteCall& call, std::string_view id) {
  auto model = call.context.models.find(id);
  if (!model) co_return co_await reply_error(call, model.error());
  co_await reply_json(call, 200, json_text(model_value(**model)));
}

asio::awaitable<void> serve_health(RouteCall& call) {
  const bool draining = call.context.draining;
  co_await reply_json(call, draining ? 503 : 200,
                      draining ? R"({"status":"draining"})" : R"({"status":"ok"})");
}

asio::awaitable<void> serve_metrics_text(RouteCall& call) {
  ApiContext& context = call.context;
  MetricFamilies families;
  add_server_families(context.metrics, families);
  add_connections(context.http_numbers ? context.http_numbers() : HttpNumbers{}, families);
  std::map<std::string, EngineStats> engines;
  for (const ServedModel& model : context.models.all()) {
    if (auto stats = engine_stats(*model.instance)) engines.emplace(model.id, *stats);
  }
  add_engine_families(engines, families);
  call.line.status = 200;
  co_await call.exchange.reply({.content_type = "text/plain; version=0.0.4; charset=utf-8",
                                .body = prometheus::TextSerializer().Serialize(families)});
}

}  // namespace sluice
