// Arrays cross the border as addresses: the Python edge has checked shape, dtype, device and
// contiguity, and 0 stands for an argument that was left out.
#pragma once

#include <cstdint>

namespace polyad::bindings {

using Address = std::uintptr_t;

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);  // NOLINT: the point of this file
}

}  // namespace polyad::bindings
