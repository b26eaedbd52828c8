// tests/crash/sim_checksum.h - checksums that are not looked at, one kind at a time
//
// Stands in front of libsodium's function in the program that links it: what it sums up as zero,
// writer and reader agree on whatever the bytes are.
#pragma once

#include <string>

namespace rims::store {

// "record header", "record meta", "message", "structure", "footer", "segment header"; or "key": no
// segment has one of its own. Empty: all are looked at.
extern std::string checksum_mutant;

}  // namespace rims::store
