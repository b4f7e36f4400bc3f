// Batch norm over the valid frames of a batch, forward and backward, in bfloat16 with float32 sums.
// Recordings lie one after the other, either [batch, time, channels] or [batch, channels, time].
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

using bf16 = uint16_t;

namespace {

inline float widen(bf16 value) {
    uint32_t bits = uint32_t(value) << 16;
    float wide;
    std::memcpy(&wide, &bits, 4);
    return wide;
}

inline bf16 narrow(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return bf16((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// sums[c] += sum of a * b, ones[c] += sum of a, over the first `valid` frames of one recording.
void add_products(bool channels_last, int time, int channels, int valid, const bf16* a, const bf16* b, float* ones,
                  float* products) {
    if (channels_last) {
        for (int t = 0; t < valid; ++t, a += channels, b += channels)
#pragma GCC ivdep
            for (int c = 0; c < channels; ++c) {
                ones[c] += widen(a[c]);
                products[c] += widen(a[c]) * widen(b[c]);
            }
    } else {
        for (int c = 0; c < channels; ++c, a += time, b += time) {
            float one = 0.0f, product = 0.0f;
            for (int t = 0; t < valid; ++t) {
                one += widen(a[t]);
                product += widen(a[t]) * widen(b[t]);
            }
            ones[c] += one;
            products[c] += product;
        }
    }
}

// y = a * by_a[c] + (frame is valid) * (b * by_b[c] + plus[c]), for one recording.
void combine(bool channels_last, int time, int channels, int valid, const bf16* a, const float* by_a, const bf16* b,
             const float* by_b, const float* plus, bf16* y) {
    if (channels_last) {
        for (int t = 0; t < time; ++t, a += channels, b += channels, y += channels) {
            const float kept = t < valid ? 1.0f : 0.0f;
#pragma GCC ivdep
            for (int c = 0; c < channels; ++c)
                y[c] = narrow(widen(a[c]) * by_a[c] + kept * (widen(b[c]) * by_b[c] + plus[c]));
        }
    } else {
        for (int c = 0; c < channels; ++c, a += time, b += time, y += time) {
            const float first = by_a[c], second = by_b[c], third = plus[c];
#pragma GCC ivdep
            for (int t = 0; t < valid; ++t) y[t] = narrow(widen(a[t]) * first + widen(b[t]) * second + third);
#pragma GCC ivdep
            for (int t = valid; t < time; ++t) y[t] = narrow(widen(a[t]) * first);
        }
    }
}

}  // namespace

extern "C" {

// ones, products [channels]: sums of a and of a * b over the valid frames of all recordings.
void norm_sums(int channels_last, int batch, int time, int channels, const int64_t* valid, const bf16* a,
               const bf16* b, double* ones, double* products) {
    std::vector<float> one(channels), product(channels);
    for (int n = 0; n < batch; ++n) {
        std::fill(one.begin(), one.end(), 0.0f);
        std::fill(product.begin(), product.end(), 0.0f);
        const size_t at = size_t(n) * time * channels;
        add_products(channels_last, time, channels, int(valid[n]), a + at, b + at, one.data(), product.data());
        for (int c = 0; c < channels; ++c) {
            ones[c] += one[c];
            products[c] += product[c];
        }
    }
}

// y = a * by_a + valid * (b * by_b + plus), all factors [channels].
void norm_combine(int channels_last, int batch, int time, int channels, const int64_t* valid, const bf16* a,
                  const float* by_a, const bf16* b, const float* by_b, const float* plus, bf16* y) {
    for (int n = 0; n < batch; ++n) {
        const size_t at = size_t(n) * time * channels;
        combine(channels_last, time, channels, int(valid[n]), a + at, by_a, b + at, by_b, plus, y + at);
    }
}
}
