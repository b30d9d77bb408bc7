/* Local response normalisation over channels, in one pass over maps that are stored with their channels last.

   With s = k + scale * (sum of a^2 over a window) and b = a * s^(-3/4), the gradient of a is
   g * s^(-3/4) - 3/2 * scale * a * (sum of g * a * s^(-7/4) over the channels whose windows contain it).

   Maps are fp32 or, with BF16 defined, bfloat16; arithmetic is in fp32. The loops over channels are written so that a
   compiler makes vector instructions of them. Operations are neither reordered nor contracted, and roots are exact, so
   that every compiler and every processor gives the same bits. */

#include <math.h>
#include <stdint.h>

#ifdef BF16
typedef uint16_t value;

static inline float load(value bits)
{
    union { uint32_t bits; float number; } wide = { .bits = (uint32_t) bits << 16 };
    return wide.number;
}

/* Rounds to nearest, ties to even. A NaN stays one: its lower half is 0, since it comes from bfloat16 or arithmetic. */
static inline value store(float number)
{
    union { float number; uint32_t bits; } wide = { .number = number };
    return (value) ((wide.bits + 0x7fff + ((wide.bits >> 16) & 1)) >> 16);
}
#else
typedef float value;

static inline float load(value number) { return number; }
static inline value store(float number) { return number; }
#endif

/* sums^(-3/4) */
static inline float power(float sums)
{
    float root = 1 / sqrtf(sums);
    return root * sqrtf(root);
}

static void zero(float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) values[i] = 0;
}

static void add_windows(float *restrict sums, const float *restrict padded, int64_t channels, int64_t size)
{
    for (int64_t c = 0; c < channels; c++) sums[c] = padded[c];
    for (int64_t tap = 1; tap < size; tap++)
        for (int64_t c = 0; c < channels; c++) sums[c] += padded[tap + c];
}

/* Each of the `rows` is the `channels` of one group of a pixel. The window of a channel is from `before` channels
   before it to `after` channels after it. */
void forward(const value *maps, value *results, value *sums, int64_t rows, int64_t channels, int64_t before,
             int64_t after, float scale, float k, int threads)
{
#pragma omp parallel num_threads(threads)
    {
        float a[channels], total[channels], squares[before + channels + after];
        zero(squares, before + channels + after);
#pragma omp for schedule(static)
        for (int64_t row = 0; row < rows; row++) {
            const value *restrict from = maps + row * channels;
            value *restrict to = results + row * channels, *restrict kept = sums + row * channels;
            for (int64_t c = 0; c < channels; c++) {
                a[c] = load(from[c]);
                squares[before + c] = a[c] * a[c];
            }
            add_windows(total, squares, channels, before + 1 + after);
            for (int64_t c = 0; c < channels; c++) {
                float s = k + scale * total[c];
                kept[c] = store(s);
                to[c] = store(a[c] * power(s));
            }
        }
    }
}

/* `sums` are those of `forward`, `gradients` those of its results. */
void backward(const value *maps, const value *sums, const value *gradients, value *results, int64_t rows,
              int64_t channels, int64_t before, int64_t after, float scale, int threads)
{
#pragma omp parallel num_threads(threads)
    {
        float a[channels], direct[channels], total[channels], shares[after + channels + before];
        zero(shares, after + channels + before);
#pragma omp for schedule(static)
        for (int64_t row = 0; row < rows; row++) {
            const value *restrict from = maps + row * channels, *restrict kept = sums + row * channels;
            const value *restrict toward = gradients + row * channels;
            value *restrict to = results + row * channels;
            for (int64_t c = 0; c < channels; c++) {
                float s = load(kept[c]);
                a[c] = load(from[c]);
                direct[c] = load(toward[c]) * power(s);
                shares[after + c] = direct[c] / s * a[c];
            }
            add_windows(total, shares, channels, before + 1 + after);
            for (int64_t c = 0; c < channels; c++) to[c] = store(direct[c] - 1.5f * scale * a[c] * total[c]);
        }
    }
}
