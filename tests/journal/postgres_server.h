// A real PostgreSQL server for one test program: its own files in a temporary folder, on a socket
// there, as another user than root (which PostgreSQL refuses). Gone with the program.
#pragma once

#include <string>

namespace sluice::testing_contract {

// Starts it on first use. Where it listens; "" (and a test failure) when it cannot start.
const std::string& postgres_folder();

// The URL of the server's one database.
std::string postgres_url();

}  // namespace sluice::testing_contract
