// Teams of warps: the threads of a block are cut into teams, and each takes one head at a time. A
// team waits and adds up among its own threads only.
#pragma once

#include "common/cuda_check.hpp"
#include "common/device.hpp"

namespace polyad::ntm::cuda {
namespace {

using polyad::cuda::kWarp;

constexpr unsigned kAllLanes = 0xFFFFFFFFu;

// Values that one reduction of a team takes at most.
constexpr int kTeamValues = 4;

// Rows of a head that a thread takes before a second warp is worth its barriers.
constexpr int kTeamRows = 4;

__device__ __forceinline__ int thread_rank() { return static_cast<int>(threadIdx.x); }
__device__ __forceinline__ int block_threads() { return static_cast<int>(blockDim.x); }
__device__ __forceinline__ int lane_rank() { return thread_rank() % kWarp; }
__device__ __forceinline__ int warp_rank() { return thread_rank() / kWarp; }
__device__ __forceinline__ int block_warps() { return block_threads() / kWarp; }

// The sums of the lanes' values, in all lanes; of the first `count` values.
template <int n, class T>
__device__ __forceinline__ void sum_of_lanes(T (&values)[n], int count = n) {
#pragma unroll
  for (int d = kWarp / 2; d > 0; d /= 2) {
#pragma unroll
    for (int v = 0; v < n; ++v) {
      if (v < count) values[v] += __shfl_xor_sync(kAllLanes, values[v], d);
    }
  }
}

template <class T>
class Team {
 public:
  // slots: shared memory, [team_slots] of the block.
  __device__ Team(int rows, int heads, T* slots) : slots_(slots) {
    const int warps = block_warps();
    int mine = 1;  // warps of a team
    while (2 * mine * heads <= warps && mine * kWarp * kTeamRows < rows) mine *= 2;
    warps_ = mine;
    count = warps / mine;
    index = warp_rank() / mine;
    size = mine * kWarp;
    rank = thread_rank() % size;
  }

  int count;  // teams of the block
  int index;  // this team
  int size;   // its threads
  int rank;   // this thread among them

  // What its threads wrote to shared memory before is seen by all of them.
  __device__ void wait() const {
    if (warps_ == 1) {
      __syncwarp();
    } else {
      __barrier_sync_count(static_cast<unsigned>(1 + index), static_cast<unsigned>(size));
    }
  }

  template <int n>
  __device__ void sum(T (&values)[n], int of = n) {
    static_assert(n <= kTeamValues);
    sum_of_lanes(values, of);
    if (warps_ == 1) return;
    T* all = exchange(values);
#pragma unroll
    for (int v = 0; v < n; ++v) {
      T total = all[v];
      for (int w = 1; w < warps_; ++w) total += all[w * kTeamValues + v];
      values[v] = total;
    }
  }

  __device__ T sum(T value) {
    T values[1] = {value};
    sum(values);
    return values[0];
  }

  __device__ T maximum(T value) {
    T values[1] = {value};
#pragma unroll
    for (int d = kWarp / 2; d > 0; d /= 2) {
      const T other = __shfl_xor_sync(kAllLanes, values[0], d);
      values[0] = values[0] < other ? other : values[0];
    }
    if (warps_ == 1) return values[0];
    const T* all = exchange(values);
    T most = all[0];
    for (int w = 1; w < warps_; ++w) {
      const T other = all[w * kTeamValues];
      most = most < other ? other : most;
    }
    return most;
  }

 private:
  // Every warp's values, for all threads of the team. Two sets of slots in turn: whoever writes to
  // one has passed the other's barrier, so that all have read it.
  template <int n>
  __device__ T* exchange(const T (&values)[n]) {
    T* all = slots_ + (turn_ * block_warps() + index * warps_) * kTeamValues;
    turn_ ^= 1;
    if (lane_rank() == 0) {
      T* mine = all + rank / kWarp * kTeamValues;
#pragma unroll
      for (int v = 0; v < n; ++v) mine[v] = values[v];
    }
    wait();
    return all;
  }

  T* slots_;
  int warps_;
  int turn_ = 0;
};

// Elements of a block's slots.
POLYAD_INLINE constexpr int team_slots(int threads) { return 2 * (threads / kWarp) * kTeamValues; }

}  // namespace
}  // namespace polyad::ntm::cuda
