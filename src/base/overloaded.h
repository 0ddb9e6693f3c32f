// One visitor made of lambdas, for std::visit. Pure; any thread.
#pragma once

namespace sluice {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

}  // namespace sluice
