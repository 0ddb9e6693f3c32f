// Which store a name means. A further store is one more row here.
#include <string_view>

#include "journal/group_commit.h"

namespace sluice {

Result<std::unique_ptr<Journal>> open_journal(const std::string& where) {
  if (where.empty()) {
    return fail(ErrorCode::kUsage,
                "a journal needs a place: a file, postgresql://USER@HOST/DATABASE or memory:");
  }
  if (where == "memory:") return make_memory_journal();
  const bool postgres = where.starts_with("postgresql://") || where.starts_with("postgres://");
  auto store = postgres ? open_postgres_store(where) : open_sqlite_store({.path = where});
  if (!store) return std::unexpected(store.error());
  return std::make_unique<GroupCommitJournal>(std::move(*store));
}

}  // namespace sluice
