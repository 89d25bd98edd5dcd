// Products of small matrices whose operands lie in the processor's cache, so that nothing is packed beforehand.
#pragma once

#include <algorithm>

#include "vectors.h"

// A matrix whose element (i, j) is at `data[i * row + j * column]`: so a transposed matrix needs no copy.
struct Matrix {
  const float* data;
  Count row;
  Count column = 1;
};

namespace products {

// Rows and vectors of a tile: as many as keep all registers of the processor busy, and no more.
#if VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int ROWS = 6, VECTORS = 4;
#else
constexpr int ROWS = 6, VECTORS = 2;
#endif
constexpr Count DEPTH = 256;  // of a product, so that the rows of the second factor stay in the cache

// Not inlined: among other code the compiler would run out of registers and keep sums in memory.
template <int rows, int vectors>
__attribute__((noinline)) void tile(Count depth, Matrix a, const float* b, Count b_row, float* c, Count c_row, bool add) {
  Vec total[rows][vectors];
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < vectors; ++j) total[i][j] = add ? load(c + i * c_row + j * LANES) : Vec{};
  for (Count p = 0; p < depth; ++p) {
    Vec line[vectors];
    for (int j = 0; j < vectors; ++j) line[j] = load(b + p * b_row + j * LANES);
    for (int i = 0; i < rows; ++i) {
      const float factor = a.data[i * a.row + p * a.column];
      for (int j = 0; j < vectors; ++j) total[i][j] += factor * line[j];
    }
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < vectors; ++j) store(c + i * c_row + j * LANES, total[i][j]);
}

template <int vectors>
inline void stripe(Count rows, Count depth, Matrix a, const float* b, Count b_row, float* c, Count c_row, bool add) {
  Count i = 0;
  for (; i + ROWS <= rows; i += ROWS)
    tile<ROWS, vectors>(depth, {a.data + i * a.row, a.row, a.column}, b, b_row, c + i * c_row, c_row, add);
  const Matrix rest = {a.data + i * a.row, a.row, a.column};
  switch (rows - i) {
    case 1: return tile<1, vectors>(depth, rest, b, b_row, c + i * c_row, c_row, add);
    case 2: return tile<2, vectors>(depth, rest, b, b_row, c + i * c_row, c_row, add);
    case 3: return tile<3, vectors>(depth, rest, b, b_row, c + i * c_row, c_row, add);
    case 4: return tile<4, vectors>(depth, rest, b, b_row, c + i * c_row, c_row, add);
    case 5: return tile<5, vectors>(depth, rest, b, b_row, c + i * c_row, c_row, add);
  }
}

// The columns that do not fill a vector.
inline void scalar(Count rows, Count columns, Count depth, Matrix a, const float* b, Count b_row, float* c, Count c_row,
                   bool add) {
  for (Count i = 0; i < rows; ++i)
    for (Count j = 0; j < columns; ++j) {
      float total = add ? c[i * c_row + j] : 0;
      for (Count p = 0; p < depth; ++p) total += a.data[i * a.row + p * a.column] * b[p * b_row + j];
      c[i * c_row + j] = total;
    }
}

}  // namespace products

// c = a b, or c += a b where `add` is true; a is (rows, depth), b is (depth, columns) with rows of `b_row` numbers.
inline void multiply(Count rows, Count columns, Count depth, Matrix a, const float* b, Count b_row, float* c,
                     Count c_row, bool add) {
  using namespace products;
  for (Count start = 0; start == 0 || start < depth; start += DEPTH) {
    const Count part = std::min(DEPTH, depth - start);
    const Matrix left = {a.data + start * a.column, a.row, a.column};
    const float* right = b + start * b_row;
    const bool adding = add || start > 0;
    Count j = 0;
    for (; j + VECTORS * LANES <= columns; j += VECTORS * LANES)
      stripe<VECTORS>(rows, part, left, right + j, b_row, c + j, c_row, adding);
    for (; j + LANES <= columns; j += LANES) stripe<1>(rows, part, left, right + j, b_row, c + j, c_row, adding);
    if (j < columns) scalar(rows, columns - j, part, left, right + j, b_row, c + j, c_row, adding);
  }
}

// to[j, i] = from[i, j]; from is (rows, columns) with rows of `from_row` numbers.
inline void transpose(Count rows, Count columns, const float* from, Count from_row, float* to) {
  for (Count i = 0; i < rows; ++i)
    for (Count j = 0; j < columns; ++j) to[j * rows + i] = from[i * from_row + j];
}
