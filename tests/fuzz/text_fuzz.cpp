#include "tests/fuzz/text_fuzz.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"

namespace sluice::test {
namespace {

constexpr std::uint64_t kMostEdits = 6;
constexpr std::size_t kMostCut = 20;
constexpr std::size_t kMostSplice = 60;
constexpr std::size_t kMostRepeats = 80;
constexpr std::size_t kMostBytes = 20'000;
// Kept texts stay short, so that a failure can be read.
constexpr std::size_t kMostKeptBytes = 1'500;
constexpr std::size_t kMostKept = 2'000;

std::string_view one_of(std::span<const std::string_view> texts, Random& random) {
  return texts[random.below(texts.size())];
}

void edit(std::string& text, const TextFuzz& fuzz, Random& random) {
  std::size_t at = random.below(text.size() + 1);
  std::size_t length = std::min<std::size_t>(random.below(kMostCut), text.size() - at);
  switch (random.below(7)) {
    case 0:
      text.erase(at, length);
      break;
    case 1:
      text.insert(at, one_of(fuzz.pieces, random));
      break;
    case 2:
      text.replace(at, length, one_of(fuzz.pieces, random));
      break;
    case 3:
      text.insert(random.below(text.size() + 1), text.substr(at, length));
      break;
    case 4: {
      std::string_view other = one_of(fuzz.seeds, random);
      text.insert(at, other.substr(random.below(other.size()), random.below(kMostSplice)));
      break;
    }
    case 5:
      if (at < text.size()) text[at] = static_cast<char>(random.below(256));
      break;
    default: {
      std::string_view piece = one_of(fuzz.pieces, random);
      for (std::uint64_t n = random.below(kMostRepeats); n > 0; --n) text.insert(at, piece);
    }
  }
}

std::string mutate(std::string text, const TextFuzz& fuzz, Random& random) {
  for (std::uint64_t edits = 1 + random.below(kMostEdits); edits > 0; --edits) {
    edit(text, fuzz, random);
    if (text.size() > kMostBytes) text.resize(kMostBytes);
  }
  return text;
}

// As a C++ string literal, whatever bytes it has.
std::string literal(std::string_view text) {
  std::string result = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      result += "\\n";
    } else if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else if (byte >= 0x20 && byte < 0x7F) {
      result += c;
    } else {
      result += fmt::format("\\{:03o}", byte);
    }
  }
  return result + '"';
}

}  // namespace

FuzzLimits fuzz_limits() {
  FuzzLimits limits;
  if (const char* text = std::getenv("SLUICE_FUZZ_SECONDS")) {
    if (double seconds = std::atof(text); seconds > 0) limits.seconds = seconds;
  }
  if (const char* text = std::getenv("SLUICE_FUZZ_SEED")) {
    limits.seed = std::strtoull(text, nullptr, 10);
  } else if (limits.seconds > 1) {
    limits.seed = system_seed();
  }
  return limits;
}

FuzzOutcome run_fuzz(const TextFuzz& fuzz, const FuzzLimits& limits) {
  Random random(limits.seed);
  SteadyNs end = system_clock().steady_ns() +
                 static_cast<SteadyNs>(limits.seconds * static_cast<double>(kNsPerSecond));
  std::vector<std::string> pool(fuzz.seeds.begin(), fuzz.seeds.end());
  FuzzOutcome outcome;
  for (; outcome.texts < limits.texts && system_clock().steady_ns() < end; ++outcome.texts) {
    std::string text = mutate(pool[random.below(pool.size())], fuzz, random);
    Verdict verdict = fuzz.judge(text);
    if (verdict.broken_law) {
      outcome.failure = fmt::format("seed {}: {}\n--- text:\n{}", limits.seed, *verdict.broken_law,
                                    literal(text));
      return outcome;
    }
    // Later mutations go further from the seeds, which stay.
    if (!verdict.accepted || text.size() > kMostKeptBytes || random.below(4) != 0) continue;
    if (pool.size() < kMostKept) {
      pool.push_back(std::move(text));
    } else {
      std::size_t first = fuzz.seeds.size();
      pool[first + random.below(pool.size() - first)] = std::move(text);
    }
  }
  return outcome;
}

}  // namespace sluice::test
