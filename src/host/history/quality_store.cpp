#include "host/history/quality_store.h"

#include <fmt/format.h>

#include <string_view>
#include <system_error>
#include <utility>

#include "data/json.h"
#include "host/history/cache_database.h"
#include "plan/lower.h"
#include "plan/tool_catalog.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr int kBusyTimeoutMs = 500;

// Weights by their place, their size and their time: nobody wants to read gigabytes for this.
void add_weights(const fs::path& file, Hasher& hasher) {
  std::error_code none;
  const fs::path whole = fs::absolute(file, none).lexically_normal();
  hasher.field(whole.string()).field(fs::file_size(whole, none));
  const auto time = fs::last_write_time(whole, none).time_since_epoch().count();
  hasher.field(static_cast<std::uint64_t>(time));
}

// Which weights or server stand behind each name.
void add_models(const Plan& plan, const ModelPreferences& models, const fs::path& work_dir,
                Hasher& hasher) {
  for (const NamedSettings& named : plan.models) {
    if (named.inherited || (named.id == "default" && !models.location.empty())) continue;
    hasher.field(named.id).field(named.kind).field(canonical_json(named.settings));
    const Value* file = named.settings.find("file");
    if (file != nullptr && file->is_string()) add_weights(work_dir / file->as_string(), hasher);
  }
  for (const auto& [id, inner] : plan.plans) {
    if (inner) add_models(*inner, models, work_dir, hasher);
  }
}

std::string models_of(const Plan& plan, const ModelPreferences& models, const fs::path& work_dir) {
  Hasher hasher;
  hasher.field(work_dir.lexically_normal().string());  // what tools of the plan answer hangs on it
  add_models(plan, models, work_dir, hasher);
  const auto chosen = choose_default_model(models);
  if (chosen && chosen->embedded) {
    add_weights(chosen->file, hasher);
  } else if (chosen) {
    hasher.field(chosen->url).field(chosen->name);
  }
  return hasher.finish().hex();
}

}  // namespace

Hash256 QualityKey::hash() const {
  Hasher hasher;
  hasher.field(plan).field(models).field(rows);
  for (const std::string& pass : passes) hasher.field(pass);
  return hasher.finish();
}

std::optional<QualityKey> quality_key(const PlanPtr& plan, const OptimizerSettings& settings,
                                      const ModelPreferences& models, const fs::path& work_dir) {
  QualityKey key;
  key.passes = approximate_passes(*plan, settings);
  if (key.passes.empty()) return std::nullopt;
  const auto tools = catalog_of(*plan);
  const auto lowered = lower_plan(plan, *tools);
  if (!lowered) return std::nullopt;
  key.plan = (*lowered)->plan_hash;
  key.models = models_of(*plan, models, work_dir);
  return key;
}

struct QualityStore::Impl {
  CacheDatabase database;
  const Clock& clock;

  Impl(std::filesystem::path file, const Clock& time)
      : database(std::move(file), "what was measured of passes is not kept"), clock(time) {}

  // `make`: also where there is no file yet.
  bool open(bool make) {
    if (database.is_open() || database.given_up()) return database.is_open();
    if (!make && !database.exists()) return false;
    if (!database.open(kBusyTimeoutMs)) return false;
    const bool made = database.run(
        "create table if not exists quality(key blob primary key, measured_ns integer not null, "
        "measured text not null) without rowid");
    return made || database.give_up();
  }

  CacheStatement prepare(std::string_view sql) {
    CacheStatement statement = database.prepare(sql);
    if (!statement) database.give_up();
    return statement;
  }
};

QualityStore::QualityStore(const std::filesystem::path& cache_dir, const Clock& clock)
    : impl_(std::make_unique<Impl>(cache_dir / "statistics.sqlite", clock)) {}
QualityStore::~QualityStore() = default;
std::string QualityStore::problem() const { return impl_->database.problem; }

std::optional<MeasuredQuality> QualityStore::find(const QualityKey& key) {
  if (!impl_->open(false)) return std::nullopt;
  CacheStatement select =
      impl_->prepare("select measured from quality where key = ? and measured_ns >= ?");
  if (!select) return std::nullopt;
  bind_hash(select.get(), 1, key.hash());
  sqlite3_bind_int64(select.get(), 2, impl_->clock.wall_ns() - kGoodForNs);
  if (sqlite3_step(select.get()) != SQLITE_ROW) return std::nullopt;
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(select.get(), 0));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(select.get(), 0));
  const auto json = parse_json({text, text == nullptr ? 0 : size});
  return json ? decode_quality(*json) : std::nullopt;
}

void QualityStore::put(const QualityKey& key, const MeasuredQuality& measured) {
  if (!impl_->open(true)) return;
  CacheStatement insert = impl_->prepare("insert or replace into quality values (?, ?, ?)");
  if (!insert) return;
  MeasuredQuality kept_part = measured;
  kept_part.agreement.first.clear();  // results of rows are nobody's business for a month
  const std::string text = to_json(encode_quality(kept_part));
  QualityKey of_plan = key;
  of_plan.rows.clear();
  bool written = true;
  for (const Hash256& hash : {key.hash(), of_plan.hash()}) {
    bind_hash(insert.get(), 1, hash);
    sqlite3_bind_int64(insert.get(), 2, measured.measured_ns);
    sqlite3_bind_text64(insert.get(), 3, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
    written = written && sqlite3_step(insert.get()) == SQLITE_DONE;
    sqlite3_reset(insert.get());
  }
  insert.reset();
  const bool kept = written && impl_->database.run(fmt::format(
                                   "delete from quality where measured_ns < (select measured_ns "
                                   "from quality order by measured_ns desc limit 1 offset {})",
                                   kMostKept - 1));
  if (!kept) {
    impl_->database.problem = fmt::format("what was measured of passes is not kept: {}: {}",
                                          impl_->database.file().string(), impl_->database.error());
  }
}

}  // namespace sluice
