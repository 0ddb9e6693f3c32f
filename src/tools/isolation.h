// How code steps are kept from the network and from writing: bubblewrap. Any thread.
#pragma once

#include <string>
#include <vector>

namespace sluice {

// The words in front of a program that isolate it: no network, the file system read-only, a /tmp
// and /run of its own, its own processes, and death with its parent.
std::vector<std::string> isolation_prefix();

}  // namespace sluice
