// What a variant of the library offers: plain C, with arrays that the caller owns. No function throws or keeps anything.
//
// Arrays are contiguous and row by row. B is the number of clients, G that of groups of samples, which have shared tensors
// of their own. Every client belongs to one group; there are as many groups as clients, or there is one.
#pragma once

#include <cstdint>

#define FEDAU2_EXPORT extern "C" __attribute__((visibility("default")))

// Changes with every change of a signature or a struct.
FEDAU2_EXPORT std::int32_t fedau2_abi();

// Draws the samples of contrasts. `starts` (B + 1) says where a client's interactions begin, and the samples of client b
// begin at starts[b] * (1 + negatives). `importance` is of the interactions, or null.
FEDAU2_EXPORT void fedau2_contrasts(std::int64_t clients, const unsigned char* keys, std::uint64_t round,
                                    std::uint64_t stream, std::int64_t catalogue, std::int64_t steps,
                                    std::int64_t negatives, std::int64_t chunk, const std::int64_t* starts,
                                    const std::int64_t* interactions, const float* importance, std::int64_t* items,
                                    float* labels, float* weights);

// Draws `count` standard normal numbers of each client's stream, (B, count).
FEDAU2_EXPORT void fedau2_normals(std::int64_t clients, const unsigned char* keys, std::uint64_t round,
                                  std::uint64_t stream, std::int64_t count, float* normals);

// Draws `count[b]` uniform numbers of each client's stream, one client after another.
FEDAU2_EXPORT void fedau2_uniforms(std::int64_t clients, const unsigned char* keys, std::uint64_t round,
                                   std::uint64_t stream, const std::int64_t* counts, float* uniforms);

// Finds the rows that each group touches. `starts` (B + 1) says where a client's samples begin. `slot_of` (catalogue of each
// group) gets the place of each touched row among its group's, and -1 elsewhere; `counts` (G) the numbers of touched rows.
FEDAU2_EXPORT void fedau2_touch(std::int64_t groups, std::int64_t clients, std::int64_t catalogue,
                                const std::int64_t* starts, const std::int64_t* items, std::int32_t* slot_of,
                                std::int64_t* counts);

// Lays out the samples of one step, of which client b has those from starts[b] to before ends[b]. Those of the same client
// and item become one: the sum of their weights, and the weighted mean of their labels. `slots` is the most rows of a group.
// The samples come sorted by client, or by slot where `sorted` is true, which needs one group.
// Returns how many there are, at most all; `firsts` (G + 1) gets where the samples of each group begin.
FEDAU2_EXPORT std::int64_t fedau2_join(std::int64_t groups, std::int64_t clients, std::int64_t catalogue,
                                       std::int64_t slots, bool sorted, const std::int64_t* starts, const std::int64_t* ends,
                                       const std::int64_t* items, const float* labels, const float* weights,
                                       const std::int32_t* slot_of, std::int64_t* slot, std::int64_t* client,
                                       float* joined_labels, float* joined_weights, std::int64_t* firsts);

// The gradients of FedNCF, see client_sdk/kernel/fedncf.py. A tensor without an axis of groups is common to all of them.
struct FedNCF {
  std::int64_t groups, clients, slots;
  std::int64_t copies;  // of the dense tensors: G, or 1 while all groups agree
  std::int64_t gmf, mlp, layers;
  const std::int64_t* hidden;                             // widths of the layers
  const std::int64_t *firsts, *slot, *client;             // (G + 1), (samples), (samples)
  const float *labels, *weights;                          // (samples)
  const float *user_gmf, *user_mlp, *item_gmf, *item_mlp;  // (B, gmf), (B, mlp), (G * slots, gmf), (G * slots, mlp)
  const float* const* layer_weights;                      // of each layer and the output, (copies, ...)
  const float* const* layer_biases;
  float* loss;                                                           // (B)
  float *user_gmf_grad, *user_mlp_grad, *item_gmf_grad, *item_mlp_grad;  // set to 0 by the caller
  float* const* layer_weight_grads;                                      // (G, ...), set to 0 by the caller
  float* const* layer_bias_grads;
};
FEDAU2_EXPORT void fedau2_fedncf(const FedNCF* step);

// The gradients of FedRAP, see client_sdk/kernel/fedrap.py. Client b's vectors are row `rows[b]` of `personal`.
struct FedRAP {
  std::int64_t groups, clients, slots, items, latent;
  std::int64_t copies;                              // of the output: G, or 1 while all groups agree
  float penalty;                                    // weight of a number's absolute value
  const std::int64_t *firsts, *slot, *client;       // (G + 1), (samples), (samples)
  const float *labels, *weights;                    // (samples)
  const std::int64_t *table, *rows;                 // catalogue row of each slot, (G * slots); (B)
  const float *common, *personal, *weight, *bias;   // (G * slots, latent), (columns, items, latent), (copies, latent), (copies)
  float* loss;                                      // (B), set to 0 by the caller
  float *common_grad, *weight_grad, *bias_grad;     // (G * slots, latent), (G, latent), (G), set to 0 by the caller
  float* by_item;                                   // (B, items), set to 0: the gradients by `personal` are these times `weight`
};
FEDAU2_EXPORT void fedau2_fedrap(const FedRAP* step);

// sums[b, i] = the sum of personal[rows[b], i]; `sums` is (B, items).
FEDAU2_EXPORT void fedau2_sums(std::int64_t clients, std::int64_t items, std::int64_t latent, const std::int64_t* rows,
                               const float* personal, float* sums);

// A step of private Adam on rows of columns: client b's is row `rows[b]`, of `items` vectors of `latent` numbers. The gradient
// of vector i is by_item[b, i] * direction + push[b, i] (+ whole[b, i]); `push` and `whole` may be null. `direction` is of the
// client where `copies` is above 1. `scale` and `shift` (B) are those of client_sdk/kernel/adam.py.
FEDAU2_EXPORT void fedau2_adam(std::int64_t clients, std::int64_t items, std::int64_t latent, const std::int64_t* rows,
                               std::int64_t copies, const float* direction, const float* by_item, const float* push,
                               const float* whole, const float* scale, const float* shift, float* values, float* first,
                               float* second);

// total[rows[i]] += rint(values[i] * scale), in double precision; `rows` is null for all rows in order. The product must lie
// below 2^62.
FEDAU2_EXPORT void fedau2_fold(std::int64_t rows, std::int64_t width, const std::int64_t* row, const float* values,
                               double scale, std::int64_t* total);

// The server's step by Adam on `count` numbers, see coordinator/aggregation/optimizers.py. `first` and `second` are null before
// the first step; `variance` is 0 where there is no known noise. The new arrays are not the old ones.
struct ServerAdam {
  std::int64_t count;
  const double* gradient;
  const float *values, *first, *second;
  float *new_values, *new_first, *new_second;
  double add1, add2;    // 1 - beta
  double keep1, keep2;  // beta
  double bias2;         // 1 - beta2^steps
  double variance, floor, epsilon;
  double rate;  // learning rate / (1 - beta1^steps)
};
FEDAU2_EXPORT void fedau2_server_adam(const ServerAdam* step);

// Numbers of one tensor that some clients contribute, in `rows` rows of `width`. They are `values`, or where that is null the
// products of a column and a line: column[b, i] * line[b, j].
struct Numbers {
  std::int64_t clients, rows, width;
  const std::int64_t* counts;  // rows that each client has, (B); null: all
  const float* values;         // (B, rows, width)
  const float *column, *line;  // (B, rows), (B, width)
};

// The factors by which the clients' numbers are scaled down, (B): rint(number * 2^exponent * factor) is at most `largest`, below
// 2^16, and the sum of the squares at most clip^2. A factor is NaN where a number is not finite.
FEDAU2_EXPORT void fedau2_fit(const Numbers* numbers, std::int32_t exponent, std::int64_t clip, std::int64_t largest,
                              double* factors);

// total[places[b * step + i]] += rint(numbers[b, i] * 2^exponent * factors[b]), modulo 2^32; `places` is null for all rows in
// order. The tensor has `length` rows. `touched` (B, length), if it is not null, becomes true where an integer of a row is not 0.
FEDAU2_EXPORT void fedau2_round(const Numbers* numbers, std::int32_t exponent, const double* factors,
                                const std::int64_t* places, std::int64_t step, std::int64_t length, std::uint32_t* total,
                                bool* touched);

// Writes (words + masks) modulo 2^bits, `bits` each, the least significant bit first; `bits` is a multiple of 4, from 20 to 32.
// `masks` may be null.
FEDAU2_EXPORT void fedau2_pack(std::int64_t count, std::int32_t bits, const std::uint32_t* words, const std::uint32_t* masks,
                               std::uint8_t* packed);

// total += sign * what `fedau2_pack` wrote, modulo 2^32.
FEDAU2_EXPORT void fedau2_unpack(std::int64_t count, std::int32_t bits, const std::uint8_t* packed, std::int32_t sign,
                                 std::uint32_t* total);
