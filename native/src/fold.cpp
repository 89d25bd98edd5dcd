// Sums on the fixed-point grid, see proto/fedau2/wire/fixed.py.
#include <cmath>

#include "abi.h"

void fedau2_fold(std::int64_t rows, std::int64_t width, const std::int64_t* row, const float* values, double scale,
                 std::int64_t* total) {
  for (std::int64_t i = 0; i < rows; ++i) {
    std::int64_t* const sums = total + (row ? row[i] : i) * width;
    const float* const line = values + i * width;
    for (std::int64_t j = 0; j < width; ++j) sums[j] += static_cast<std::int64_t>(std::rint(line[j] * scale));
  }
}
