// Preconditions of the native layer. The Python edge checks every argument with names and values;
// what is checked here protects native callers from sizes that no kernel can serve.
#pragma once

#include <stdexcept>
#include <string>

namespace polyad {
namespace {

inline void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

}  // namespace
}  // namespace polyad
