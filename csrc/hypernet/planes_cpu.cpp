#include "common/bits.hpp"
#include "common/parallel.hpp"
#include "hypernet/tables.hpp"

namespace polyad::hypernet::POLYAD_ISA {
namespace {

// The samples that group `group` of 64 holds: 0 .. 64.
int samples_in(std::int64_t group, std::int64_t samples) {
  const std::int64_t left = samples - group * 64;
  return static_cast<int>(left < 0 ? 0 : left < 64 ? left : 64);
}

// Blocks of 64 variables packed together, so that the rows of x are read in long stretches.
constexpr int kStrip = 16;

// Lowers a minimum that several threads share.
void lower(std::int64_t& minimum, std::int64_t value) {
  std::int64_t seen = __atomic_load_n(&minimum, __ATOMIC_RELAXED);
  while (value < seen && !__atomic_compare_exchange_n(&minimum, &seen, value, true,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

void pack(const PackArgs& args) {
  const std::int64_t I = args.variables;
  const int W = args.width;
  std::int64_t first_bad = INT64_MAX;  // row
  parallel_for(plane_tiles(args.samples, W) * W, [&](std::int64_t group) {
    std::uint64_t* out = args.words + (group / W) * I * W + group % W;
    const int samples = samples_in(group, args.samples);
    for (std::int64_t strip = 0; strip < I; strip += 64 * kStrip) {
      std::uint64_t m[kStrip][64];
      const std::int64_t end = strip + 64 * kStrip < I ? strip + 64 * kStrip : I;
      for (int s = 0; s < samples; ++s) {
        const std::int64_t n = group * 64 + s;
        bool above = false;
        for (std::int64_t j = strip; j < end; j += 64) {
          const int count = static_cast<int>(end - j < 64 ? end - j : 64);
          m[(j - strip) / 64][s] = gather_bits(args.x + n * I + j, count, above);
        }
        if (above) lower(first_bad, n);
      }
      for (std::int64_t j0 = strip; j0 < end; j0 += 64) {
        std::uint64_t (&block)[64] = m[(j0 - strip) / 64];
        for (int s = samples; s < 64; ++s) block[s] = 0;
        transpose64(block);
        for (std::int64_t j = j0; j < end && j < j0 + 64; ++j) out[j * W] = block[j - j0];
      }
    }
  });
  *args.status = first_bad == INT64_MAX   ? 0
                 : first_bad >= INT32_MAX ? INT32_MAX
                                          : static_cast<std::int32_t>(first_bad + 1);
}

void unpack(const UnpackArgs& args) {
  const Planes& planes = args.planes;
  const std::int64_t I = planes.variables;
  const int W = planes.width;
  parallel_for(planes.tiles() * W, [&](std::int64_t group) {
    const std::uint64_t* in = planes.words + (group / W) * I * W + group % W;
    const int samples = samples_in(group, planes.samples);
    for (std::int64_t j0 = 0; j0 < I; j0 += 64) {
      const int variables = static_cast<int>(I - j0 < 64 ? I - j0 : 64);
      std::uint64_t m[64] = {};
      for (int j = 0; j < variables; ++j) m[j] = in[(j0 + j) * W];
      transpose64(m);
      for (int s = 0; s < samples; ++s) {
        spread_bits(m[s], args.x + (group * 64 + s) * I + j0, variables);
      }
    }
  });
}

}  // namespace

const PlanesTable planes_table{pack, unpack};

}  // namespace polyad::hypernet::POLYAD_ISA
