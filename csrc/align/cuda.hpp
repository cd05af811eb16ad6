// The align kernels on CUDA. The contracts are those of ableu.hpp and similarity.hpp; every pointer
// is a device address, work goes to `stream` of the current device, nothing is allocated and
// nothing waits. Sums are taken in the order of the CPU; log and exp are the device's.
#pragma once

#include <cuda_runtime_api.h>

#include "align/ableu.hpp"
#include "align/similarity.hpp"

namespace polyad::align::cuda {

// A pair with a sentence of more than kMostWords words, or with a number that no sentence has, gets
// NaN.
void ableu_pairs(const AbleuPairsArgs& args, cudaStream_t stream);

// scratch and parts are not read.
void neighbours(const NeighboursArgs& args, cudaStream_t stream);

}  // namespace polyad::align::cuda
