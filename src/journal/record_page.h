// Reading a run in pieces: each is copied out before its visitor sees it, so that a slow visitor
// holds no lock and no transaction of the store. Any thread.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "base/error.h"
#include "journal/journal.h"

namespace sluice {

// One stretch of a run, as it was at one moment.
struct RecordPage {
  struct Stored {
    JournalSeq seq;
    JournalRecord record;
  };
  std::vector<Stored> records;
  std::optional<Error> error;  // behind the records
  bool end = false;
};

// `read_page` gives the stretch from a number on.
template <class ReadPage>
Result<void> visit_pages(JournalSeq first, const Journal::Visit& visit, ReadPage&& read_page) {
  JournalSeq next = std::max<JournalSeq>(first, 1);
  for (;;) {
    Result<RecordPage> page = read_page(next);
    if (!page) return std::unexpected(page.error());
    for (const auto& one : page->records) {
      if (!visit(one.seq, one.record)) return {};
    }
    if (page->error) return std::unexpected(*page->error);
    if (page->end) return {};
    next = page->records.back().seq + 1;
  }
}

}  // namespace sluice
