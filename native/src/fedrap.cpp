// The gradients of FedRAP, and the private Adam of its large columns, in place.
#include <algorithm>
#include <cmath>
#include <vector>

#include "abi.h"
#include "losses.h"
#include "vectors.h"

namespace {

void group_gradients(const FedRAP& step, Count group) {
  const Count latent = step.latent, start = step.firsts[group], size = step.firsts[group + 1] - start;
  const Count copy = step.copies == 1 ? 0 : group, end = (group + 1) * step.slots;
  const float* const weight = step.weight + copy * latent;
  float* const weight_grad = step.weight_grad + group * latent;
  std::vector<float> logits(size), grad(size), by_slot(step.slots, 0), penalty(step.slots, 0), vector(latent);
  const auto personal = [&](Count at) {
    return step.personal + (step.rows[step.client[at]] * step.items + step.table[step.slot[at]]) * latent;
  };
  for (Count i = 0; i < size; ++i) {
    const Count at = start + i;
    logits[i] = step.bias[copy] + dot(weight, step.common + step.slot[at] * latent, latent) +
                dot(weight, personal(at), latent);
  }
  losses::binary_cross_entropy(size, logits.data(), step.labels + start, step.weights + start, step.client + start,
                               step.loss, grad.data());
  for (Count i = 0; i < size; ++i) {
    const Count at = start + i, slot = step.slot[at];
    step.bias_grad[group] += grad[i];
    add_scaled(weight_grad, step.common + slot * latent, grad[i], latent);
    add_scaled(weight_grad, personal(at), grad[i], latent);
    by_slot[slot - group * step.slots] += grad[i];
    step.by_item[step.client[at] * step.items + step.table[slot]] += grad[i];
    const float scaled = step.weights[at] * step.penalty;
    penalty[slot - group * step.slots] += scaled;
    float length = 0;
    for (Count j = 0; j < latent; ++j) length += std::fabs(step.common[slot * latent + j]);
    step.loss[step.client[at]] += scaled * length;
  }
  for (Count slot = group * step.slots, i = 0; slot < end; ++slot, ++i)
    for (Count j = 0; j < latent; ++j) {
      const float common = step.common[slot * latent + j];
      const auto sign = static_cast<float>((common > 0) - (common < 0));
      step.common_grad[slot * latent + j] = sign * penalty[i] + by_slot[i] * weight[j];
    }
}

}  // namespace

void fedau2_fedrap(const FedRAP* step) {
  for (Count group = 0; group < step->groups; ++group) group_gradients(*step, group);
}

void fedau2_sums(Count clients, Count items, Count latent, const Count* rows, const float* personal, float* sums) {
  for (Count b = 0; b < clients; ++b)
    for (Count i = 0; i < items; ++i) {
      const float* const vector = personal + (rows[b] * items + i) * latent;
      Vec total = {};
      Count j = 0;
      for (; j + LANES <= latent; j += LANES) total += load(vector + j);
      float sum_of_row = sum(total);
      for (; j < latent; ++j) sum_of_row += vector[j];
      sums[b * items + i] = sum_of_row;
    }
}

void fedau2_adam(Count clients, Count items, Count latent, const Count* rows, Count copies, const float* direction,
                 const float* by_item, const float* push, const float* whole, const float* scale, const float* shift,
                 float* values, float* first, float* second) {
  constexpr auto NEW1 = static_cast<float>(1 - 0.9), KEEP2 = 0.999f, NEW2 = static_cast<float>(1 - 0.999);
  for (Count b = 0; b < clients; ++b) {
    const float factor = scale[b], summand = shift[b];
    const float* __restrict along = direction + (copies == 1 ? 0 : b * latent);
    for (Count i = 0; i < items; ++i) {
      const Count number = b * items + i, at = (rows[b] * items + i) * latent;
      const float size = by_item[number], pushed = push ? push[number] : 0;
      const float* __restrict more = whole ? whole + number * latent : nullptr;
      float *__restrict value = values + at, *__restrict mean = first + at, *__restrict square = second + at;
      const auto advance = [&](Count j, float grad) {
        mean[j] += NEW1 * (grad - mean[j]);
        square[j] = square[j] * KEEP2 + NEW2 * grad * grad;
        value[j] -= mean[j] / (std::sqrt(square[j]) * factor + summand);
      };
      if (more)
        for (Count j = 0; j < latent; ++j) advance(j, size * along[j] + pushed + more[j]);
      else
        for (Count j = 0; j < latent; ++j) advance(j, size * along[j] + pushed);
    }
  }
}
