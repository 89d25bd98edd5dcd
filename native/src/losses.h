// The binary cross-entropy, see client_sdk/kernel/losses.py.
#pragma once

#include <cmath>

#include "vectors.h"

namespace losses {

// exp of a number that is not positive, to a unit or two in the last place. It is arithmetic without a branch, which
// compilers turn into vectors.
inline float exponential(float x) {
  constexpr float ROUND = 0x1.8p23f;  // added and taken away, it rounds to a whole number
  x = std::max(x, -87.0f);
  const float shifted = x * 0x1.715476p+0f + ROUND, whole = shifted - ROUND;
  const float rest = (x - whole * 0x1.62e4p-1f) - whole * 0x1.7f7d1cp-20f;  // log 2, in two parts
  float value = 1.0f / 5040;
  value = value * rest + 1.0f / 720;
  value = value * rest + 1.0f / 120;
  value = value * rest + 1.0f / 24;
  value = value * rest + 1.0f / 6;
  value = value * rest + 0.5f;
  value = value * rest + 1;
  value = value * rest + 1;
  std::uint32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  const std::uint32_t power = (bits + 127) << 23;
  float scale;
  std::memcpy(&scale, &power, sizeof scale);
  return value * scale;
}

// Adds each sample's weighted loss to its client's, and sets `grad` to the gradients by logit.
inline void binary_cross_entropy(Count size, const float* logits, const float* labels, const float* weights,
                                 const Count* client, float* loss, float* grad) {
  for (Count i = 0; i < size; ++i) {
    const float power = exponential(-std::fabs(logits[i])), larger = 1 / (1 + power);
    grad[i] = ((logits[i] > 0 ? larger : power * larger) - labels[i]) * weights[i];
  }
  for (Count i = 0; i < size; ++i) {
    const float power = exponential(-std::fabs(logits[i]));
    loss[client[i]] += weights[i] * (std::max(logits[i], 0.0f) - logits[i] * labels[i] + std::log1p(power));
  }
}

}  // namespace losses
