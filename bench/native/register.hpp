// One function per file of benchmarks: registers its cases at a level.
#pragma once

#include "common/isa.hpp"

namespace polyad::bench {

void register_planes(Isa level);
void register_match(Isa level);
void register_energy(Isa level);
void register_gibbs(Isa level);
void register_addressing(Isa level);
void register_memory(Isa level);
void register_scan(Isa level);
void register_squash(Isa level);
void register_em_routing(Isa level);
void register_routing(Isa level);
void register_similarity(Isa level);

// One level only: not compiled per instruction set.
void register_ableu();
void register_bleu();
void register_beads();
void register_gale_church();

}  // namespace polyad::bench
