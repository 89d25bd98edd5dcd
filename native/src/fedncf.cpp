// The gradients of FedNCF. The structure is that of client_sdk/kernel/fedncf.py: the item half of the first layer is applied
// to each touched row once. All else is done in tiles of samples, whose activations stay in the processor's cache.
#include <cmath>
#include <vector>

#include "abi.h"
#include "losses.h"
#include "products.h"

namespace {

constexpr Count TILE = 96;  // samples

using Numbers = std::vector<float>;

// One group of samples, with the shared tensors that it sees.
class Group {
 public:
  Group(const FedNCF& step, Count group)
      : step_(step),
        group_(group),
        copy_(step.copies == 1 ? 0 : group),
        first_(step.hidden[0]),
        last_(step.hidden[step.layers - 1]),
        start_(step.firsts[group]),
        end_(step.firsts[group + 1]),
        // A group of one client has each row in one sample, so that nothing would be saved.
        by_row_(step.groups == 1 && step.clients > 1) {}

  void run() {
    prepare();
    for (Count start = start_; start < end_; start += TILE) tile(start, std::min(TILE, end_ - start));
    finish();
  }

 private:
  // A dense tensor of this group, and its gradient. Layer `layers` is the output.
  const float* weight(Count layer) const { return step_.layer_weights[layer] + copy_ * size(layer); }
  const float* bias(Count layer) const { return step_.layer_biases[layer] + copy_ * outputs(layer); }
  float* weight_grad(Count layer) const { return step_.layer_weight_grads[layer] + group_ * size(layer); }
  float* bias_grad(Count layer) const { return step_.layer_bias_grads[layer] + group_ * outputs(layer); }
  Count outputs(Count layer) const { return layer == step_.layers ? 1 : step_.hidden[layer]; }
  Count inputs(Count layer) const {
    if (layer == 0) return 2 * step_.mlp;
    return layer == step_.layers ? step_.gmf + last_ : step_.hidden[layer - 1];
  }
  Count size(Count layer) const { return inputs(layer) * outputs(layer); }
  Count clients() const { return step_.groups == 1 ? step_.clients : 1; }
  const float* users() const { return step_.user_mlp + group_ * step_.mlp; }
  const float* items() const { return step_.item_mlp + group_ * step_.slots * step_.mlp; }
  float* items_grad() const { return step_.item_mlp_grad + group_ * step_.slots * step_.mlp; }

  void prepare() {
    const Count mlp = step_.mlp, layers = step_.layers;
    turned_.resize(layers);
    for (Count layer = 0; layer < layers; ++layer) {
      turned_[layer].resize(size(layer));
      transpose(outputs(layer), inputs(layer), weight(layer), inputs(layer), turned_[layer].data());
    }
    user_hidden_.resize(clients() * first_);
    for (Count b = 0; b < clients(); ++b) std::copy_n(bias(0), first_, &user_hidden_[b * first_]);
    multiply(clients(), first_, mlp, {users(), mlp}, turned_[0].data(), first_, user_hidden_.data(), first_, true);
    user_grad_.assign(clients() * first_, 0);
    if (by_row_) {
      item_hidden_.resize(step_.slots * first_);
      multiply(step_.slots, first_, mlp, {items(), mlp}, item_half(), first_, item_hidden_.data(), first_, false);
      item_grad_.assign(step_.slots * first_, 0);
    } else {
      rows_.resize(TILE * mlp);
    }
    hidden_.resize(layers);
    grads_.resize(layers);
    for (Count layer = 0; layer < layers; ++layer) {
      hidden_[layer].resize(TILE * step_.hidden[layer]);
      grads_[layer].resize(TILE * step_.hidden[layer]);
    }
    scaled_.resize(clients() * step_.gmf);
    gmf_grad_.assign(clients() * step_.gmf, 0);
    for (Count b = 0; b < clients(); ++b)
      for (Count i = 0; i < step_.gmf; ++i) scaled_[b * step_.gmf + i] = gmf_user(b)[i] * weight(layers)[i];
  }

  // The item half of the first layer, (mlp, first).
  const float* item_half() const { return turned_[0].data() + step_.mlp * first_; }
  const float* gmf_user(Count b) const { return step_.user_gmf + (group_ + b) * step_.gmf; }

  void tile(Count start, Count size) {
    forward(start, size);
    float logits[TILE], grad[TILE];
    const Count layers = step_.layers, gmf = step_.gmf;
    const float *const output = weight(layers), *const last = hidden_[layers - 1].data();
    for (Count i = 0; i < size; ++i) {
      const Count at = start + i;
      logits[i] = bias(layers)[0] + dot(output + gmf, last + i * last_, last_);
      if (gmf) logits[i] += dot(&scaled_[client(at) * gmf], step_.item_gmf + step_.slot[at] * gmf, gmf);
    }
    losses::binary_cross_entropy(size, logits, step_.labels + start, step_.weights + start, step_.client + start,
                                 step_.loss, grad);
    output_gradients(start, size, grad);
    backward(start, size);
  }

  Count client(Count sample) const { return step_.groups == 1 ? step_.client[sample] : 0; }

  void forward(Count start, Count size) {
    float* const first = hidden_[0].data();
    if (!by_row_) gather(start, size);
    for (Count i = 0; i < size; ++i) {
      const float* const user = &user_hidden_[client(start + i) * first_];
      const float* const item = by_row_ ? &item_hidden_[step_.slot[start + i] * first_] : first + i * first_;
      float* const out = first + i * first_;
      for (Count j = 0; j < first_; ++j) out[j] = std::max(item[j] + user[j], 0.0f);
    }
    for (Count layer = 1; layer < step_.layers; ++layer) {
      float* const out = hidden_[layer].data();
      const Count width = outputs(layer), before = inputs(layer);
      for (Count i = 0; i < size; ++i) std::copy_n(bias(layer), width, out + i * width);
      multiply(size, width, before, {hidden_[layer - 1].data(), before}, turned_[layer].data(), width, out, width, true);
      for (Count i = 0; i < size * width; ++i) out[i] = std::max(out[i], 0.0f);
    }
  }

  // Takes the tile's rows of the table, and their part of the first layer.
  void gather(Count start, Count size) {
    const Count mlp = step_.mlp;
    for (Count i = 0; i < size; ++i) std::copy_n(step_.item_mlp + step_.slot[start + i] * mlp, mlp, &rows_[i * mlp]);
    multiply(size, first_, mlp, {rows_.data(), mlp}, item_half(), first_, hidden_[0].data(), first_, false);
  }

  void output_gradients(Count start, Count size, const float* grad) {
    const Count layers = step_.layers, gmf = step_.gmf;
    const float *const output = weight(layers), *const last = hidden_[layers - 1].data();
    float *const by_weight = weight_grad(layers), *const back = grads_[layers - 1].data();
    for (Count i = 0; i < size; ++i) {
      const float factor = grad[i];
      bias_grad(layers)[0] += factor;
      add_scaled(by_weight + gmf, last + i * last_, factor, last_);
      for (Count j = 0; j < last_; ++j) back[i * last_ + j] = last[i * last_ + j] > 0 ? factor * output[gmf + j] : 0;
      if (gmf) {
        const Count row = step_.slot[start + i] * gmf, b = client(start + i);
        add_scaled(&gmf_grad_[b * gmf], step_.item_gmf + row, factor, gmf);
        add_scaled(step_.item_gmf_grad + row, &scaled_[b * gmf], factor, gmf);
      }
    }
  }

  void backward(Count start, Count size) {
    for (Count layer = step_.layers - 1; layer > 0; --layer) {
      const Count width = outputs(layer), before = inputs(layer);
      const float *const grad = grads_[layer].data(), *const input = hidden_[layer - 1].data();
      float* const back = grads_[layer - 1].data();
      multiply(width, before, size, {grad, 1, width}, input, before, weight_grad(layer), before, true);
      for (Count i = 0; i < size; ++i) add(bias_grad(layer), grad + i * width, width);
      multiply(size, before, width, {grad, width}, weight(layer), before, back, before, false);
      if (layer > 1) for (Count i = 0; i < size * before; ++i) back[i] = input[i] > 0 ? back[i] : 0;
    }
    for (Count i = 0; i < size; ++i) first_backward(start + i, &hidden_[0][i * first_], &grads_[0][i * first_]);
    if (!by_row_) rows_backward(start, size);
  }

  // Takes a sample's gradient through the first ReLU, to its user and its row. With one layer it has been taken already.
  void first_backward(Count sample, const float* __restrict hidden, float* __restrict grad) {
    float* __restrict user = &user_grad_[client(sample) * first_];
    float* __restrict item = by_row_ ? &item_grad_[step_.slot[sample] * first_] : nullptr;
    for (Count j = 0; j < first_; ++j) {
      const float passed = hidden[j] > 0 ? grad[j] : 0;
      grad[j] = passed;
      user[j] += passed;
    }
    if (item) add(item, grad, first_);
  }

  // The gradients by the tile's rows of the table, and by the item half of the first layer.
  void rows_backward(Count start, Count size) {
    const Count mlp = step_.mlp;
    const float* const grad = grads_[0].data();
    multiply(first_, mlp, size, {grad, 1, first_}, rows_.data(), mlp, weight_grad(0) + mlp, 2 * mlp, true);
    multiply(size, mlp, first_, {grad, first_}, weight(0) + mlp, 2 * mlp, rows_.data(), mlp, false);
    for (Count i = 0; i < size; ++i) add(step_.item_mlp_grad + step_.slot[start + i] * mlp, &rows_[i * mlp], mlp);
  }

  void finish() {
    const Count mlp = step_.mlp, gmf = step_.gmf, count = clients();
    if (by_row_) {
      multiply(step_.slots, mlp, first_, {item_grad_.data(), first_}, weight(0) + mlp, 2 * mlp, items_grad(), mlp, false);
      multiply(first_, mlp, step_.slots, {item_grad_.data(), 1, first_}, items(), mlp, weight_grad(0) + mlp, 2 * mlp,
               true);
    }
    multiply(first_, mlp, count, {user_grad_.data(), 1, first_}, users(), mlp, weight_grad(0), 2 * mlp, true);
    multiply(count, mlp, first_, {user_grad_.data(), first_}, weight(0), 2 * mlp,
             step_.user_mlp_grad + group_ * mlp, mlp, true);
    for (Count b = 0; b < count; ++b) {
      add(bias_grad(0), &user_grad_[b * first_], first_);
      float* const user_grad = step_.user_gmf_grad + (group_ + b) * gmf;
      for (Count i = 0; i < gmf; ++i) {
        weight_grad(step_.layers)[i] += gmf_grad_[b * gmf + i] * gmf_user(b)[i];
        user_grad[i] += gmf_grad_[b * gmf + i] * weight(step_.layers)[i];
      }
    }
  }

  const FedNCF& step_;
  const Count group_, copy_, first_, last_, start_, end_;
  const bool by_row_;
  std::vector<Numbers> turned_ = {}, hidden_ = {}, grads_ = {};  // by layer: the transposed weights, and the tile's
  Numbers user_hidden_ = {}, user_grad_ = {}, item_hidden_ = {}, item_grad_ = {}, rows_ = {}, scaled_ = {}, gmf_grad_ = {};
};

}  // namespace

void fedau2_fedncf(const FedNCF* step) {
  for (Count group = 0; group < step->groups; ++group) Group(*step, group).run();
}
