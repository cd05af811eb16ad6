// Elementary functions that a CPU loop calls on registers and a CUDA kernel on numbers, under one
// name, so that a formula can be written once for both.
//
// float on the CPU: exp and log by polynomials (Cephes' coefficients), relative error below 2 eps
// over the range where the result is normal; exp gives 0 below -87.3 and infinity above 88.7; log
// is for normal positive arguments. double, and both types on CUDA: the library's functions. NaN
// stays NaN everywhere.
#pragma once

#include "common/device.hpp"

#ifndef __CUDACC__
#include "common/vector.hpp"
#endif

namespace polyad {
namespace {

#ifdef __CUDACC__

POLYAD_INLINE float exp_of(float x) { return expf(x); }
POLYAD_INLINE double exp_of(double x) { return exp(x); }
POLYAD_INLINE float log_of(float x) { return logf(x); }
POLYAD_INLINE double log_of(double x) { return log(x); }
POLYAD_INLINE float log1p_of(float x) { return log1pf(x); }
POLYAD_INLINE double log1p_of(double x) { return log1p(x); }
POLYAD_INLINE float expm1_of(float x) { return expm1f(x); }
POLYAD_INLINE double expm1_of(double x) { return expm1(x); }
POLYAD_INLINE float tanh_of(float x) { return tanhf(x); }
POLYAD_INLINE double tanh_of(double x) { return tanh(x); }
POLYAD_INLINE float sqrt_of(float x) { return sqrtf(x); }
POLYAD_INLINE double sqrt_of(double x) { return sqrt(x); }

#else

POLYAD_INLINE float exp_of(float x) { return __builtin_expf(x); }
POLYAD_INLINE double exp_of(double x) { return __builtin_exp(x); }
POLYAD_INLINE float log_of(float x) { return __builtin_logf(x); }
POLYAD_INLINE double log_of(double x) { return __builtin_log(x); }
POLYAD_INLINE float log1p_of(float x) { return __builtin_log1pf(x); }
POLYAD_INLINE double log1p_of(double x) { return __builtin_log1p(x); }
POLYAD_INLINE float expm1_of(float x) { return __builtin_expm1f(x); }
POLYAD_INLINE double expm1_of(double x) { return __builtin_expm1(x); }
POLYAD_INLINE float tanh_of(float x) { return __builtin_tanhf(x); }
POLYAD_INLINE double tanh_of(double x) { return __builtin_tanh(x); }
POLYAD_INLINE float sqrt_of(float x) { return __builtin_sqrtf(x); }
POLYAD_INLINE double sqrt_of(double x) { return __builtin_sqrt(x); }

typedef std::int32_t IntVector __attribute__((vector_size(kVectorBytes)));

POLYAD_INLINE IntVector bits_of(const Vector<float>& x) {
  IntVector bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}

POLYAD_INLINE Vector<float> from_bits(const IntVector& bits) {
  Vector<float> x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

POLYAD_INLINE Vector<float> exp_of(const Vector<float>& x) {
  constexpr float kLowest = -87.3f, kHighest = 88.7f;
  const Vector<float> low = splat(kLowest), high = splat(kHighest);
  Vector<float> y = x < low ? low : x;
  y = y > high ? high : y;
  // y = n ln 2 + r with |r| <= ln 2 / 2: adding 1.5 * 2^23 rounds to an integer in the low bits.
  const Vector<float> magic = splat(12582912.0f);
  const Vector<float> shifted = y * 1.44269504088896341f + magic;
  const Vector<float> n = shifted - magic;
  const Vector<float> r = (y - n * 0.693359375f) - n * -2.12194440e-4f;
  Vector<float> p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2^n in two factors: n may be 128
  const IntVector whole = bits_of(shifted) - bits_of(magic);
  const IntVector half = whole >> 1;
  p = p * from_bits((half + 127) << 23) * from_bits((whole - half + 127) << 23);
  p = x < low ? Vector<float>{} : p;
  return x > high ? splat(__builtin_inff()) : p;
}

POLYAD_INLINE Vector<float> log_of(const Vector<float>& x) {
  // x = 2^e m with m in [sqrt(1/2), sqrt(2)): the exponent is read off after dividing by sqrt(1/2)
  const IntVector raw = bits_of(x) - 0x3f3504f3;
  const IntVector exponent = raw >> 23;
  const Vector<float> m = from_bits((raw & 0x007fffff) + 0x3f3504f3);
  const Vector<float> e = __builtin_convertvector(exponent, Vector<float>);
  const Vector<float> r = m - 1.0f;
  const Vector<float> r2 = r * r;
  Vector<float> p = splat(7.0376836292e-2f);
  p = p * r - 1.1514610310e-1f;
  p = p * r + 1.1676998740e-1f;
  p = p * r - 1.2420140846e-1f;
  p = p * r + 1.4249322787e-1f;
  p = p * r - 1.6668057665e-1f;
  p = p * r + 2.0000714765e-1f;
  p = p * r - 2.4999993993e-1f;
  p = p * r + 3.3333331174e-1f;
  p = p * r * r2;
  p = p + e * -2.12194440e-4f;
  p = p - r2 * 0.5f;
  return (p + r) + e * 0.693359375f + x * 0.0f;  // the last term lets NaN through
}

POLYAD_INLINE Vector<float> tanh_of(const Vector<float>& x) {
  const Vector<float> zero = {};
  const Vector<float> size = x < zero ? -x : x;
  const Vector<float> small = exp_of(-2.0f * size);
  const Vector<float> outer = (1.0f - small) / (1.0f + small);
  const Vector<float> square = x * x;  // near 0, where the difference would cancel
  Vector<float> p = splat(-5.70498872745e-3f);
  p = p * square + 2.06390887954e-2f;
  p = p * square - 5.37397155531e-2f;
  p = p * square + 1.33314422036e-1f;
  p = p * square - 3.33332819422e-1f;
  const Vector<float> inner = size + size * square * p;
  const Vector<float> y = size < splat(0.625f) ? inner : outer;
  return x < zero ? -y : y;
}

POLYAD_INLINE Vector<float> sqrt_of(const Vector<float>& x) {
  Vector<float> y = {};
  for (int i = 0; i < kLanes<float>; ++i) y[i] = __builtin_sqrtf(x[i]);
  return y;
}

POLYAD_INLINE Vector<double> exp_of(const Vector<double>& x) {
  Vector<double> y = {};
  for (int i = 0; i < kLanes<double>; ++i) y[i] = __builtin_exp(x[i]);
  return y;
}

POLYAD_INLINE Vector<double> log_of(const Vector<double>& x) {
  Vector<double> y = {};
  for (int i = 0; i < kLanes<double>; ++i) y[i] = __builtin_log(x[i]);
  return y;
}

POLYAD_INLINE Vector<double> tanh_of(const Vector<double>& x) {
  Vector<double> y = {};
  for (int i = 0; i < kLanes<double>; ++i) y[i] = __builtin_tanh(x[i]);
  return y;
}

POLYAD_INLINE Vector<double> sqrt_of(const Vector<double>& x) {
  Vector<double> y = {};
  for (int i = 0; i < kLanes<double>; ++i) y[i] = __builtin_sqrt(x[i]);
  return y;
}

#endif

// 1 / (1 + exp(-x)), with no overflow: the exponent is never positive.
template <class V>
POLYAD_INLINE V sigmoid_of(const V& x) {
  const V zero = V{};
  const V small = exp_of(x < zero ? x : zero - x);
  const V larger = 1 / (1 + small);
  return x < zero ? small * larger : larger;
}

// log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)), of a number.
template <class T>
POLYAD_INLINE T softplus_of(T x) {
  const T tail = log1p_of(exp_of(x < T{0} ? x : -x));
  return x > T{0} ? x + tail : tail;
}

}  // namespace
}  // namespace polyad
