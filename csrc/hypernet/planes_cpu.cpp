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

void pack(const PackArgs& args) {
  const std::int64_t I = args.variables;
  const int W = args.width;
  std::int64_t first_bad = INT64_MAX;  // rows; shared, lowered under compare-and-swap
  parallel_for(plane_tiles(args.samples, W) * W, [&](std::int64_t group) {
    std::uint64_t* out = args.words + (group / W) * I * W + group % W;
    const int samples = samples_in(group, args.samples);
    for (std::int64_t j0 = 0; j0 < I; j0 += 64) {
      const int variables = static_cast<int>(I - j0 < 64 ? I - j0 : 64);
      std::uint64_t m[64] = {};
      for (int s = 0; s < samples; ++s) {
        const std::int64_t n = group * 64 + s;
        bool above = false;
        m[s] = gather_bits(args.x + n * I + j0, variables, above);
        if (above) {
          std::int64_t seen = __atomic_load_n(&first_bad, __ATOMIC_RELAXED);
          while (n < seen && !__atomic_compare_exchange_n(&first_bad, &seen, n, true,
                                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
          }
        }
      }
      transpose64(m);
      for (int j = 0; j < variables; ++j) out[(j0 + j) * W] = m[j];
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
