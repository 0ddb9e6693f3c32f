// Files of the checkout, for tests that hold the code against them. Any thread.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace sluice {

inline std::filesystem::path source_dir() {
  const char* text = std::getenv("SLUICE_SOURCE_DIR");
  return text ? text : ".";
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace sluice
