#include "simulate/sim_disk.h"

#include <algorithm>
#include <cstring>

namespace sluice {

void SimFile::apply(std::string& image, const Pending& change) const {
  if (change.truncates) return image.resize(change.offset);
  const std::uint64_t end = change.offset + change.bytes.size();
  if (image.size() < end) image.resize(end);
  std::memcpy(image.data() + change.offset, change.bytes.data(), change.bytes.size());
}

SimDisk::SimDisk(const SimDisk& image, std::uint64_t seed) : faults(image.faults), random_(seed) {
  for (const auto& [name, file] : image.files_) files_[name] = std::make_shared<SimFile>(*file);
  for (const auto& [name, file] : image.removed_) removed_[name] = std::make_shared<SimFile>(*file);
}

bool SimDisk::chance(double probability) { return probability > 0 && random_.unit() < probability; }

SimFilePtr SimDisk::find(std::string_view name) const {
  auto found = files_.find(name);
  return found == files_.end() ? nullptr : found->second;
}

SimFilePtr SimDisk::open(std::string_view name) {
  auto found = files_.find(name);
  if (found == files_.end()) {
    found = files_.emplace(std::string(name), std::make_shared<SimFile>()).first;
  }
  return found->second;
}

DiskStatus SimDisk::remove(std::string_view name, bool now) {
  auto found = files_.find(name);
  if (found == files_.end()) return DiskStatus::kOk;
  if (now) {
    removed_.erase(found->first);
  } else if (found->second->named_) {
    removed_[found->first] = found->second;
  }
  files_.erase(found);
  return DiskStatus::kOk;
}

DiskStatus SimDisk::read(const SimFile& file, std::uint64_t offset, std::span<char> into,
                         std::size_t& got) {
  got = 0;
  if (chance(faults.read_error)) return fault(DiskStatus::kError);
  if (offset >= file.seen_.size()) return DiskStatus::kOk;
  got = std::min<std::size_t>(into.size(), file.seen_.size() - offset);
  std::memcpy(into.data(), file.seen_.data() + offset, got);
  return DiskStatus::kOk;
}

DiskStatus SimDisk::write(SimFile& file, std::uint64_t offset, std::string_view bytes) {
  if (chance(faults.write_error)) return fault(DiskStatus::kError);
  if (faults.room_bytes != UINT64_MAX) {
    const std::uint64_t end = offset + bytes.size();
    const std::uint64_t more = end > file.size() ? end - file.size() : 0;
    if (more > 0 && used_bytes() + more > faults.room_bytes) return fault(DiskStatus::kFull);
  }
  file.pending_.push_back({offset, std::string(bytes), false});
  file.apply(file.seen_, file.pending_.back());
  return DiskStatus::kOk;
}

DiskStatus SimDisk::truncate(SimFile& file, std::uint64_t bytes) {
  if (chance(faults.write_error)) return fault(DiskStatus::kError);
  file.pending_.push_back({bytes, "", true});
  file.apply(file.seen_, file.pending_.back());
  return DiskStatus::kOk;
}

DiskStatus SimDisk::sync(SimFile& file) {
  ++syncs_;
  if (chance(faults.sync_error)) {
    // The kernel forgets that these pages were dirty: some were written, the others never will be.
    for (const SimFile::Pending& change : file.pending_) settle(file, change);
    file.pending_.clear();
    return fault(DiskStatus::kError);
  }
  for (const SimFile::Pending& change : file.pending_) file.apply(file.kept_, change);
  file.pending_.clear();
  file.named_ = true;
  removed_.clear();
  return DiskStatus::kOk;
}

// What the platter has of one unsynced change.
void SimDisk::settle(SimFile& file, const SimFile::Pending& change) {
  const std::uint64_t fate = random_.below(4);
  if (fate == 0) return;  // lost
  if (fate == 1 || change.truncates) return file.apply(file.kept_, change);
  // Torn: each sector for itself, or the first few, or all but the first few.
  const std::size_t sectors = (change.bytes.size() + kSimSectorBytes - 1) / kSimSectorBytes;
  const std::size_t cut = random_.below(sectors + 1);
  const std::uint64_t way = random_.below(3);
  for (std::size_t sector = 0; sector < sectors; ++sector) {
    const bool kept = way == 0 ? random_.below(2) == 0 : way == 1 ? sector < cut : sector >= cut;
    if (!kept) continue;
    const std::size_t start = sector * kSimSectorBytes;
    file.apply(file.kept_,
               {change.offset + start, change.bytes.substr(start, kSimSectorBytes), false});
  }
}

void SimDisk::power_cut() {
  for (auto& [name, file] : removed_) {
    if (files_.contains(name) || random_.below(2) == 0) continue;
    files_[name] = file;
  }
  removed_.clear();
  for (auto& [name, file] : files_) {
    for (const SimFile::Pending& change : file->pending_) settle(*file, change);
    if (!file->named_ && random_.below(2) == 0) file->named_ = true;
  }
  after_cut();
}

void SimDisk::lose_all_unsynced() {
  removed_.clear();
  after_cut();
}

void SimDisk::after_cut() {
  std::erase_if(files_, [](const auto& entry) { return !entry.second->named_; });
  for (auto& [name, file] : files_) {
    file->pending_.clear();
    file->seen_ = file->kept_;
  }
}

void SimDisk::rot(std::string_view name, int bits) {
  const SimFilePtr file = find(name);
  for (; file && file->size() > 0 && bits > 0; --bits) {
    std::size_t at = random_.below(file->size());
    while (at + 1 < file->size() && file->seen_[at] == 0) ++at;
    const auto bit = static_cast<char>(1U << random_.below(8));
    file->seen_[at] = static_cast<char>(file->seen_[at] ^ bit);
    if (at < file->kept_.size()) file->kept_[at] = static_cast<char>(file->kept_[at] ^ bit);
  }
}

std::uint64_t SimDisk::used_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [name, file] : files_) sum += file->size();
  return sum;
}

}  // namespace sluice
