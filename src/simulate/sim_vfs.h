// SimVfs: SQLite's files on a SimDisk. One SimVfs is one process's view of the machine: its own
// name for sqlite3_open_v2, its own death. Locks and the WAL's shared memory belong to the machine
// and are shared by its processes. A process that died writes nothing more, whatever its SQLite
// still tries; closing its handles gives its locks back, as a kernel does. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "simulate/sim_disk.h"

namespace sluice {

// Locks and shared memory of all open databases of one machine; gone with the power.
class SimLocks;

class SimMachine {
 public:
  explicit SimMachine(std::uint64_t seed);
  SimMachine(const SimDisk& image, std::uint64_t seed);
  ~SimMachine();
  // All processes are dead by now (their SimVfs told so).
  void power_cut();

  SimDisk disk;
  std::unique_ptr<SimLocks> locks;
};

class SimVfs {
 public:
  // Registers itself under a name of its own. The machine outlives it; every connection that was
  // opened through it is closed before it goes.
  explicit SimVfs(SimMachine& machine);
  ~SimVfs();
  SimVfs(const SimVfs&) = delete;
  SimVfs& operator=(const SimVfs&) = delete;

  const std::string& name() const;
  // Called before every write, truncation, sync and removal; true: the process dies here.
  void on_operation(std::function<bool()> dies);
  void die();
  bool dead() const;
  std::uint64_t open_files() const;

  struct Impl;  // inside

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
