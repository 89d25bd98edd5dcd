// Rounds contributions to integers of bounded norm and adds them up, see proto/fedau2/wire/secure/rounding.py. Every number
// of the result is specified to the bit.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "abi.h"

namespace {

using Count = std::int64_t;

constexpr Count BLOCK = 1024;             // numbers that are held at a time
constexpr std::uint32_t SIZE = 0x7fffffff;  // the bits of a float without its sign
constexpr double SHRINK = 1.0 / 4096;     // see rounding.py
constexpr double SLACK = 1e-6;            // more than what rounding adds to a norm, in relation to it

// The largest absolute value as a float; NaN is larger than infinity, because its bits are.
float largest_of(Count size, const float* values) {
  std::uint32_t most = 0;
  for (Count j = 0; j < size; ++j) {
    std::uint32_t bits;
    std::memcpy(&bits, values + j, sizeof bits);
    most = std::max(most, bits & SIZE);
  }
  float result;
  std::memcpy(&result, &most, sizeof result);
  return result;
}

double norm_of(Count size, const float* values) {
  double squares = 0;
  for (Count j = 0; j < size; ++j) squares += static_cast<double>(values[j]) * values[j];
  return std::sqrt(squares);
}

// Turns numbers into integers. A float times a power of two is exact, or so small that it is rounded to 0.
class Rounding {
 public:
  Rounding(std::int32_t exponent, double factor)
      : scale_(std::ldexp(1.0, exponent)), small_(static_cast<float>(scale_)), factor_(factor) {}

  void operator()(Count size, const float* __restrict values, std::int32_t* __restrict integers) const {
    if (factor_ == 1)
      for (Count j = 0; j < size; ++j) integers[j] = static_cast<std::int32_t>(std::rint(values[j] * small_));
    else
      for (Count j = 0; j < size; ++j)
        integers[j] = static_cast<std::int32_t>(std::rint(values[j] * scale_ * factor_));
  }

 private:
  const double scale_;
  const float small_;
  const double factor_;
};

// The numbers of one device.
class Device {
 public:
  Device(const Numbers& numbers, Count device)
      : width_(numbers.width),
        rows_(numbers.counts ? numbers.counts[device] : numbers.rows),
        values_(numbers.values ? numbers.values + device * numbers.rows * numbers.width : nullptr),
        column_(numbers.values ? nullptr : numbers.column + device * numbers.rows),
        line_(numbers.values ? nullptr : numbers.line + device * numbers.width) {}

  Count rows() const { return rows_; }

  // Calls visit(from, size, numbers) for each block of a row; `room` holds products.
  template <class Visit>
  void blocks(Count row, float* __restrict room, const Visit& visit) const {
    if (!values_ && column_[row] == 0) return;
    for (Count from = 0; from < width_; from += BLOCK) {
      const Count size = std::min(BLOCK, width_ - from);
      if (values_) {
        visit(from, size, values_ + row * width_ + from);
      } else {
        const float factor = column_[row];
        const float* __restrict line = line_ + from;
        for (Count j = 0; j < size; ++j) room[j] = factor * line[j];
        visit(from, size, room);
      }
    }
  }

  float most() const {
    if (rows_ == 0 || width_ == 0) return 0;
    if (values_) return largest_of(rows_ * width_, values_);
    const float column = largest_of(rows_, column_), line = largest_of(width_, line_);
    return std::isfinite(column) && std::isfinite(line) ? column * line : std::numeric_limits<float>::infinity();
  }

  // True if the integers, without a factor, are certainly within the clip. Rounding moves each by a half at most.
  bool within(double scale, double clip) const {
    if (values_) return false;
    const double norm = norm_of(rows_, column_) * norm_of(width_, line_) * scale;
    return (norm + std::sqrt(static_cast<double>(rows_) * width_) / 2) * (1 + SLACK) <= clip;
  }

  Count squares(const Rounding& rounding) const {
    float room[BLOCK];
    std::int32_t integers[BLOCK];
    Count total = 0;
    const auto add = [&](Count, Count size, const float* values) {
      rounding(size, values, integers);
      for (Count j = 0; j < size; ++j) total += static_cast<Count>(integers[j]) * integers[j];
    };
    if (values_ && width_ < BLOCK)  // all at once, because rows can be short
      for (Count from = 0; from < rows_ * width_; from += BLOCK)
        add(from, std::min(BLOCK, rows_ * width_ - from), values_ + from);
    else
      for (Count row = 0; row < rows_; ++row) blocks(row, room, add);
    return total;
  }

 private:
  const Count width_, rows_;
  const float *values_, *column_, *line_;
};

double fit(const Device& device, std::int32_t exponent, Count clip, Count largest) {
  const double scale = std::ldexp(1.0, exponent), most = device.most() * scale;
  if (!std::isfinite(most)) return std::numeric_limits<double>::quiet_NaN();
  double factor = most > 0 ? std::min(1.0, static_cast<double>(largest) / most) : 1.0;
  if (factor == 1 && device.within(scale, static_cast<double>(clip))) return factor;
  double shrink = SHRINK;
  for (Count squares; (squares = device.squares(Rounding(exponent, factor))) > clip * clip;) {
    factor *= std::min(static_cast<double>(clip) / std::sqrt(static_cast<double>(squares)), 1 - shrink);
    shrink = std::min(0.5, 2 * shrink);
  }
  return factor;
}

}  // namespace

void fedau2_fit(const Numbers* numbers, std::int32_t exponent, Count clip, Count largest, double* factors) {
  for (Count b = 0; b < numbers->clients; ++b) factors[b] = fit(Device(*numbers, b), exponent, clip, largest);
}

void fedau2_round(const Numbers* numbers, std::int32_t exponent, const double* factors, const Count* places,
                  Count step, Count length, std::uint32_t* total, bool* touched) {
  std::vector<Device> devices;
  std::vector<Rounding> roundings;
  for (Count b = 0; b < numbers->clients; ++b) {
    devices.emplace_back(*numbers, b);
    roundings.emplace_back(exponent, factors[b]);
  }
  float room[BLOCK];
  std::int32_t integers[BLOCK];
  // Device by device within a row, so that the row of a sum of all stays in the processor's cache.
  for (Count row = 0; row < numbers->rows; ++row)
    for (Count b = 0; b < numbers->clients; ++b) {
      if (row >= devices[b].rows()) continue;
      const Count place = places ? places[b * step + row] : row;
      std::uint32_t* const sums = total + place * numbers->width;
      std::int32_t any = 0;
      devices[b].blocks(row, room, [&](Count from, Count size, const float* values) {
        roundings[b](size, values, integers);
        for (Count j = 0; j < size; ++j) {
          sums[from + j] += static_cast<std::uint32_t>(integers[j]);
          any |= integers[j];
        }
      });
      if (touched) touched[b * length + place] |= any != 0;
    }
}
