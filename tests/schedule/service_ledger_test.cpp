#include "schedule/service_ledger.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

double service_of(const std::vector<ServiceView>& views, const std::string& name) {
  for (const ServiceView& view : views) {
    if (view.name == name) return view.service;
  }
  return -1;
}

TEST(ServiceLedgerTest, ServiceIsDividedByWeight) {
  ServiceLedger ledger({{"big", 4}});
  ledger.arrive("big", "p", 0);
  ledger.arrive("small", "q", 0);
  ledger.charge("big", "p", 8);
  ledger.charge("small", "q", 8);
  EXPECT_EQ(service_of(ledger.tenants(), "big"), 2);
  EXPECT_EQ(service_of(ledger.tenants(), "small"), 8);
  EXPECT_EQ(service_of(ledger.programs(), "p"), 8);
}

TEST(ServiceLedgerTest, WhoComesBackSavesUpNothing) {
  ServiceLedger ledger;
  ledger.arrive("idle", "", 0);
  ledger.leave("idle", "", 1);
  ledger.arrive("busy", "", 1);
  ledger.charge("busy", "", 100);
  ledger.arrive("idle", "", 2);
  EXPECT_EQ(service_of(ledger.tenants(), "idle"), 100);
  ledger.charge("idle", "", 30);
  ledger.leave("idle", "", 3);
  ledger.charge("busy", "", 10);
  ledger.arrive("idle", "", 4);
  EXPECT_EQ(service_of(ledger.tenants(), "idle"), 130) << "nor is anything forgiven";
}

TEST(ServiceLedgerTest, NobodyHereTheLastOneCounts) {
  ServiceLedger ledger;
  ledger.arrive("first", "", 0);
  ledger.charge("first", "", 50);
  ledger.leave("first", "", 1);
  ledger.arrive("second", "", 2);
  EXPECT_EQ(service_of(ledger.tenants(), "second"), 50);
}

TEST(ServiceLedgerTest, ReleasedProgramsGoWithTheirLastRequest) {
  ServiceLedger ledger;
  ledger.arrive("t", "p", 5);
  ledger.arrive("t", "p", 6);
  EXPECT_EQ(ledger.program_since_ns("p", 99), 5);
  ledger.release("p");
  EXPECT_EQ(ledger.programs().size(), 1U);
  ledger.leave("t", "p", 7);
  ledger.leave("t", "p", 8);
  EXPECT_EQ(ledger.size(), 1U);  // the tenant
  EXPECT_EQ(ledger.program_since_ns("p", 99), 99);
  ledger.forget_before(9);
  EXPECT_EQ(ledger.size(), 0U);
}

TEST(ServiceLedgerTest, ForgetsOnlyWhoIsNotHere) {
  ServiceLedger ledger;
  ledger.arrive("here", "p", 0);
  ledger.arrive("gone", "q", 0);
  ledger.leave("gone", "q", 1);
  ledger.forget_before(1'000);
  EXPECT_EQ(ledger.size(), 2U);
  EXPECT_EQ(ledger.tenants().size(), 1U);
}

TEST(ServiceLedgerTest, ManyThatCameOnceAreForgottenTheOldestFirst) {
  ServiceLedger ledger;
  constexpr int kCame = 50'000;
  ledger.arrive("t", "stays", 0);
  for (int i = 0; i < kCame; ++i) {
    const std::string name = "p" + std::to_string(i);
    ledger.arrive("t", name, i);
    ledger.leave("t", name, i);
    ASSERT_LE(ledger.size(), 2 * ServiceLedger::kRemembered + 3);
  }
  EXPECT_EQ(ledger.programs().size(), 1U);  // who is here stays, however long ago it came
  EXPECT_EQ(ledger.program_since_ns("stays", 99), 0);
  EXPECT_EQ(ledger.program_since_ns("p0", -1), -1);
  for (int i = kCame - static_cast<int>(ServiceLedger::kRemembered) + 1; i < kCame; ++i) {
    EXPECT_EQ(ledger.program_since_ns("p" + std::to_string(i), -1), i);
  }
}

TEST(ServiceLedgerTest, StrangeCallsDoNoHarm) {
  ServiceLedger ledger({{"zero", 0}, {"minus", -3}});
  ledger.leave("nobody", "nothing", 0);
  ledger.charge("nobody", "nothing", 1);
  ledger.release("nothing");
  EXPECT_EQ(ledger.size(), 0U);
  ledger.arrive("zero", "", 0);
  ledger.charge("zero", "", 1);
  EXPECT_GT(service_of(ledger.tenants(), "zero"), 1);
  EXPECT_TRUE(ledger.programs().empty()) << "requests without a program have no account";
}

}  // namespace
}  // namespace sluice
