#include <ctime>

#include "cases.hpp"
#include "register.hpp"
#include "roofline.hpp"

namespace polyad::bench {
namespace {

constexpr std::int64_t kSamples = 8192, kEdges = 20000;

struct Case {
  Isa level;
  int k, tolerance;
};

// Times call() and reports pairs/s and the loads of rows this takes as a share of what the level
// can load.
template <class Call>
void measure(benchmark::State& state, const Case& c, const Call& call) {
  constexpr double kPairs = static_cast<double>(kSamples) * kEdges;
  const std::clock_t start = std::clock();
  for (auto _ : state) call();
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  const double loads = static_cast<double>(state.iterations()) * kPairs * c.k / 512;
  state.counters["pairs/s"] = rate(kPairs);
  state.counters["of roofline"] = loads / seconds / row_loads_per_second(c.level);
}

template <class Weight>
void votes(benchmark::State& state, const Case& c, Weight low, Weight high) {
  RandomEdges edges(kEdges, c.k, true, true);
  RandomPlanes planes(kSamples);
  std::mt19937_64 random(5);
  std::vector<Weight> weights(kEdges), out(kSamples * kClasses);
  for (auto& w : weights) {
    w = low + static_cast<Weight>(static_cast<double>(random() % 65536) / 65536 *
                                  static_cast<double>(high - low + Weight{1}));
  }
  hypernet::VotesArgs<Weight> args{planes.view(),
                                   edges.view(),
                                   {nullptr, c.tolerance},
                                   edges.class_offsets.data(),
                                   kClasses,
                                   weights.data(),
                                   out.data(),
                                   nullptr,
                                   0};
  const hypernet::VotesTable& table = POLYAD_TABLE(c.level, votes_table);
  if constexpr (std::is_same_v<Weight, std::int64_t>) {
    while (high >> args.bits != 0) ++args.bits;
    std::vector<std::uint64_t> scratch(
        static_cast<std::size_t>(hypernet::votes_scratch(kEdges, kClasses, args.bits)));
    args.scratch = scratch.data();
    measure(state, c, [&] { table.votes_int(args); });
  } else {
    measure(state, c, [&] { table.votes_float(args); });
  }
}

// Packing included: what a caller with bytes pays.
void pack_and_votes(benchmark::State& state, const Case& c) {
  RandomEdges edges(kEdges, c.k, true, true);
  RandomPlanes planes(kSamples);
  std::vector<std::uint8_t> x(kSamples * kVariables);
  POLYAD_TABLE(c.level, planes_table).unpack({planes.view(), x.data()});
  std::vector<std::int64_t> weights(kEdges, 1), out(kSamples * kClasses);
  std::vector<std::uint64_t> scratch(
      static_cast<std::size_t>(hypernet::votes_scratch(kEdges, kClasses, 1)));
  std::int32_t status = 0;
  measure(state, c, [&] {
    POLYAD_TABLE(c.level, planes_table)
        .pack({x.data(), kSamples, kVariables, planes.width, planes.words.data(), &status});
    POLYAD_TABLE(c.level, votes_table)
        .votes_int({planes.view(),
                    edges.view(),
                    {nullptr, c.tolerance},
                    edges.class_offsets.data(),
                    kClasses,
                    weights.data(),
                    out.data(),
                    scratch.data(),
                    1});
  });
}

void match_counts(benchmark::State& state, const Case& c) {
  RandomEdges edges(kEdges, c.k, false, true);
  RandomPlanes planes(kSamples);
  std::vector<std::int64_t> out(kEdges);
  measure(state, c, [&] {
    POLYAD_TABLE(c.level, match_table)
        .match_counts({planes.view(), edges.view(), {nullptr, c.tolerance}, out.data()});
  });
}

void feedback(benchmark::State& state, const Case& c) {
  RandomEdges edges(kEdges, c.k, false, true);
  RandomPlanes planes(kSamples);
  std::vector<std::int64_t> right(kEdges), wrong(kEdges);
  measure(state, c, [&] {  // any words serve as masks
    POLYAD_TABLE(c.level, match_table)
        .feedback({planes.view(),
                   edges.view(),
                   {nullptr, c.tolerance},
                   planes.words.data(),
                   right.data(),
                   wrong.data()});
  });
}

void match(benchmark::State& state, const Case& c) {
  RandomEdges edges(kEdges, c.k, false, true);
  for (std::size_t e = 0; e < edges.order.size(); ++e) {  // edges without a plan
    edges.order[e] = static_cast<std::int32_t>(e);
  }
  RandomPlanes planes(kSamples);
  std::vector<std::uint8_t> out(kSamples * kEdges);
  measure(state, c, [&] {
    POLYAD_TABLE(c.level, match_table)
        .match({planes.view(), edges.view(), {nullptr, c.tolerance}, out.data()});
  });
}

}  // namespace

void register_match(Isa level) {
  for (auto [k, tolerance] : {std::pair{3, 0}, {10, 0}, {32, 0}, {10, 1}, {32, 8}}) {
    const Case c{level, k, tolerance};
    const std::string suffix = std::string("/") + isa_name(level) + "/k:" + std::to_string(k) +
                               "/t:" + std::to_string(tolerance);
    const auto add = [&](const char* name, auto body) {
      benchmark::RegisterBenchmark((name + suffix).c_str(), body)->Unit(benchmark::kMillisecond);
    };
    add("votes_int_1", [c](benchmark::State& s) { votes<std::int64_t>(s, c, 1, 1); });
    add("votes_int_255", [c](benchmark::State& s) { votes<std::int64_t>(s, c, 0, 255); });
    add("votes_float", [c](benchmark::State& s) { votes<float>(s, c, 0, 1); });
    add("pack_and_votes", [c](benchmark::State& s) { pack_and_votes(s, c); });
    add("match_counts", [c](benchmark::State& s) { match_counts(s, c); });
    add("feedback", [c](benchmark::State& s) { feedback(s, c); });
    if (k == 10 && tolerance == 0) add("match", [c](benchmark::State& s) { match(s, c); });
  }
}

}  // namespace polyad::bench
