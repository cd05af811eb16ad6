#include "ntm/layout_rows_cpu.hpp"
#include "ntm/memory_rows_cpu.hpp"
#include "ntm/tables.hpp"

namespace polyad::ntm::POLYAD_ISA {
namespace {

template <class T>
void zero(T* p, std::int64_t n) {
  std::memset(p, 0, static_cast<std::size_t>(n) * sizeof(T));
}

template <class T>
void read(const ReadArgs<T>& args) {
  const auto [batch, rows, width, heads, shifts] = args.shape;
  const std::int64_t n = whole_lines<T>(rows);
  for_items(batch, args.scratch, memory_scratch<T>(args.shape),
            [&](std::int64_t b, Pieces<T> pieces) {
              T* memory = pieces.take(width * n);
              T* weights = pieces.take(n);
              transposed_rows(args.memory + b * rows * width, rows, width, n, memory);
              for (std::int64_t head = b * heads; head < (b + 1) * heads; ++head) {
                padded_row(args.weights + head * rows, rows, n, weights);
                read_of(memory, n, width, weights, 1, args.out + head * width);
              }
            });
}

template <class T>
void read_backward(const ReadBackwardArgs<T>& args) {
  const auto [batch, rows, width, heads, shifts] = args.shape;
  const std::int64_t n = whole_lines<T>(rows);
  for_items(batch, args.scratch, memory_scratch<T>(args.shape),
            [&](std::int64_t b, Pieces<T> pieces) {
              T* memory = pieces.take(width * n);
              T* grad_memory = pieces.take(width * n);
              T* weights = pieces.take(n);
              T* grad_weights = pieces.take(n);
              transposed_rows(args.memory + b * rows * width, rows, width, n, memory);
              zero(grad_memory, width * n);
              for (std::int64_t head = b * heads; head < (b + 1) * heads; ++head) {
                padded_row(args.weights + head * rows, rows, n, weights);
                zero(grad_weights, n);
                read_backward_of(memory, n, width, weights, 1, args.grad + head * width,
                                 grad_weights, grad_memory);
                copied_row(grad_weights, rows, args.grad_weights + head * rows);
              }
              rows_transposed(grad_memory, rows, width, n, args.grad_memory + b * rows * width);
            });
}

// The write heads of memory b; rows_cpu functions take all parameters as mutable.
template <class Args, class T>
WriteHeads<T> heads_of(const Args& args, std::int64_t b, const T* erase, const T* add) {
  const std::int64_t first = b * args.shape.heads * args.shape.width;
  return {args.shape.heads, args.shape.width, const_cast<T*>(erase) + first,
          const_cast<T*>(add) + first};
}

template <class T>
void write(const WriteArgs<T>& args) {
  const auto [batch, rows, width, heads, shifts] = args.shape;
  const std::int64_t n = whole_lines<T>(rows);
  for_items(batch, args.scratch, memory_scratch<T>(args.shape),
            [&](std::int64_t b, Pieces<T> pieces) {
              T* memory = pieces.take(width * n);
              T* weights = pieces.take(heads * n);
              transposed_rows(args.memory + b * rows * width, rows, width, n, memory);
              for (std::int64_t h = 0; h < heads; ++h) {
                padded_row(args.weights + (b * heads + h) * rows, rows, n, weights + h * n);
              }
              write_of(memory, n, width, weights, heads_of(args, b, args.erase, args.add), memory);
              rows_transposed(memory, rows, width, n, args.out + b * rows * width);
            });
}

template <class T>
void write_backward(const WriteBackwardArgs<T>& args) {
  const auto [batch, rows, width, heads, shifts] = args.shape;
  const std::int64_t n = whole_lines<T>(rows);
  for_items(batch, args.scratch, memory_scratch<T>(args.shape),
            [&](std::int64_t b, Pieces<T> pieces) {
              T* memory = pieces.take(width * n);
              T* grad_memory = pieces.take(width * n);
              T* weights = pieces.take(heads * n);
              T* grad_weights = pieces.take(heads * n);
              transposed_rows(args.memory + b * rows * width, rows, width, n, memory);
              transposed_rows(args.grad + b * rows * width, rows, width, n, grad_memory);
              zero(grad_weights, heads * n);
              for (std::int64_t h = 0; h < heads; ++h) {
                padded_row(args.weights + (b * heads + h) * rows, rows, n, weights + h * n);
              }
              write_backward_of(memory, n, width, weights, heads_of(args, b, args.erase, args.add),
                                grad_memory, grad_weights,
                                heads_of(args, b, args.grad_erase, args.grad_add));
              for (std::int64_t h = 0; h < heads; ++h) {
                copied_row(grad_weights + h * n, rows, args.grad_weights + (b * heads + h) * rows);
              }
              rows_transposed(grad_memory, rows, width, n, args.grad_memory + b * rows * width);
            });
}

}  // namespace

const MemoryTable memory_table{read<float>,           read<double>,          read_backward<float>,
                               read_backward<double>, write<float>,          write<double>,
                               write_backward<float>, write_backward<double>};

}  // namespace polyad::ntm::POLYAD_ISA
