// The layout of a cohort's samples, see client_sdk/kernel/batch.py.
#include <algorithm>
#include <vector>

#include "abi.h"

namespace {

// Sorts samples by slot, so that what they share of an item stays in the processor's cache.
void sort(std::int64_t size, std::int64_t slots, std::int64_t* slot, std::int64_t* client, float* labels,
          float* weights) {
  std::vector<std::int64_t> place(slots + 1, 0);
  for (std::int64_t at = 0; at < size; ++at) ++place[slot[at] + 1];
  for (std::int64_t row = 0; row < slots; ++row) place[row + 1] += place[row];
  const std::vector<std::int64_t> slot_before(slot, slot + size), client_before(client, client + size);
  const std::vector<float> labels_before(labels, labels + size), weights_before(weights, weights + size);
  for (std::int64_t at = 0; at < size; ++at) {
    const std::int64_t to = place[slot_before[at]]++;
    slot[to] = slot_before[at];
    client[to] = client_before[at];
    labels[to] = labels_before[at];
    weights[to] = weights_before[at];
  }
}

}  // namespace

void fedau2_touch(std::int64_t groups, std::int64_t clients, std::int64_t catalogue, const std::int64_t* starts,
                  const std::int64_t* items, std::int32_t* slot_of, std::int64_t* counts) {
  for (std::int64_t g = 0; g < groups; ++g) {
    std::int32_t* const slots = slot_of + g * catalogue;
    std::fill(slots, slots + catalogue, -1);
    const std::int64_t end = groups == 1 ? starts[clients] : starts[g + 1];
    for (std::int64_t at = starts[g]; at < end; ++at) slots[items[at]] = 0;
    std::int32_t count = 0;
    for (std::int64_t row = 0; row < catalogue; ++row)
      if (slots[row] == 0) slots[row] = count++;
    counts[g] = count;
  }
}

std::int64_t fedau2_join(std::int64_t groups, std::int64_t clients, std::int64_t catalogue, std::int64_t slots, bool sorted,
                         const std::int64_t* starts, const std::int64_t* ends, const std::int64_t* items,
                         const float* labels, const float* weights, const std::int32_t* slot_of, std::int64_t* slot,
                         std::int64_t* client, float* joined_labels, float* joined_weights, std::int64_t* firsts) {
  std::int64_t size = 0;
  std::vector<std::int64_t> place(catalogue, -1);  // of an item's sample; one before the client's first is another client's
  for (std::int64_t b = 0; b < clients; ++b) {
    const std::int64_t group = groups == 1 ? 0 : b, first = size;
    if (b == 0 || groups > 1) firsts[group] = size;
    for (std::int64_t at = starts[b]; at < ends[b]; ++at) {
      std::int64_t& joined = place[items[at]];
      if (joined < first) {
        joined = size++;
        slot[joined] = group * slots + slot_of[group * catalogue + items[at]];
        client[joined] = b;
        joined_labels[joined] = joined_weights[joined] = 0;
      }
      joined_weights[joined] += weights[at];
      joined_labels[joined] += weights[at] * labels[at];
    }
    for (std::int64_t at = first; at < size; ++at)
      if (joined_weights[at] != 0) joined_labels[at] /= joined_weights[at];
  }
  firsts[groups] = size;
  if (sorted) sort(size, slots, slot, client, joined_labels, joined_weights);
  return size;
}
