// Sums on the fixed-point grid, see proto/fedau2/wire/fixed.py.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "abi.h"

namespace {

constexpr std::int64_t BLOCK = 512;  // numbers
constexpr double LIMIT = 1LL << 51;
constexpr std::uint32_t SIGN = 1u << 31;

// Adding this rounds a number below LIMIT to an integer, halves to even, which then stands in the last bits of the sum.
constexpr double SHIFT = 1.5 * (1LL << 52);

template <class To, class From>
To bits(From number) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  std::memcpy(&result, &number, sizeof result);
  return result;
}

void add(std::int64_t count, const float* __restrict values, double scale, std::int64_t* __restrict sums) {
  std::uint32_t largest = 0;  // without their signs, numbers are ordered as their bits are
  for (std::int64_t j = 0; j < count; ++j) largest = std::max(largest, bits<std::uint32_t>(values[j]) & ~SIGN);
  if (bits<float>(largest) * scale < LIMIT)
    for (std::int64_t j = 0; j < count; ++j)
      sums[j] += bits<std::int64_t>(values[j] * scale + SHIFT) - bits<std::int64_t>(SHIFT);
  else
    for (std::int64_t j = 0; j < count; ++j) sums[j] += static_cast<std::int64_t>(std::rint(values[j] * scale));
}

}  // namespace

void fedau2_fold(std::int64_t rows, std::int64_t width, const std::int64_t* row, const float* values, double scale,
                 std::int64_t* total) {
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t at = 0; at < width; at += BLOCK)
      add(std::min(BLOCK, width - at), values + i * width + at, scale, total + (row ? row[i] : i) * width + at);
}
