// What is said of a place where runs are recorded.
#include "host/files/journal_place.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(JournalPlace, IsShownWithoutItsPassword) {
  struct Row {
    const char* place;
    const char* shown;
  };
  for (const Row& row : {
           Row{"postgresql://u:hush@host:5432/runs", "postgresql://u:***@host:5432/runs"},
           Row{"postgresql://u:hu@sh:x@host/runs", "postgresql://u:***@host/runs"},
           Row{"postgres://u:hush@/runs?host=/run", "postgres://u:***@/runs?host=/run"},
           Row{"postgresql://host/runs?user=u&password=hush&sslmode=require",
               "postgresql://host/runs?user=u&password=***&sslmode=require"},
           Row{"postgresql://host/runs?password=hush", "postgresql://host/runs?password=***"},
           Row{"postgresql://u@host:5432/runs", "postgresql://u@host:5432/runs"},
           Row{"postgresql://host:5432/a@b", "postgresql://host:5432/a@b"},
           Row{"postgresql://", "postgresql://"},
           Row{"runs:a@b.db", "runs:a@b.db"},
       }) {
    EXPECT_EQ(shown_place(row.place), row.shown);
  }
}

TEST(JournalPlace, KeepsThePasswordOutOfErrors) {
  for (const char* place :
       {"postgresql://u:hush@127.0.0.1:9/runs", "postgresql://127.0.0.1:9/runs?password=hush"}) {
    auto journal = open_existing_journal(place);
    ASSERT_FALSE(journal);
    for (const Error* error = &journal.error(); error != nullptr; error = error->cause()) {
      EXPECT_EQ(error->message().find("hush"), std::string::npos) << error->message();
    }
  }
}

}  // namespace
}  // namespace sluice
