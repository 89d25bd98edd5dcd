// A client's random numbers, number for number those of docs/protocol/draws.md. Files that include this are compiled without
// fused products, which would give other numbers.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "ziggurat.h"

class Stream {
 public:
  Stream(const unsigned char* key, std::uint64_t round, std::uint64_t number) : round_(round), number_(number) {
    std::memcpy(key_, key, sizeof key_);
  }

  std::uint32_t word() {
    if (position_ == 8) refill();
    return halves_[position_++];
  }

  // Uniform on [0, 1).
  float uniform() { return static_cast<float>(word() >> 8) * 0x1p-24f; }

  // A whole number from 0 to `largest`, below 2^32 - 1, by Lemire's method; 0 draws nothing.
  std::uint32_t bounded(std::uint32_t largest) {
    if (largest == 0) return 0;
    const std::uint32_t range = largest + 1;
    std::uint64_t product = std::uint64_t{word()} * range;
    if (static_cast<std::uint32_t>(product) < range) {
      const std::uint32_t threshold = (0u - range) % range;
      while (static_cast<std::uint32_t>(product) < threshold) product = std::uint64_t{word()} * range;
    }
    return static_cast<std::uint32_t>(product >> 32);
  }

  // A whole number from 0 to `largest`, which is above 0: the low bits of words, until they are not above it.
  std::uint32_t masked(std::uint32_t largest) {
    const std::uint32_t mask = 0xffffffffu >> __builtin_clz(largest);
    for (;;) {
      const std::uint32_t value = word() & mask;
      if (value <= largest) return value;
    }
  }

  float normal() {
    for (;;) {
      const std::uint32_t bits = word(), layer = bits & 0xff, size = bits >> 9;
      const float width = static_cast<float>(size) * ziggurat::WIDTH[layer], value = bits & 0x100 ? -width : width;
      if (size < ziggurat::AREA[layer]) return value;
      if (layer == 0) return tail(size);
      const float step = (ziggurat::HEIGHT[layer - 1] - ziggurat::HEIGHT[layer]) * uniform();
      const float height = step + ziggurat::HEIGHT[layer];
      if (height < std::exp(-0.5 * value * value)) return value;
    }
  }

 private:
  float tail(std::uint32_t size) {
    for (;;) {
      const float beyond = -ziggurat::INVERSE_TAIL * std::log1p(-uniform());
      const float height = -std::log1p(-uniform());
      const float square = beyond * beyond;
      if (height + height > square) {
        const float value = ziggurat::TAIL + beyond;
        return size >> 8 & 1 ? -value : value;
      }
    }
  }

  // Philox4x64-10 of the counter (n, 0, round, number).
  void refill() {
    std::uint64_t a = ++block_, b = 0, c = round_, d = number_, k = key_[0], l = key_[1];
    for (int turn = 0; turn < 10; ++turn) {
      const auto left = static_cast<unsigned __int128>(a) * 0xd2e7470ee14c6c93u;
      const auto right = static_cast<unsigned __int128>(c) * 0xca5a826395121157u;
      a = static_cast<std::uint64_t>(right >> 64) ^ b ^ k;
      b = static_cast<std::uint64_t>(right);
      c = static_cast<std::uint64_t>(left >> 64) ^ d ^ l;
      d = static_cast<std::uint64_t>(left);
      k += 0x9e3779b97f4a7c15u;
      l += 0xbb67ae8584caa73bu;
    }
    const std::uint64_t words[] = {a, b, c, d};
    for (int i = 0; i < 4; ++i) {
      halves_[2 * i] = static_cast<std::uint32_t>(words[i]);
      halves_[2 * i + 1] = static_cast<std::uint32_t>(words[i] >> 32);
    }
    position_ = 0;
  }

  std::uint64_t key_[2], round_, number_, block_ = 0;
  std::uint32_t halves_[8];
  int position_ = 8;
};
