// A folder for one test, removed when the test ends.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "host/files/temp_dir.h"

namespace sluice {

class ScratchDir {
 public:
  std::filesystem::path path() const { return dir_.path(); }
  std::filesystem::path write(std::string_view name, std::string_view text) const {
    const std::filesystem::path file = path() / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    return file;
  }

 private:
  TempDir dir_ = *TempDir::make();
};

}  // namespace sluice
