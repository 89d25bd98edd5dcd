// The gradients of FedRAP, and the private Adam of its large columns, in place.
#include <algorithm>
#include <cmath>
#include <vector>

#include "abi.h"
#include "losses.h"
#include "vectors.h"

namespace {

constexpr Count LINE = 16;   // numbers in a line of the cache
constexpr Count TILE = 256;  // samples, whose vectors stay in the processor's cache

// One group of samples. What is common to all samples of a row is computed once.
class Group {
 public:
  Group(const FedRAP& step, Count group)
      : step_(step),
        group_(group),
        first_slot_(group * step.slots),
        weight_(step.weight + (step.copies == 1 ? 0 : group) * step.latent),
        weight_grad_(step.weight_grad + group * step.latent),
        logit_(step.slots),
        length_(step.slots),
        grad_(step.slots, 0),
        penalty_(step.slots, 0) {}

  void run() {
    for (Count slot = 0; slot < step_.slots; ++slot) {
      logit_[slot] = step_.bias[step_.copies == 1 ? 0 : group_] + dot(weight_, common(slot), step_.latent);
      for (Count j = 0; j < step_.latent; ++j) length_[slot] += std::fabs(common(slot)[j]);
    }
    const Count end = step_.firsts[group_ + 1];
    for (Count start = step_.firsts[group_]; start < end; start += TILE) tile(start, std::min(TILE, end - start));
    for (Count slot = 0; slot < step_.slots; ++slot) row_gradient(slot);
  }

 private:
  const float* common(Count slot) const { return step_.common + (first_slot_ + slot) * step_.latent; }
  Count item(Count sample) const { return step_.table[step_.slot[sample]]; }
  const float* personal(Count sample) const {
    return step_.personal + (step_.rows[step_.client[sample]] * step_.items + item(sample)) * step_.latent;
  }

  void tile(Count start, Count size) {
    float logits[TILE], grad[TILE];
    // The vectors lie far apart, and are fetched all at once instead of one after another.
    for (Count i = 0; i < size; ++i)
      for (Count j = 0; j < step_.latent; j += LINE) __builtin_prefetch(personal(start + i) + j);
    for (Count i = 0; i < size; ++i)
      logits[i] = logit_[step_.slot[start + i] - first_slot_] + dot(weight_, personal(start + i), step_.latent);
    losses::binary_cross_entropy(size, logits, step_.labels + start, step_.weights + start, step_.client + start,
                                 step_.loss, grad);
    for (Count i = 0; i < size; ++i) {
      const Count at = start + i, slot = step_.slot[at] - first_slot_;
      add_scaled(weight_grad_, personal(at), grad[i], step_.latent);
      grad_[slot] += grad[i];
      step_.by_item[step_.client[at] * step_.items + item(at)] += grad[i];
      const float scaled = step_.weights[at] * step_.penalty;
      penalty_[slot] += scaled;
      step_.loss[step_.client[at]] += scaled * length_[slot];
    }
  }

  void row_gradient(Count slot) {
    step_.bias_grad[group_] += grad_[slot];
    add_scaled(weight_grad_, common(slot), grad_[slot], step_.latent);
    float* const out = step_.common_grad + (first_slot_ + slot) * step_.latent;
    for (Count j = 0; j < step_.latent; ++j) {
      const float number = common(slot)[j];
      out[j] = static_cast<float>((number > 0) - (number < 0)) * penalty_[slot] + grad_[slot] * weight_[j];
    }
  }

  const FedRAP& step_;
  const Count group_, first_slot_;
  const float* const weight_;
  float* const weight_grad_;
  std::vector<float> logit_, length_, grad_, penalty_;
};

}  // namespace

void fedau2_fedrap(const FedRAP* step) {
  for (Count group = 0; group < step->groups; ++group) Group(*step, group).run();
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
