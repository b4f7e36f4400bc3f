// A unidirectional LSTM over whole sequences, forward and backward, on the matrix tiles of Intel's AMX.
// Matrices are bfloat16 with float32 sums; recordings lie one after the other: [batch, time, width].
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

using bf16 = uint16_t;

namespace {

constexpr int TILE = 16;         // rows of a tile, and columns of a float32 one
constexpr int DEPTH = 2 * TILE;  // bfloat16 values in a row of a tile

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

// To 2e-6 of the value; a library's exponential, called 16 values at a time, takes a third of the forward pass.
inline float exponential(float x) {
    const float power = std::min(std::max(x, -80.0f), 80.0f) * 1.44269504f;
    const float whole = std::nearbyint(power), part = (power - whole) * 0.69314718f;
    float y = 1.0f + part * (1.0f + part * (0.5f + part * (0.16666667f + part * (0.041666667f + part * 0.0083333333f))));
    int32_t bits;
    std::memcpy(&bits, &y, 4);
    bits += int32_t(whole) << 23;
    std::memcpy(&y, &bits, 4);
    return y;
}

inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }
inline float hyperbolic_tangent(float x) { return 2.0f / (1.0f + exponential(-2.0f * x)) - 1.0f; }

// What the eight tiles are: palette 1, 64 bytes in each of 16 rows.
struct alignas(64) TileConfig {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {TILE, TILE, TILE, TILE, TILE, TILE, TILE, TILE};
};
const TileConfig tile_config;

// Tiles for one call; gradients that fade below 1e-38 count zero, since processors are slow with such numbers.
class Session {
public:
    Session() : mode(_mm_getcsr()) {
        _mm_setcsr(mode | _MM_FLUSH_ZERO_ON | 0x40);
        _tile_loadconfig(&tile_config);
    }
    ~Session() {
        _tile_release();
        _mm_setcsr(mode);
    }

private:
    const unsigned mode;
};

// [depth, columns] in the order in which tiles want it: 16 columns, then 32 of the depth, pairs of the depth together.
class Packed {
public:
    // transposed: source is [columns, depth], otherwise [depth, columns].
    Packed(const bf16* source, int depth, int columns, bool transposed) : depth(depth), columns(columns) {
        values.resize(size_t(depth) * columns);
        bf16* to = values.data();
        for (int column = 0; column < columns; column += TILE)
            for (int pair = 0; pair < depth; pair += 2)
                for (int n = column; n < column + TILE; ++n)
                    for (int k = pair; k < pair + 2; ++k)
                        *to++ = transposed ? source[size_t(n) * depth + k] : source[size_t(k) * columns + n];
    }
    const bf16* panel(int column) const { return values.data() + size_t(column) * depth; }

    const int depth, columns;

private:
    std::vector<bf16> values;
};

// 16 * ROWS rows of a [rows, depth] times all of b: into c [rows, columns]. A tile of b serves all rows: b comes from
// the second cache, a from the first.
template <int ROWS>
void multiply_rows(const bf16* a, const Packed& b, float* c) {
    const size_t a_stride = b.depth * sizeof(bf16), c_stride = b.columns * sizeof(float);
    const size_t next_a = size_t(TILE) * b.depth, next_c = size_t(TILE) * b.columns;
    for (int column = 0; column < b.columns; column += TILE) {
        const bf16* panel = b.panel(column);
        _tile_zero(0);
        if (ROWS > 1) _tile_zero(1);
        if (ROWS > 2) _tile_zero(2);
        if (ROWS > 3) _tile_zero(3);
        for (int k = 0; k < b.depth; k += DEPTH) {
            _tile_loadd(7, panel + size_t(k) * TILE, 64);
            _tile_loadd(4, a + k, a_stride);
            _tile_dpbf16ps(0, 4, 7);
            if (ROWS > 1) _tile_loadd(5, a + next_a + k, a_stride);
            if (ROWS > 1) _tile_dpbf16ps(1, 5, 7);
            if (ROWS > 2) _tile_loadd(6, a + 2 * next_a + k, a_stride);
            if (ROWS > 2) _tile_dpbf16ps(2, 6, 7);
            if (ROWS > 3) _tile_loadd(4, a + 3 * next_a + k, a_stride);
            if (ROWS > 3) _tile_dpbf16ps(3, 4, 7);
        }
        _tile_stored(0, c + column, c_stride);
        if (ROWS > 1) _tile_stored(1, c + next_c + column, c_stride);
        if (ROWS > 2) _tile_stored(2, c + 2 * next_c + column, c_stride);
        if (ROWS > 3) _tile_stored(3, c + 3 * next_c + column, c_stride);
    }
}

// rows is a multiple of 16.
void multiply(const bf16* a, int rows, const Packed& b, float* c) {
    for (int row = 0; row < rows; row += 4 * TILE) {
        const bf16* from = a + size_t(row) * b.depth;
        float* to = c + size_t(row) * b.columns;
        switch ((rows - row) / TILE) {
            case 1: multiply_rows<1>(from, b, to); break;
            case 2: multiply_rows<2>(from, b, to); break;
            case 3: multiply_rows<3>(from, b, to); break;
            default: multiply_rows<4>(from, b, to);
        }
    }
}

inline int padded(int rows) { return (rows + TILE - 1) / TILE * TILE; }

}  // namespace

extern "C" {

// 0 if this process may use the tiles; the kernel wants to be asked.
int lstm_prepare() { return int(syscall(SYS_arch_prctl, 0x1023, 18)); }

// Sizes: x [batch * time, width], both weights torch's [4 * hidden, ...], bias [4 * hidden];
// results y [batch * time, hidden], gates (activated) [batch * time, 4 * hidden], cells [batch * time, hidden].
void lstm_forward(int batch, int time, int width, int hidden, const bf16* x, const bf16* input_weight,
                  const bf16* hidden_weight, const float* bias, bf16* y, bf16* gates, float* cells) {
    const Session session;
    const int all = 4 * hidden, rows = padded(batch);
    const Packed from_input(input_weight, width, all, true), from_hidden(hidden_weight, hidden, all, true);
    // Both weights together do not fit the second cache: the input's are used for several steps at once.
    const int ahead = std::max(1, 8 * TILE / rows);
    std::vector<bf16> steps(size_t(ahead) * rows * width), state(size_t(rows) * hidden);
    std::vector<float> inputs(size_t(ahead) * rows * all), sums(size_t(rows) * all), cell(size_t(batch) * hidden);
    for (int t = 0; t < time; ++t) {
        if (t % ahead == 0) {
            for (int n = 0; n < batch; ++n)
                for (int next = 0; next < std::min(ahead, time - t); ++next)
                    std::memcpy(&steps[size_t(next * rows + n) * width], x + (size_t(n) * time + t + next) * width,
                                width * sizeof(bf16));
            multiply(steps.data(), ahead * rows, from_input, inputs.data());
        }
        const float* input = &inputs[size_t(t % ahead) * rows * all];
        multiply(state.data(), rows, from_hidden, sums.data());
        for (int n = 0; n < batch; ++n) {
            const size_t at = size_t(n) * time + t;
            const float *s = &sums[size_t(n) * all], *p = &input[size_t(n) * all];
            float *c = &cell[size_t(n) * hidden], *kept = cells + at * hidden;
            bf16 *g = gates + at * all, *h = &state[size_t(n) * hidden];
#pragma GCC ivdep
            for (int j = 0; j < hidden; ++j) {
                const float in = sigmoid(s[j] + p[j] + bias[j]);
                const float forget = sigmoid(s[j + hidden] + p[j + hidden] + bias[j + hidden]);
                const float fresh = hyperbolic_tangent(s[j + 2 * hidden] + p[j + 2 * hidden] + bias[j + 2 * hidden]);
                const float out = sigmoid(s[j + 3 * hidden] + p[j + 3 * hidden] + bias[j + 3 * hidden]);
                const float next = forget * c[j] + in * fresh;
                c[j] = next;
                kept[j] = next;
                g[j] = narrow(in);
                g[j + hidden] = narrow(forget);
                g[j + 2 * hidden] = narrow(fresh);
                g[j + 3 * hidden] = narrow(out);
                h[j] = narrow(out * hyperbolic_tangent(next));
            }
            std::memcpy(y + at * hidden, h, size_t(hidden) * 2);
        }
    }
}

// Gradient with respect to what the gates are computed from [batch * time, 4 * hidden], and its sum over all rows,
// which is added to; the rest is plain products.
void lstm_backward(int batch, int time, int hidden, const bf16* y_gradient, const bf16* hidden_weight,
                   const bf16* gates, const float* cells, bf16* gradient, float* bias_gradient) {
    const Session session;
    const int all = 4 * hidden, rows = padded(batch);
    const Packed to_hidden(hidden_weight, all, hidden, false);
    std::vector<bf16> later(size_t(rows) * all);
    std::vector<float> carried(size_t(rows) * hidden), cell_gradient(size_t(batch) * hidden);
    const std::vector<float> nothing(hidden);
    for (int t = time - 1; t >= 0; --t) {
        if (t < time - 1) multiply(later.data(), rows, to_hidden, carried.data());
        for (int n = 0; n < batch; ++n) {
            const size_t at = size_t(n) * time + t;
            const bf16 *g = gates + at * all, *dy = y_gradient + at * hidden;
            const float *c = cells + at * hidden, *before = t ? c - hidden : nothing.data();
            const float* dh_later = &carried[size_t(n) * hidden];
            float* dc_later = &cell_gradient[size_t(n) * hidden];
            bf16* d = &later[size_t(n) * all];
#pragma GCC ivdep
            for (int j = 0; j < hidden; ++j) {
                const float in = widen(g[j]), forget = widen(g[j + hidden]);
                const float fresh = widen(g[j + 2 * hidden]), out = widen(g[j + 3 * hidden]);
                const float squashed = hyperbolic_tangent(c[j]), dh = widen(dy[j]) + dh_later[j];
                const float dc = dc_later[j] + dh * out * (1.0f - squashed * squashed);
                dc_later[j] = dc * forget;
                const float d_in = dc * fresh * in * (1.0f - in), d_forget = dc * before[j] * forget * (1.0f - forget);
                const float d_fresh = dc * in * (1.0f - fresh * fresh), d_out = dh * squashed * out * (1.0f - out);
                d[j] = narrow(d_in);
                d[j + hidden] = narrow(d_forget);
                d[j + 2 * hidden] = narrow(d_fresh);
                d[j + 3 * hidden] = narrow(d_out);
                bias_gradient[j] += d_in;
                bias_gradient[j + hidden] += d_forget;
                bias_gradient[j + 2 * hidden] += d_fresh;
                bias_gradient[j + 3 * hidden] += d_out;
            }
            std::memcpy(gradient + at * all, d, size_t(all) * 2);
        }
    }
}
}
