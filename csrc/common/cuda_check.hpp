// What every CUDA file needs: checked calls, checked launches, the current device, warp sizes.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace polyad::cuda {

inline constexpr int kWarp = 32;

// The architectures that this build holds code for, e.g. "sm_80 sm_90 compute_90".
inline const char* architectures() { return POLYAD_CUDA_ARCHITECTURES; }

inline std::string error_message(cudaError_t error) {
  std::string text = std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
  if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorUnsupportedPtxVersion) {
    text += std::string("; this build of polyad holds code for ") + architectures();
    int device = 0;
    int major = 0;
    int minor = 0;
    if (cudaGetDevice(&device) == cudaSuccess &&
        cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) == cudaSuccess) {
      text += ", device " + std::to_string(device) + " is sm_" + std::to_string(10 * major + minor);
    }
  }
  return text;
}

// Throws std::runtime_error with the CUDA error string.
inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  (void)cudaGetLastError();  // a failed launch must not be reported again by somebody else's check
  throw std::runtime_error(std::string(what) + ": " + error_message(error));
}

inline int device_attribute(cudaDeviceAttr attribute) {
  int device = 0;
  int value = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&value, attribute, device), "cudaDeviceGetAttribute");
  return value;
}

// Makes `device` current for the lifetime of the object.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device) {
    check(cudaGetDevice(&previous_), "cudaGetDevice");
    if (device == previous_) return;
    check(cudaSetDevice(device), "cudaSetDevice");
    changed_ = true;
  }
  ~DeviceGuard() {
    if (changed_) (void)cudaSetDevice(previous_);
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int previous_ = 0;
  bool changed_ = false;
};

// Lets `kernel` use as much dynamic shared memory as the device has. Always the same value, so that
// two threads that launch one kernel with different sizes do not undo each other's setting. Fails
// for a kernel that has static shared memory too: the two add up.
template <class... Params>
void allow_all_shared_memory(void (*kernel)(Params...)) {
  check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize,
                             device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin)),
        "cudaFuncSetAttribute");
}

struct Launch {
  std::int64_t
      items;  // blocks wanted; kernels stride over their items, as a grid has at most 2^31 - 1
  int threads;
  std::size_t shared_bytes = 0;
};

// Runs kernel(args...) on `stream`; no items, no launch.
template <class... Params>
void launch(const char* name, void (*kernel)(Params...), const Launch& shape, cudaStream_t stream,
            std::type_identity_t<Params>... args) {
  if (shape.items <= 0) return;
  constexpr std::int64_t kMostBlocks = INT32_MAX;
  const auto blocks = static_cast<unsigned>(shape.items < kMostBlocks ? shape.items : kMostBlocks);
  void* pointers[] = {static_cast<void*>(&args)...};
  check(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), dim3(blocks),
                         dim3(static_cast<unsigned>(shape.threads)), pointers, shape.shared_bytes,
                         stream),
        name);
}

#ifdef __CUDACC__
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char polyad_dynamic_shared[];
  return reinterpret_cast<T*>(polyad_dynamic_shared);
}
#endif

}  // namespace polyad::cuda
