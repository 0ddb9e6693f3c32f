#include "data/hash.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace sluice {
namespace {

// FIPS 180-4 and NIST's examples.
TEST(Sha256, KnownVectors) {
  EXPECT_EQ(sha256("").hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").hex(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1'000'000, 'a')).hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Hash256, HexRoundTrip) {
  Hash256 hash = sha256("abc");
  EXPECT_EQ(Hash256::from_hex(hash.hex()), hash);
  EXPECT_FALSE(hash.zero());
  EXPECT_TRUE(Hash256{}.zero());
  EXPECT_FALSE(Hash256::from_hex("ab").has_value());
  EXPECT_FALSE(Hash256::from_hex(std::string(64, 'g')).has_value());
  EXPECT_FALSE(Hash256::from_hex(std::string(64, 'A')).has_value());  // one spelling only
}

TEST(Hasher, PiecesAreTheWhole) {
  EXPECT_EQ(Hasher().bytes("a").bytes("").bytes("bc").finish(), sha256("abc"));
}

TEST(Hasher, FieldsAreFramed) {
  EXPECT_NE(Hasher().field("ab").field("c").finish(), Hasher().field("a").field("bc").finish());
  EXPECT_NE(Hasher().field("").finish(), Hasher().finish());
  EXPECT_NE(Hasher().field(std::uint64_t{1}).finish(), Hasher().field(std::uint64_t{256}).finish());
  EXPECT_EQ(Hasher().field(sha256("x")).finish(), Hasher().field(sha256("x")).finish());
}

TEST(Hasher, StartsAnewAfterFinish) {
  Hasher hasher;
  hasher.bytes("junk").finish();
  EXPECT_EQ(hasher.bytes("abc").finish(), sha256("abc"));
}

TEST(Sha256, ThreadsDoNotDisturbEachOther) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      std::string text = std::to_string(t);
      Hash256 expected = sha256(text);
      for (int i = 0; i < 2000; ++i) ASSERT_EQ(sha256(text), expected);
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace sluice
