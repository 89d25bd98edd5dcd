// The private tensors' Adam, in place.
#include <cmath>

#include "abi.h"

void fedau2_adam(std::int64_t clients, std::int64_t width, const std::int64_t* rows, const float* scale,
                 const float* shift, const float* gradient, float* values, float* first, float* second) {
  constexpr auto KEEP1 = static_cast<float>(1 - 0.9), KEEP2 = 0.999f, NEW2 = static_cast<float>(1 - 0.999);
  for (std::int64_t b = 0; b < clients; ++b) {
    const float* const grad = gradient + b * width;
    const std::int64_t at = rows[b] * width;
    float *const value = values + at, *const mean = first + at, *const square = second + at;
    const float factor = scale[b], summand = shift[b];
    for (std::int64_t i = 0; i < width; ++i) {
      mean[i] += KEEP1 * (grad[i] - mean[i]);
      square[i] = square[i] * KEEP2 + NEW2 * grad[i] * grad[i];
      value[i] -= mean[i] / (std::sqrt(square[i]) * factor + summand);
    }
  }
}
