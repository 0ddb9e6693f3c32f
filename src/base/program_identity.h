// program_identity: which build of the program this is, for what is kept from one run to the next
// and must not outlive the code that made it. Two builds of one version differ; the same file
// started twice does not. Any thread.
#pragma once

#include <string>

namespace sluice {

// The linker's build id in hexadecimal; where the program was linked without one, the size and the
// time of its file. Never empty.
const std::string& program_identity();

}  // namespace sluice
