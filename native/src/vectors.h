// Vectors of the width that a variant is compiled for, by GCC's and Clang's vector extensions, and products of matrices.
#pragma once

#include <cstdint>
#include <cstring>

#ifndef VECTOR_BYTES
#define VECTOR_BYTES 16
#endif

using Count = std::int64_t;
typedef float Vec __attribute__((vector_size(VECTOR_BYTES)));
constexpr Count LANES = VECTOR_BYTES / 4;

inline Vec load(const float* from) {
  Vec value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline void store(float* to, Vec value) { std::memcpy(to, &value, sizeof value); }

// The sum of the lanes, half by half.
inline float sum(Vec value) {
  float lanes[LANES];
  std::memcpy(lanes, &value, sizeof value);
  for (Count half = LANES / 2; half > 0; half /= 2)
    for (Count lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

// The dot product of two arrays.
inline float dot(const float* a, const float* b, Count size) {
  Vec total = {};
  Count at = 0;
  for (; at + LANES <= size; at += LANES) total += load(a + at) * load(b + at);
  float result = sum(total);
  for (; at < size; ++at) result += a[at] * b[at];
  return result;
}

// to += from
inline void add(float* __restrict to, const float* __restrict from, Count size) {
  for (Count at = 0; at < size; ++at) to[at] += from[at];
}

// to += factor * from
inline void add_scaled(float* __restrict to, const float* __restrict from, float factor, Count size) {
  for (Count at = 0; at < size; ++at) to[at] += factor * from[at];
}
