// Draws of many clients, each from its own key.
#include <algorithm>
#include <vector>

#include "abi.h"
#include "streams.h"

namespace {

// Where the lines of a step begin, as numpy.array_split cuts them.
std::int64_t cut(std::int64_t lines, std::int64_t steps, std::int64_t step) {
  return step * (lines / steps) + std::min(step, lines % steps);
}

class Contrasts {
 public:
  Contrasts(std::int64_t catalogue, std::int64_t steps, std::int64_t negatives, std::int64_t chunk)
      : catalogue_(catalogue), steps_(steps), negatives_(negatives), chunk_(chunk) {}

  void draw(Stream& stream, std::int64_t count, const std::int64_t* own, const float* importance, std::int64_t* items,
            float* labels, float* weights) {
    order_.resize(count);
    outside_.resize(count);
    for (std::int64_t place = 0; place < count; ++place) {
      order_[place] = static_cast<std::uint32_t>(place);
      // This many items outside lie before the interaction.
      outside_[place] = static_cast<std::uint32_t>(own[place] - place);
    }
    for (std::int64_t place = count - 1; place > 0; --place)
      std::swap(order_[place], order_[stream.masked(static_cast<std::uint32_t>(place))]);
    const auto largest = static_cast<std::uint32_t>(catalogue_ - count - 1);
    for (std::int64_t place = 0; place < count; ++place) {
      *items++ = own[order_[place]];
      for (std::int64_t i = 0; i < negatives_; ++i) {
        const std::uint32_t rank = stream.bounded(largest);
        *items++ = rank + not_above(rank);
      }
    }
    const std::int64_t line = 1 + negatives_;
    for (std::int64_t step = 0; step < steps_; ++step) {
      const std::int64_t start = line * cut(count, steps_, step), size = line * cut(count, steps_, step + 1) - start;
      weigh(size, weights + start);
    }
    std::fill(labels, labels + line * count, 0.0f);
    for (std::int64_t place = 0; place < count; ++place) {
      labels[line * place] = 1;
      if (!importance) continue;
      for (std::int64_t i = 0; i < line; ++i) weights[line * place + i] *= importance[order_[place]];
    }
  }

 private:
  // How many of the sorted numbers are at most `rank`: a search without a branch, which could not be foreseen.
  std::int64_t not_above(std::uint32_t rank) const {
    const std::uint32_t* from = outside_.data();
    for (std::size_t size = outside_.size(); size > 1; size -= size / 2) from += (from[size / 2 - 1] <= rank) * (size / 2);
    return from - outside_.data() + (*from <= rank);
  }

  // One over the size of the sample's chunk.
  void weigh(std::int64_t size, float* weights) const {
    std::fill(weights, weights + size, static_cast<float>(1.0 / static_cast<double>(chunk_)));
    if (const std::int64_t rest = size % chunk_)
      std::fill(weights + size - rest, weights + size, static_cast<float>(1.0 / static_cast<double>(rest)));
  }

  std::int64_t catalogue_, steps_, negatives_, chunk_;
  std::vector<std::uint32_t> order_ = {}, outside_ = {};
};

}  // namespace

void fedau2_contrasts(std::int64_t clients, const unsigned char* keys, std::uint64_t round, std::uint64_t stream,
                      std::int64_t catalogue, std::int64_t steps, std::int64_t negatives, std::int64_t chunk,
                      const std::int64_t* starts, const std::int64_t* interactions, const float* importance,
                      std::int64_t* items, float* labels, float* weights) {
  Contrasts contrasts(catalogue, steps, negatives, chunk);
  for (std::int64_t b = 0; b < clients; ++b) {
    Stream numbers(keys + 16 * b, round, stream);
    const std::int64_t at = starts[b] * (1 + negatives);
    contrasts.draw(numbers, starts[b + 1] - starts[b], interactions + starts[b],
                   importance ? importance + starts[b] : nullptr, items + at, labels + at, weights + at);
  }
}

void fedau2_normals(std::int64_t clients, const unsigned char* keys, std::uint64_t round, std::uint64_t stream,
                    std::int64_t count, float* normals) {
  for (std::int64_t b = 0; b < clients; ++b) {
    Stream numbers(keys + 16 * b, round, stream);
    for (std::int64_t i = 0; i < count; ++i) *normals++ = numbers.normal();
  }
}

void fedau2_uniforms(std::int64_t clients, const unsigned char* keys, std::uint64_t round, std::uint64_t stream,
                     const std::int64_t* counts, float* uniforms) {
  for (std::int64_t b = 0; b < clients; ++b) {
    Stream numbers(keys + 16 * b, round, stream);
    for (std::int64_t i = 0; i < counts[b]; ++i) *uniforms++ = numbers.uniform();
  }
}
