// A whole sequence at every level beside level v2 in double; tails, scratch, threads, checkpoints.
// What it computes is compared with the equations in tests/ops/test_ntm_scan.py.
#include <array>

#include "ntm_cases.hpp"

namespace polyad::testing {
namespace {

using ntm::ScanShape;

class Scan : public AtLevel {};
POLYAD_AT_EVERY_LEVEL(Scan);

std::vector<std::int64_t> parameter_sizes(const ScanShape& s) {
  const std::int64_t H = s.hidden, G = s.gates();
  std::vector<std::int64_t> sizes;
  for (std::int64_t l = 0; l < s.layers; ++l) sizes.push_back(G * s.layer_inputs(l));
  for (std::int64_t l = 0; s.lstm && l < s.layers; ++l) sizes.push_back(G * H);
  for (std::int64_t l = 0; l < s.layers * (s.lstm ? 2 : 1); ++l) sizes.push_back(G);
  sizes.insert(sizes.end(), {s.head_outputs() * H, s.head_outputs(),
                             s.outputs * (H + s.read_size()), s.outputs});
  return sizes;
}

std::array<std::int64_t, 5> state_sizes(const ScanShape& s) {
  const std::int64_t recurrent = s.lstm ? s.layers * s.batch * s.hidden : 0;
  return {s.batch * s.rows * s.width, s.batch * s.read_size(), s.batch * s.heads() * s.rows,
          recurrent, recurrent};
}

// Pointers to arrays in the order of parameter_sizes; arrays may be null.
template <class T>
ntm::ScanParameters<T> parameters_at(const ScanShape& s, const std::vector<T*>& arrays) {
  ntm::ScanParameters<T> p{};
  std::size_t next = 0;
  for (std::int64_t l = 0; l < s.layers; ++l) p.weight_ih[l] = arrays[next++];
  for (std::int64_t l = 0; s.lstm && l < s.layers; ++l) p.weight_hh[l] = arrays[next++];
  for (std::int64_t l = 0; l < s.layers; ++l) p.bias_ih[l] = arrays[next++];
  for (std::int64_t l = 0; s.lstm && l < s.layers; ++l) p.bias_hh[l] = arrays[next++];
  for (T** each : {&p.head_weight, &p.head_bias, &p.output_weight, &p.output_bias}) {
    *each = arrays[next++];
  }
  return p;
}

template <class T>
ntm::ScanState<T> state_at(const std::vector<T*>& arrays) {
  return {arrays[0], arrays[1], arrays[2], arrays[3], arrays[4]};
}

template <class T>
struct Calls {
  ScanTables table;

  std::int64_t scratch(const ScanShape& s, std::int64_t threads) const {
    return (std::is_same_v<T, float> ? table.forward.scratch_float : table.forward.scratch_double)(
        s, threads);
  }
  std::int64_t backward_scratch(const ScanShape& s, std::int64_t stride,
                                std::int64_t threads) const {
    return (std::is_same_v<T, float> ? table.backward.scratch_float
                                     : table.backward.scratch_double)(s, stride, threads);
  }
  void forward(const ntm::ScanArgs<T>& args) const {
    if constexpr (std::is_same_v<T, float>) {
      table.forward.scan_float(args);
    } else {
      table.forward.scan_double(args);
    }
  }
  void backward(const ntm::ScanBackwardArgs<T>& args) const {
    if constexpr (std::is_same_v<T, float>) {
      table.backward.scan_backward_float(args);
    } else {
      table.backward.scan_backward_double(args);
    }
  }
};

struct Way {
  std::int64_t threads = 1, stride = 8;
  bool kept = true;            // forward records, and backward runs
  bool all_gradients = true;   // else none of inputs and reads, nor of every second parameter
  bool last_gradients = true;  // else those of the last state are null
};

// The arguments of a call. They are drawn as float, so that double computes on the same numbers.
struct Problem {
  ScanShape shape;
  std::vector<float> inputs, grad_outputs;
  std::vector<std::vector<float>> parameters, state, grad_last;
  std::vector<std::int64_t> lengths;

  Problem(Generator& random, const ScanShape& s, bool with_lengths) : shape(s) {
    inputs = uniform<float>(random, s.batch * s.steps * s.inputs, -1, 1);
    grad_outputs = uniform<float>(random, s.batch * s.steps * s.outputs, -1, 1);
    for (std::int64_t n : parameter_sizes(s)) {
      parameters.push_back(uniform<float>(random, n, -0.4, 0.4));
    }
    for (std::int64_t n : state_sizes(s)) {
      state.push_back(uniform<float>(random, n, -1, 1));
      grad_last.push_back(uniform<float>(random, n, -1, 1));
    }
    state[2] = distributions<float>(random, s.batch * s.heads(), s.rows);
    for (std::int64_t b = 0; with_lengths && b < s.batch; ++b) {
      lengths.push_back(std::uniform_int_distribution<std::int64_t>(1, s.steps)(random));
    }
  }

  // Outputs and last state; then, if kept, the gradients of inputs, state and parameters.
  template <class T>
  Arrays<T> run(const ScanTables& table, const Way& way = {}) const {
    const Calls<T> calls{table};
    const auto cast = [](const std::vector<float>& x) {
      return std::vector<T>(x.begin(), x.end());
    };
    const auto cast_all = [&](const std::vector<std::vector<float>>& from) {
      Arrays<T> to;
      for (const auto& each : from) to.push_back(cast(each));
      return to;
    };
    const auto constant = [](const Arrays<T>& from) {
      std::vector<const T*> to;
      for (const auto& each : from) to.push_back(each.data());
      return to;
    };
    const auto guarded = [](const auto& sizes) {
      std::vector<Guarded<T>> all;
      for (std::int64_t n : sizes) all.emplace_back(n);
      return all;
    };
    const auto pointers = [](std::vector<Guarded<T>>& from) {
      std::vector<T*> to;
      for (auto& each : from) to.push_back(each.data());
      return to;
    };
    const ScanShape& s = shape;
    const std::int64_t B = s.batch, steps = s.steps, H = s.hidden;
    const std::vector<T> x = cast(inputs);
    const Arrays<T> weights = cast_all(parameters), start = cast_all(state);
    const std::int64_t* ends = lengths.empty() ? nullptr : lengths.data();

    Guarded<T> outputs(B * steps * s.outputs), scratch(calls.scratch(s, way.threads));
    std::vector<Guarded<T>> last = guarded(state_sizes(s));
    std::vector<std::int32_t> status(size(B), -1);
    const std::int64_t layered = s.layers * B * H, recurrent = s.lstm ? layered : 0;
    std::vector<Guarded<T>> tape = guarded(std::array<std::int64_t, 7>{
        s.lstm ? s.layers * B * steps * s.gates() : 0, recurrent * (steps + 1),
        layered * (steps + 1), B * steps * s.head_outputs(), B * (steps + 1) * s.heads() * s.rows,
        B * (steps + 1) * s.read_size(),
        B * ntm::scan_checkpoints(steps, way.stride) * s.width * ntm::whole_lines<T>(s.rows)});
    std::vector<T*> at(7, nullptr);
    if (way.kept) at = pointers(tape);
    if (!s.lstm) at[0] = at[1] = nullptr;
    const ntm::ScanRecord<T> record{at[0], at[1], at[2], at[3], at[4], at[5], at[6], way.stride};
    calls.forward({s, x.data(), ends, parameters_at<const T>(s, constant(weights)),
                   state_at<const T>(constant(start)), outputs.data(), state_at<T>(pointers(last)),
                   status.data(), record, scratch.data(), way.threads});
    EXPECT_EQ(status, std::vector<std::int32_t>(size(B)));
    scratch.checked("scratch", false);
    Arrays<T> all{outputs.checked("outputs")};
    for (const auto& each : last) all.push_back(each.checked("last state"));
    if (!way.kept) return all;
    for (std::size_t i = 0; i < tape.size(); ++i) {
      tape[i].checked("record " + std::to_string(i));
    }

    const std::vector<T> from_outputs = cast(grad_outputs);
    const Arrays<T> from_last = cast_all(grad_last);
    std::vector<const T*> given(5, nullptr);
    if (way.last_gradients) given = constant(from_last);
    Guarded<T> grad_inputs(std::ssize(x));
    std::vector<Guarded<T>> grad_state = guarded(state_sizes(s));
    std::vector<Guarded<T>> grad_weights = guarded(parameter_sizes(s));
    std::vector<T*> wanted = pointers(grad_weights), of_state = pointers(grad_state);
    if (!way.all_gradients) of_state[1] = nullptr;
    for (std::size_t i = 0; !way.all_gradients && i < wanted.size(); i += 2) wanted[i] = nullptr;
    Guarded<T> more(calls.backward_scratch(s, way.stride, way.threads));
    calls.backward({s,
                    x.data(),
                    ends,
                    parameters_at<const T>(s, constant(weights)),
                    {at[0], at[1], at[2], at[3], at[4], at[5], at[6], way.stride},
                    from_outputs.data(),
                    state_at<const T>(given),
                    way.all_gradients ? grad_inputs.data() : nullptr,
                    state_at<T>(of_state),
                    parameters_at<T>(s, wanted),
                    more.data(),
                    way.threads});
    more.checked("scratch of backward", false);
    all.push_back(grad_inputs.checked("gradient of inputs", way.all_gradients));
    for (std::size_t i = 0; i < grad_state.size(); ++i) {
      all.push_back(grad_state[i].checked("gradient of state", of_state[i] != nullptr));
    }
    for (std::size_t i = 0; i < grad_weights.size(); ++i) {
      all.push_back(grad_weights[i].checked("gradient " + std::to_string(i), wanted[i] != nullptr));
    }
    return all;
  }
};

ScanShape shape_of(std::int64_t B, std::int64_t steps, std::int64_t I, std::int64_t O,
                   std::int64_t H, std::int64_t L, std::int64_t N, std::int64_t M, std::int64_t R,
                   std::int64_t W, std::int64_t S, bool lstm, bool other = false) {
  return {B,   steps, I,     O,     H,
          L,   N,     M,     R,     W,
          S,   lstm,  other, other, other ? ntm::Similarity::sum : ntm::Similarity::root,
          1e-6};
}

std::string name_of(const ScanShape& s) {
  return "B=" + std::to_string(s.batch) + " T=" + std::to_string(s.steps) +
         " I=" + std::to_string(s.inputs) + " O=" + std::to_string(s.outputs) +
         " H=" + std::to_string(s.hidden) + " L=" + std::to_string(s.layers) +
         " N=" + std::to_string(s.rows) + " M=" + std::to_string(s.width) +
         " R=" + std::to_string(s.reads) + " W=" + std::to_string(s.writes) +
         " S=" + std::to_string(s.shifts) + (s.lstm ? " lstm" : " feed-forward");
}

// Sizes around those of registers, groups of sequences, chunks of steps and blocks of gradients.
std::vector<ScanShape> shapes() {
  return {shape_of(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, true),
          shape_of(2, 3, 1, 1, 1, 1, 2, 1, 1, 1, 3, false),
          shape_of(3, 9, 5, 3, 7, 2, 15, 3, 2, 1, 3, true),
          shape_of(9, 8, 8, 8, 16, 1, 16, 4, 1, 2, 5, true, true),
          shape_of(8, 17, 3, 17, 17, 3, 17, 5, 1, 1, 7, false),
          shape_of(17, 2, 9, 8, 31, 1, 33, 20, 1, 1, 3, true),
          shape_of(2, 33, 4, 2, 9, 1, 11, 16, 3, 3, 3, true),
          shape_of(4, 16, 0, 1, 5, 2, 5, 9, 1, 4, 9, false, true),
          shape_of(1, 12, 65, 70, 33, 1, 130, 21, 4, 1, 3, true),
          shape_of(5, 60, 3, 2, 4, 1, 6, 3, 1, 1, 3, true)};
}

TEST_P(Scan, AgreesWithTheBaselineInDouble) {
  Generator random(1);
  for (const ScanShape& shape : shapes()) {
    for (bool with_lengths : {false, true}) {
      SCOPED_TRACE(name_of(shape));
      const Problem problem(random, shape, with_lengths);
      const Arrays<double> want =
          problem.run<double>({ntm::v2::scan_table, ntm::v2::scan_backward_table});
      expect_near<double>(problem.run<double>(scans()), want, 3000);
      Arrays<float> rounded;
      for (const auto& each : want) rounded.emplace_back(each.begin(), each.end());
      expect_near<float>(problem.run<float>(scans()), rounded, 3000);
    }
  }
}

template <class T>
void expect_one_answer(const ScanTables& table) {
  Generator random(2);
  for (const ScanShape& shape : shapes()) {
    SCOPED_TRACE(name_of(shape));
    const Problem problem(random, shape, true);
    const Arrays<T> want = problem.run<T>(table);
    for (const auto& [threads, stride] : {std::pair<std::int64_t, std::int64_t>{2, 8},
                                          {3, 8},
                                          {5, 8},
                                          {16, 8},
                                          {1, 1},
                                          {1, 3},
                                          {2, 16},
                                          {1, 1000}}) {
      set_num_threads(static_cast<int>(threads));
      EXPECT_EQ(problem.run<T>(table, {threads, stride}), want)
          << threads << " threads, checkpoints every " << stride;
    }
    // cut for more threads than run
    set_num_threads(1);
    EXPECT_EQ(problem.run<T>(table, {4, 8}), want);
  }
}

TEST_P(Scan, NeitherThreadsNorCheckpointsChangeResults) {
  expect_one_answer<float>(scans());
  expect_one_answer<double>(scans());
}

TEST_P(Scan, WhatIsNotKeptOrWantedChangesNothingElse) {
  Generator random(3);
  for (const ScanShape& shape : shapes()) {
    SCOPED_TRACE(name_of(shape));
    Problem problem(random, shape, true);
    const Arrays<float> whole = problem.run<float>(scans());
    Arrays<float> forward = problem.run<float>(scans(), {.kept = false});
    EXPECT_TRUE(std::equal(forward.begin(), forward.end(), whole.begin()));

    const Arrays<float> some = problem.run<float>(scans(), {.all_gradients = false});
    for (std::size_t i = 0; i < whole.size(); ++i) {
      const bool left_out = i == 6 || i == 8 || (i >= 12 && i % 2 == 0);
      if (!left_out) {
        EXPECT_EQ(some[i], whole[i]) << "array " << i;
      } else {
        EXPECT_TRUE(std::all_of(some[i].begin(), some[i].end(), [](float v) { return v != v; }));
      }
    }

    const Arrays<float> without = problem.run<float>(scans(), {.last_gradients = false});
    for (auto& each : problem.grad_last) std::fill(each.begin(), each.end(), 0.0f);
    EXPECT_EQ(without, problem.run<float>(scans()));
  }
}

TEST_P(Scan, StatusNamesTheFirstBadStepOfASequence) {
  Generator random(4);
  const ScanShape shape = shape_of(11, 20, 3, 2, 5, 1, 7, 3, 1, 1, 3, true);
  Problem problem(random, shape, false);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();  // saturates the gates
  const auto spoil = [&](std::int64_t b, std::int64_t t, float value) {
    problem.inputs[size((b * shape.steps + t) * shape.inputs + 1)] = value;
  };
  spoil(0, 0, nan);
  spoil(3, 19, infinity);
  spoil(9, 7, -infinity);
  spoil(9, 16, nan);
  problem.state[4][size(5 * shape.hidden + 2)] = infinity;
  std::vector<float> outputs(problem.grad_outputs.size()),
      scratch(size(scans().forward.scratch_float(shape, 1)));
  std::vector<std::vector<float>> last = problem.state;
  std::vector<std::int32_t> status(11, -1);
  std::vector<const float*> weights, start;
  std::vector<float*> end;
  for (const auto& each : problem.parameters) weights.push_back(each.data());
  for (const auto& each : problem.state) start.push_back(each.data());
  for (auto& each : last) end.push_back(each.data());
  scans().forward.scan_float({shape,
                              problem.inputs.data(),
                              nullptr,
                              parameters_at<const float>(shape, weights),
                              state_at<const float>(start),
                              outputs.data(),
                              state_at<float>(end),
                              status.data(),
                              {},
                              scratch.data(),
                              1});
  EXPECT_EQ(status, (std::vector<std::int32_t>{1, 0, 0, 20, 0, 1, 0, 0, 0, 8, 0}));
}

}  // namespace
}  // namespace polyad::testing
