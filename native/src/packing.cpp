// Writes and reads integers of some bits each, see proto/fedau2/wire/secure/packing.py. Two of them fill whole bytes.
#include <cstring>

#include "abi.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "pairs are written as they lie in memory");

namespace {

using Count = std::int64_t;

std::uint64_t mask_of(std::int32_t bits) { return (std::uint64_t{1} << bits) - 1; }

// Adds the two lowest integers of `pair`, times a factor, to sums.
void add(std::uint64_t pair, std::int32_t bits, std::uint32_t factor, std::uint32_t* sums, bool both) {
  sums[0] += factor * static_cast<std::uint32_t>(pair & mask_of(bits));
  if (both) sums[1] += factor * static_cast<std::uint32_t>(pair >> bits & mask_of(bits));
}

}  // namespace

void fedau2_pack(Count count, std::int32_t bits, const std::uint32_t* words, const std::uint32_t* masks,
                 std::uint8_t* packed) {
  const std::uint64_t mask = mask_of(bits);
  const Count bytes = (count * bits + 7) / 8, stride = bits / 4;
  Count i = 0, at = 0;
  const auto word = [&](Count k) { return (masks ? words[k] + masks[k] : words[k]) & mask; };
  for (; i + 2 <= count && at + 8 <= bytes; i += 2, at += stride) {
    const std::uint64_t pair = word(i) | word(i + 1) << bits;  // what is written too much is overwritten
    std::memcpy(packed + at, &pair, sizeof pair);
  }
  for (; i < count; i += 2, at += stride) {
    const std::uint64_t pair = word(i) | (i + 1 < count ? word(i + 1) << bits : 0);
    std::memcpy(packed + at, &pair, static_cast<std::size_t>(bytes - at < stride ? bytes - at : stride));
  }
}

void fedau2_unpack(Count count, std::int32_t bits, const std::uint8_t* packed, std::int32_t sign,
                   std::uint32_t* total) {
  const auto factor = static_cast<std::uint32_t>(sign);
  const Count bytes = (count * bits + 7) / 8, stride = bits / 4;
  Count i = 0, at = 0;
  for (; i + 2 <= count && at + 8 <= bytes; i += 2, at += stride) {
    std::uint64_t pair;
    std::memcpy(&pair, packed + at, sizeof pair);
    add(pair, bits, factor, total + i, true);
  }
  for (; i < count; i += 2, at += stride) {
    std::uint64_t pair = 0;
    std::memcpy(&pair, packed + at, static_cast<std::size_t>(bytes - at < stride ? bytes - at : stride));
    add(pair, bits, factor, total + i, i + 1 < count);
  }
}
