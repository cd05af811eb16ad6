#include <algorithm>
#include <memory>
#include <string>

#include "levels.hpp"
#include "ntm/tables.hpp"
#include "register.hpp"

namespace polyad::bench {
namespace {

// The sizes of Graves et al. (2014) for copying, and their longest training sequence: 20 vectors in
// and out, one flag between.
constexpr std::int64_t kSteps = 41, kInputs = 9, kOutputs = 8, kHidden = 100;

ntm::ScanShape shape_of(std::int64_t batch, std::int64_t rows) {
  return {batch, kSteps, kInputs, kOutputs, kHidden,
          1,     rows,   20,      1,        1,
          3,     true,   false,   false,    ntm::Similarity::root,
          1e-6};
}

// Inputs, parameters, states, what forward keeps, and every gradient.
struct Sequence {
  ntm::ScanShape s;
  std::int64_t stride;
  Aligned<float> inputs, outputs, grad_outputs, grad_inputs, scratch;
  Aligned<float> w_ih, w_hh, b_ih, b_hh, w_head, b_head, w_out, b_out;
  Aligned<float> g_ih, g_hh, gb_ih, gb_hh, g_head, gb_head, g_out, gb_out;
  Aligned<float> memory, reads, weights, h, c;
  Aligned<float> last_memory, last_reads, last_weights, last_h, last_c;
  Aligned<float> g_memory, g_reads, g_weights, g_h, g_c;
  Aligned<float> gates, cells, hidden, heads, kept_weights, kept_reads, kept_memory;
  Aligned<std::int32_t> status;

  Sequence(const ntm::ScanTable& table, const ntm::ScanBackwardTable& backward_table,
           const ntm::ScanShape& shape)
      : s(shape),
        stride(ntm::kCheckpointStride),
        inputs(Aligned<float>(s.batch * s.steps * s.inputs).uniform(0, 1)),
        outputs(s.batch * s.steps * s.outputs),
        grad_outputs(Aligned<float>(s.batch * s.steps * s.outputs).uniform(-1, 1)),
        grad_inputs(s.batch * s.steps * s.inputs),
        scratch(std::max(table.scratch_float(s, 1), backward_table.scratch_float(s, stride, 1))),
        w_ih(parameter(s.gates() * s.layer_inputs(0))),
        w_hh(parameter(s.gates() * s.hidden)),
        b_ih(parameter(s.gates())),
        b_hh(parameter(s.gates())),
        w_head(parameter(s.head_outputs() * s.hidden)),
        b_head(parameter(s.head_outputs())),
        w_out(parameter(s.outputs * (s.hidden + s.read_size()))),
        b_out(parameter(s.outputs)),
        g_ih(s.gates() * s.layer_inputs(0)),
        g_hh(s.gates() * s.hidden),
        gb_ih(s.gates()),
        gb_hh(s.gates()),
        g_head(s.head_outputs() * s.hidden),
        gb_head(s.head_outputs()),
        g_out(s.outputs * (s.hidden + s.read_size())),
        gb_out(s.outputs),
        memory(s.batch * s.rows * s.width, 1e-6f),
        reads(s.batch * s.read_size()),
        weights(s.batch * s.heads() * s.rows),
        h(s.batch * s.hidden),
        c(s.batch * s.hidden),
        last_memory(s.batch * s.rows * s.width),
        last_reads(s.batch * s.read_size()),
        last_weights(s.batch * s.heads() * s.rows),
        last_h(s.batch * s.hidden),
        last_c(s.batch * s.hidden),
        g_memory(s.batch * s.rows * s.width),
        g_reads(s.batch * s.read_size()),
        g_weights(s.batch * s.heads() * s.rows),
        g_h(s.batch * s.hidden),
        g_c(s.batch * s.hidden),
        gates(s.batch * s.steps * s.gates()),
        cells(s.batch * (s.steps + 1) * s.hidden),
        hidden(s.batch * (s.steps + 1) * s.hidden),
        heads(s.batch * s.steps * s.head_outputs()),
        kept_weights(s.batch * (s.steps + 1) * s.heads() * s.rows),
        kept_reads(s.batch * (s.steps + 1) * s.read_size()),
        kept_memory(s.batch * ntm::scan_checkpoints(s.steps, stride) * s.width *
                    ntm::whole_lines<float>(s.rows)),
        status(s.batch) {
    for (std::int64_t row = 0; row < s.batch * s.heads(); ++row) {
      weights.data()[row * s.rows] = 1;  // every head begins at row 0
    }
  }

  static Aligned<float> parameter(std::int64_t count) {
    return Aligned<float>(count).uniform(-0.1f, 0.1f);
  }
  ntm::ScanParameters<const float> parameters() {
    return {{w_ih.data()}, {w_hh.data()}, {b_ih.data()}, {b_hh.data()},
            w_head.data(), b_head.data(), w_out.data(),  b_out.data()};
  }
  ntm::ScanArgs<float> forward(bool keep) {
    ntm::ScanRecord<float> record{};
    if (keep) {
      record = {gates.data(),        cells.data(),      hidden.data(),      heads.data(),
                kept_weights.data(), kept_reads.data(), kept_memory.data(), stride};
    }
    return {
        s,
        inputs.data(),
        nullptr,
        parameters(),
        {memory.data(), reads.data(), weights.data(), h.data(), c.data()},
        outputs.data(),
        {last_memory.data(), last_reads.data(), last_weights.data(), last_h.data(), last_c.data()},
        status.data(),
        record,
        scratch.data(),
        1};
  }
  ntm::ScanBackwardArgs<float> backward() {
    return {s,
            inputs.data(),
            nullptr,
            parameters(),
            {gates.data(), cells.data(), hidden.data(), heads.data(), kept_weights.data(),
             kept_reads.data(), kept_memory.data(), stride},
            grad_outputs.data(),
            {},
            nullptr,
            {g_memory.data(), g_reads.data(), g_weights.data(), g_h.data(), g_c.data()},
            {{g_ih.data()},
             {g_hh.data()},
             {gb_ih.data()},
             {gb_hh.data()},
             g_head.data(),
             gb_head.data(),
             g_out.data(),
             gb_out.data()},
            scratch.data(),
            1};
  }
};

enum class Pass { inference, forward, backward, both };

void scan(benchmark::State& state, Isa level, const ntm::ScanShape& shape, Pass pass) {
  const ntm::ScanTable& table = POLYAD_TABLE_OF(ntm, level, scan_table);
  const ntm::ScanBackwardTable& backward_table = POLYAD_TABLE_OF(ntm, level, scan_backward_table);
  const auto sequence = std::make_unique<Sequence>(table, backward_table, shape);
  table.scan_float(sequence->forward(true));  // for backward alone
  for (auto _ : state) {
    if (pass != Pass::backward) table.scan_float(sequence->forward(pass != Pass::inference));
    if (pass == Pass::backward || pass == Pass::both) {
      backward_table.scan_backward_float(sequence->backward());
    }
  }
  // of the whole batch
  state.counters["s/step"] = benchmark::Counter(
      static_cast<double>(shape.steps),
      benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

}  // namespace

void register_scan(Isa level) {
  const auto add = [&](const char* name, Pass pass, std::int64_t batch, std::int64_t rows) {
    const std::string full = std::string(name) + "/" + isa_name(level) +
                             "/B:" + std::to_string(batch) + "/N:" + std::to_string(rows);
    benchmark::RegisterBenchmark(full.c_str(), scan, level, shape_of(batch, rows), pass)
        ->Unit(benchmark::kMicrosecond);
  };
  for (std::int64_t batch : {1, 16, 64}) {
    add("scan_inference", Pass::inference, batch, 128);
    add("scan_forward", Pass::forward, batch, 128);
    add("scan_backward", Pass::backward, batch, 128);
    add("scan_forward_backward", Pass::both, batch, 128);
  }
  for (std::int64_t rows : {64, 1024, 4096}) {
    add("scan_forward_backward", Pass::both, 16, rows);
  }
}

}  // namespace polyad::bench
