// The server's Adam. Its numbers are those of NumPy, to the bit: nothing is fused, and every operation is rounded as there.
#include <algorithm>
#include <cmath>

#include "abi.h"

namespace {

// `FRESH`: there are no moments yet. `NOISY`: the variance of known noise is taken off.
template <bool FRESH, bool NOISY>
void advance(const ServerAdam& step) {
  const double* __restrict gradients = step.gradient;
  const float *__restrict olds = step.values, *__restrict firsts = step.first, *__restrict seconds = step.second;
  float *__restrict values = step.new_values, *__restrict new_firsts = step.new_first, *__restrict new_seconds = step.new_second;
  const double add1 = step.add1, add2 = step.add2, keep1 = step.keep1, keep2 = step.keep2, bias2 = step.bias2;
  const double variance = step.variance, floor = step.floor, epsilon = step.epsilon, rate = step.rate;
  for (std::int64_t i = 0; i < step.count; ++i) {
    const double gradient = gradients[i];
    double first = gradient * add1, second = gradient * gradient * add2;
    if (!FRESH) {
      first += static_cast<double>(firsts[i]) * keep1;
      second += static_cast<double>(seconds[i]) * keep2;
    }
    new_firsts[i] = static_cast<float>(first);
    new_seconds[i] = static_cast<float>(second);
    second /= bias2;
    if (NOISY) second = std::max(second - variance, floor);
    values[i] = static_cast<float>(static_cast<double>(olds[i]) - first * rate / (std::sqrt(second) + epsilon));
  }
}

}  // namespace

void fedau2_server_adam(const ServerAdam* step) {
  if (step->first)
    step->variance > 0 ? advance<false, true>(*step) : advance<false, false>(*step);
  else
    step->variance > 0 ? advance<true, true>(*step) : advance<true, false>(*step);
}
