#include "ntm/addressing_rows_cpu.hpp"
#include "ntm/layout_rows_cpu.hpp"
#include "ntm/tables.hpp"

namespace polyad::ntm::POLYAD_ISA {
namespace {

template <class T>
AddressingShape<T> rows_shape(const HeadsShape& shape, Similarity similarity, double epsilon) {
  return {shape.rows, whole_lines<T>(shape.rows), shape.width, shape.shifts,
          similarity, static_cast<T>(epsilon)};
}

// For ops on single weightings, which know no memory: an item is one of B H.
template <class T>
AddressingShape<T> row_shape(std::int64_t rows, std::int64_t shifts) {
  return rows_shape<T>({0, rows, 0, 1, shifts}, Similarity::root, 1.0);
}

template <class T>
std::int64_t row_scratch(const HeadsShape& shape) {
  return addressing_scratch<T>({0, shape.rows, 0, 1, shape.shifts});
}

// Elements of a weighting that is wrapped around on both sides.
template <class T>
std::int64_t wrapped_size(const AddressingShape<T>& shape) {
  return shape.stride + 2 * whole_lines<T>(shape.shifts / 2) + whole_lines<T>(1);
}

// Up to kHeadsAtOnce heads of one memory; rows_cpu functions take all parameters as mutable.
template <class T>
struct Group {
  Head<T> heads[kHeadsAtOnce];
  Head<T> grads[kHeadsAtOnce];
  AddressingTrail<T> trails[kHeadsAtOnce];
};

template <class T>
POLYAD_INLINE T* mutable_at(const T* p, std::int64_t offset) {
  return const_cast<T*>(p) + offset;
}

POLYAD_INLINE std::int64_t group_size(const HeadsShape& shape, std::int64_t first) {
  return shape.heads - first < kHeadsAtOnce ? shape.heads - first : kHeadsAtOnce;
}

// --- content -------------------------------------------------------------------------------------

// w^c of the group's heads, into their trails.
template <class Args, class T>
void content_of_group(const Args& args, const AddressingShape<T>& shape, const T* memory,
                      std::int64_t head, std::int64_t count, T* squares, T* trails,
                      Group<T>* group) {
  for (std::int64_t k = 0; k < count; ++k) {
    group->heads[k] = {mutable_at(args.key, (head + k) * shape.width), nullptr,
                       mutable_at(args.beta, head + k), nullptr, nullptr};
    group->trails[k] = trail_at(trails + k * 4 * shape.stride, shape);
  }
  all_dots(memory, shape, group->heads, group->trails, count, squares);
  for (std::int64_t k = 0; k < count; ++k) {
    content_of(shape, group->heads[k], squares, group->trails[k]);
  }
}

template <class T>
void content(const ContentArgs<T>& args) {
  const auto [batch, rows, width, heads, shifts] = args.shape;
  const AddressingShape<T> shape = rows_shape<T>(args.shape, args.similarity, args.epsilon);
  const std::int64_t n = shape.stride;
  for_items(batch, args.scratch, addressing_scratch<T>(args.shape),
            [&](std::int64_t b, Pieces<T> pieces) {
              T* memory = pieces.take(width * n);
              T* squares = pieces.take(n);
              T* trails = pieces.next;
              transposed_rows(args.memory + b * rows * width, rows, width, n, memory);
              Group<T> group;
              for (std::int64_t h = 0; h < heads; h += kHeadsAtOnce) {
                const std::int64_t count = group_size(args.shape, h), head = b * heads + h;
                content_of_group(args, shape, memory, head, count, squares, trails, &group);
                for (std::int64_t k = 0; k < count; ++k) {
                  copied_row(group.trails[k].content, rows, args.out + (head + k) * rows);
                }
              }
            });
}

template <class T>
void content_backward(const ContentBackwardArgs<T>& args) {
  const auto [batch, rows, width, heads, shifts] = args.shape;
  const AddressingShape<T> shape = rows_shape<T>(args.shape, args.similarity, args.epsilon);
  const std::int64_t n = shape.stride;
  for_items(batch, args.scratch, addressing_scratch<T>(args.shape),
            [&](std::int64_t b, Pieces<T> pieces) {
              T* memory = pieces.take(width * n);
              T* grad_memory = pieces.take(width * n);
              T* squares = pieces.take(n);
              T* pull = pieces.take(n);
              T* trails = pieces.take(group_size(args.shape, 0) * 4 * n);
              T* to_dots = pieces.next;
              transposed_rows(args.memory + b * rows * width, rows, width, n, memory);
              fill(grad_memory, 0, width * n, T{0});
              Group<T> group;
              T sums[kHeadsAtOnce];
              for (std::int64_t h = 0; h < heads; h += kHeadsAtOnce) {
                const std::int64_t count = group_size(args.shape, h), head = b * heads + h;
                content_of_group(args, shape, memory, head, count, squares, trails, &group);
                fill(pull, 0, n, T{0});
                for (std::int64_t k = 0; k < count; ++k) {
                  group.grads[k].key = args.grad_key + (head + k) * width;
                  padded_row(args.grad + (head + k) * rows, rows, n, to_dots + k * n);
                  args.grad_beta[head + k] =
                      content_backward_of(shape, args.beta[head + k], squares, group.trails[k],
                                          to_dots + k * n, pull, sums + k);
                }
                dots_backward(memory, shape, group.heads, group.grads, count, to_dots, pull, sums,
                              grad_memory);
              }
              rows_transposed(grad_memory, rows, width, n, args.grad_memory + b * rows * width);
            });
}

// --- interpolate ---------------------------------------------------------------------------------

template <class T>
void interpolate(const InterpolateArgs<T>& args) {
  const std::int64_t n = args.shape.rows;
  for_items(args.shape.batch * args.shape.heads, args.scratch, row_scratch<T>(args.shape),
            [&](std::int64_t item, Pieces<T>) {
              const T* content = args.content + item * n;
              const T* previous = args.previous + item * n;
              const T gate = args.gate[item];
              T* out = args.out + item * n;
              for (std::int64_t i = 0; i < n; ++i) {
                out[i] = interpolated(content[i], previous[i], gate);
              }
            });
}

template <class T>
void interpolate_backward(const InterpolateBackwardArgs<T>& args) {
  const std::int64_t rows = args.shape.rows;
  const AddressingShape<T> shape = row_shape<T>(rows, 1);
  const std::int64_t n = shape.stride;
  for_items(args.shape.batch * args.shape.heads, args.scratch, row_scratch<T>(args.shape),
            [&](std::int64_t item, Pieces<T> pieces) {
              T* content = pieces.take(n);
              T* previous = pieces.take(n);
              T* grad = pieces.take(n);
              T* grad_content = pieces.take(n);
              padded_row(args.content + item * rows, rows, n, content);
              padded_row(args.previous + item * rows, rows, n, previous);
              padded_row(args.grad + item * rows, rows, n, grad);
              args.grad_gate[item] = interpolate_backward_of(shape, args.gate[item], content,
                                                             previous, grad, grad, grad_content);
              copied_row(grad, rows, args.grad_previous + item * rows);
              copied_row(grad_content, rows, args.grad_content + item * rows);
            });
}

// --- shift ---------------------------------------------------------------------------------------

template <class T>
void shift(const ShiftArgs<T>& args) {
  const std::int64_t rows = args.shape.rows, shifts = args.shape.shifts;
  const AddressingShape<T> shape = row_shape<T>(rows, shifts);
  for_items(args.shape.batch * args.shape.heads, args.scratch, row_scratch<T>(args.shape),
            [&](std::int64_t item, Pieces<T> pieces) {
              T* mixed = pieces.take(wrapped_size(shape));
              T* shifted = pieces.take(shape.stride);
              padded_row(args.weights + item * rows, rows, shape.stride, mixed + halo<T>(shifts));
              wrap(mixed, shape);
              shift_of(shape, args.kernel + item * shifts, mixed, shifted);
              copied_row(shifted, rows, args.out + item * rows);
            });
}

template <class T>
void shift_backward(const ShiftBackwardArgs<T>& args) {
  const std::int64_t rows = args.shape.rows, shifts = args.shape.shifts;
  const AddressingShape<T> shape = row_shape<T>(rows, shifts);
  const std::int64_t n = shape.stride;
  for_items(args.shape.batch * args.shape.heads, args.scratch, row_scratch<T>(args.shape),
            [&](std::int64_t item, Pieces<T> pieces) {
              T* mixed = pieces.take(wrapped_size(shape));
              T* grad = pieces.take(wrapped_size(shape));
              T* grad_mixed = pieces.take(n);
              padded_row(args.weights + item * rows, rows, n, mixed + halo<T>(shifts));
              wrap(mixed, shape);
              padded_row(args.grad + item * rows, rows, n, grad + halo<T>(shifts));
              shift_backward_of(shape, args.kernel + item * shifts, mixed, grad,
                                args.grad_kernel + item * shifts, grad_mixed);
              copied_row(grad_mixed, rows, args.grad_weights + item * rows);
            });
}

// --- sharpen -------------------------------------------------------------------------------------

template <class T>
void sharpen(const SharpenArgs<T>& args) {
  const std::int64_t rows = args.shape.rows;
  const AddressingShape<T> shape = row_shape<T>(rows, 1);
  const std::int64_t n = shape.stride;
  for_items(args.shape.batch * args.shape.heads, args.scratch, row_scratch<T>(args.shape),
            [&](std::int64_t item, Pieces<T> pieces) {
              T* logs = pieces.take(n);
              T* weights = pieces.take(n);
              T log_sum;
              padded_row(args.weights + item * rows, rows, n, logs);
              sharpen_of(shape, args.gamma[item], logs, logs, weights, &log_sum);
              copied_row(weights, rows, args.out + item * rows);
            });
}

template <class T>
void sharpen_backward(const SharpenBackwardArgs<T>& args) {
  const std::int64_t rows = args.shape.rows;
  const AddressingShape<T> shape = row_shape<T>(rows, 1);
  const std::int64_t n = shape.stride;
  for_items(args.shape.batch * args.shape.heads, args.scratch, row_scratch<T>(args.shape),
            [&](std::int64_t item, Pieces<T> pieces) {
              T* logs = pieces.take(n);
              T* weights = pieces.take(n);
              T* grad = pieces.take(n);
              T* grad_weights = pieces.take(n);
              T log_sum;
              padded_row(args.weights + item * rows, rows, n, logs);
              sharpen_of(shape, args.gamma[item], logs, logs, weights, &log_sum);
              padded_row(args.grad + item * rows, rows, n, grad);
              args.grad_gamma[item] = sharpen_backward_of(shape, args.gamma[item], logs, log_sum,
                                                          weights, grad, grad_weights);
              copied_row(grad_weights, rows, args.grad_weights + item * rows);
            });
}

// --- addressing ----------------------------------------------------------------------------------

// Scratch of a group's forward pass, and the pass itself.
template <class T>
struct GroupRows {
  T* memory;    // [M][Np]
  T* squares;   // [Np]
  T* previous;  // [K][Np]
  T* weights;   // [K][Np]
  T* trails;    // [K] trails

  GroupRows(const HeadsShape& sizes, const AddressingShape<T>& shape, Pieces<T>* pieces)
      : memory(pieces->take(shape.width * shape.stride)),
        squares(pieces->take(shape.stride)),
        previous(pieces->take(group_size(sizes, 0) * shape.stride)),
        weights(pieces->take(group_size(sizes, 0) * shape.stride)),
        trails(pieces->take(group_size(sizes, 0) * (3 * shape.stride + wrapped_size(shape)))) {}

  template <class Args>
  void run(const Args& args, const AddressingShape<T>& shape, std::int64_t head, std::int64_t count,
           Group<T>* group) const {
    const std::int64_t rows = shape.rows, n = shape.stride;
    for (std::int64_t k = 0; k < count; ++k) {
      const std::int64_t at = head + k;
      group->heads[k] = {mutable_at(args.key, at * shape.width),
                         mutable_at(args.kernel, at * shape.shifts), mutable_at(args.beta, at),
                         mutable_at(args.gate, at), mutable_at(args.gamma, at)};
      group->trails[k] = trail_at(trails + k * (3 * n + wrapped_size(shape)), shape);
      padded_row(args.previous + at * rows, rows, n, previous + k * n);
    }
    address(memory, shape, group->heads, count, previous, squares, group->trails, weights);
  }
};

template <class T>
void addressing(const AddressingArgs<T>& args) {
  const auto [batch, rows, width, heads, shifts] = args.shape;
  const AddressingShape<T> shape = rows_shape<T>(args.shape, args.similarity, args.epsilon);
  const std::int64_t n = shape.stride;
  for_items(batch, args.scratch, addressing_scratch<T>(args.shape),
            [&](std::int64_t b, Pieces<T> pieces) {
              const GroupRows<T> forward(args.shape, shape, &pieces);
              transposed_rows(args.memory + b * rows * width, rows, width, n, forward.memory);
              Group<T> group;
              for (std::int64_t h = 0; h < heads; h += kHeadsAtOnce) {
                const std::int64_t count = group_size(args.shape, h), head = b * heads + h;
                forward.run(args, shape, head, count, &group);
                for (std::int64_t k = 0; k < count; ++k) {
                  copied_row(forward.weights + k * n, rows, args.out + (head + k) * rows);
                }
              }
            });
}

template <class T>
void addressing_backward(const AddressingBackwardArgs<T>& args) {
  const auto [batch, rows, width, heads, shifts] = args.shape;
  const AddressingShape<T> shape = rows_shape<T>(args.shape, args.similarity, args.epsilon);
  const std::int64_t n = shape.stride;
  for_items(batch, args.scratch, addressing_scratch<T>(args.shape),
            [&](std::int64_t b, Pieces<T> pieces) {
              const GroupRows<T> forward(args.shape, shape, &pieces);
              T* grad_memory = pieces.take(width * n);
              T* grad = pieces.take(group_size(args.shape, 0) * n);
              transposed_rows(args.memory + b * rows * width, rows, width, n, forward.memory);
              fill(grad_memory, 0, width * n, T{0});
              Group<T> group;
              for (std::int64_t h = 0; h < heads; h += kHeadsAtOnce) {
                const std::int64_t count = group_size(args.shape, h), head = b * heads + h;
                forward.run(args, shape, head, count, &group);
                for (std::int64_t k = 0; k < count; ++k) {
                  const std::int64_t at = head + k;
                  group.grads[k] = {args.grad_key + at * width, args.grad_kernel + at * shifts,
                                    args.grad_beta + at, args.grad_gate + at, args.grad_gamma + at};
                  padded_row(args.grad + at * rows, rows, n, grad + k * n);
                }
                address_backward(forward.memory, shape, group.heads, count, forward.previous,
                                 forward.squares, group.trails, forward.weights, grad, group.grads,
                                 grad_memory, pieces.next);
                for (std::int64_t k = 0; k < count; ++k) {
                  copied_row(grad + k * n, rows, args.grad_previous + (head + k) * rows);
                }
              }
              rows_transposed(grad_memory, rows, width, n, args.grad_memory + b * rows * width);
            });
}

}  // namespace

const AddressingTable addressing_table{content<float>,
                                       content<double>,
                                       content_backward<float>,
                                       content_backward<double>,
                                       interpolate<float>,
                                       interpolate<double>,
                                       interpolate_backward<float>,
                                       interpolate_backward<double>,
                                       shift<float>,
                                       shift<double>,
                                       shift_backward<float>,
                                       shift_backward<double>,
                                       sharpen<float>,
                                       sharpen<double>,
                                       sharpen_backward<float>,
                                       sharpen_backward<double>,
                                       addressing<float>,
                                       addressing<double>,
                                       addressing_backward<float>,
                                       addressing_backward<double>};

}  // namespace polyad::ntm::POLYAD_ISA
