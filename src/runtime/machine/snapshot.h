// How the state of a run is written as bytes and read again. Critical paths are chains that many
// share: they are written once, in a table in front, and named by their number.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/machine/path.h"
#include "runtime/wire.h"

namespace sluice {

// Bodies of other versions are refused; a change to what is written needs a new number here, and
// the reading of the old one. 2: a produced plan is named by the frame that it runs in, too. 3:
// forms of sub-plans that stand for a step's own from an item on; groups of ready tasks.
inline constexpr std::uint64_t kSnapshotVersion = 3;

class StateWriter : public WireWriter {
 public:
  void path(const PathPtr& path);
  void some_error(const std::unique_ptr<Error>& error);
  // The version, the paths and what was written.
  std::string finish();

 private:
  WireWriter nodes_;
  std::unordered_map<const PathNode*, std::uint64_t> numbers_;  // from 1; 0 is null
};

class StateReader : public WireReader {
 public:
  StateReader(std::string_view body, std::uint64_t version, std::vector<PathPtr> paths)
      : WireReader(body), version_(version), paths_(std::move(paths)) {}
  std::uint64_t version() const { return version_; }
  PathPtr path();
  std::unique_ptr<Error> some_error();
  // An enumerator from 0 to `last`.
  template <class Enum>
  Enum one_of(Enum last) {
    const std::uint8_t number = byte();
    if (number > static_cast<std::uint8_t>(last)) spoil();
    return bad() ? Enum{} : static_cast<Enum>(number);
  }

 private:
  std::uint64_t version_;
  std::vector<PathPtr> paths_;  // [0] is null
};

}  // namespace sluice
