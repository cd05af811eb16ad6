// Benchmarks of the kernels on one thread, at every level that this processor has.
#include <benchmark/benchmark.h>

#include <cstdio>

#include "common/parallel.hpp"
#include "register.hpp"
#include "roofline.hpp"

int main(int argc, char** argv) {
  using namespace polyad;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  set_num_threads(1);
  for (Isa level : available_isas()) {
    char text[64];
    std::snprintf(text, sizeof(text), "%.2e rows of 512 samples per second",
                  bench::row_loads_per_second(level));
    benchmark::AddCustomContext(std::string("load roofline ") + isa_name(level), text);
    std::snprintf(text, sizeof(text), "%.2e multiplications and additions per second",
                  bench::products_per_second(level));
    benchmark::AddCustomContext(std::string("product roofline ") + isa_name(level), text);
    bench::register_planes(level);
    bench::register_match(level);
    bench::register_energy(level);
    bench::register_gibbs(level);
    bench::register_addressing(level);
    bench::register_memory(level);
    bench::register_scan(level);
    bench::register_squash(level);
    bench::register_em_routing(level);
    bench::register_routing(level);
    bench::register_similarity(level);
  }
  bench::register_ableu();
  bench::register_bleu();
  bench::register_beads();
  bench::register_gale_church();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
