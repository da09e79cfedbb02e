/* 32-byte vectors with fused multiply-add: AVX2 and FMA. What each name means: simd_generic.h. */
#define LANES (32 / (int)sizeof(real))
enum { TILE_ROWS = 6 };

typedef real vec __attribute__((vector_size(32)));
typedef sint ivec __attribute__((vector_size(32)));
typedef real unaligned_vec __attribute__((vector_size(32), aligned(sizeof(real)), may_alias));

static inline vec v_load(const real *p)
{
    return *(const unaligned_vec *)(const void *)p;
}

static inline void v_store(real *p, vec a)
{
    *(unaligned_vec *)(void *)p = a;
}

static inline vec v_set(real a)
{
    return a - (vec){0};
}

static inline vec v_select(ivec mask, vec a, vec b)
{
    return (vec)((mask & (ivec)a) | (~mask & (ivec)b));
}

/* -1 in the first `count` lanes */
static inline ivec v_first(int count)
{
#ifdef BD_SINGLE
    return (ivec){0, 1, 2, 3, 4, 5, 6, 7} < count;
#else
    return (ivec){0, 1, 2, 3} < count;
#endif
}

static inline vec v_load_part(const real *p, int count, real fill)
{
    const ivec first = v_first(count);
#ifdef BD_SINGLE
    const vec loaded = (vec)_mm256_maskload_ps(p, (__m256i)first);
#else
    const vec loaded = (vec)_mm256_maskload_pd(p, (__m256i)first);
#endif
    if (__builtin_constant_p(fill) && fill == 0) /* as it is filled already */
        return loaded;
    return v_select(first, loaded, v_set(fill));
}

static inline void v_store_part(real *p, vec a, int count)
{
#ifdef BD_SINGLE
    _mm256_maskstore_ps(p, (__m256i)v_first(count), (__m256)a);
#else
    _mm256_maskstore_pd(p, (__m256i)v_first(count), (__m256d)a);
#endif
}

static inline vec v_max(vec a, vec b)
{
#ifdef BD_SINGLE
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return (vec)_mm256_max_pd((__m256d)a, (__m256d)b);
#endif
}

static inline vec v_fma(vec a, vec b, vec c)
{
#ifdef BD_SINGLE
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return (vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#endif
}

#define V_ALL

static inline bool v_all(ivec mask)
{
#ifdef BD_SINGLE
    return _mm256_movemask_ps((__m256)mask) == 0xff;
#else
    return _mm256_movemask_pd((__m256d)mask) == 0xf;
#endif
}

static inline vec v_sqrt(vec a)
{
#ifdef BD_SINGLE
    return (vec)_mm256_sqrt_ps((__m256)a);
#else
    return (vec)_mm256_sqrt_pd((__m256d)a);
#endif
}

#ifdef BD_SINGLE
#define V_KEEP_NONZERO

/* The bytes that bring the kept ones of four floats to the front: bit i of the row says whether float i is kept. */
#define BYTES(i) 4 * (i), 4 * (i) + 1, 4 * (i) + 2, 4 * (i) + 3
static const uint8_t keep_bytes[16][16] = {
    [0x1] = {BYTES(0)},
    [0x2] = {BYTES(1)},
    [0x3] = {BYTES(0), BYTES(1)},
    [0x4] = {BYTES(2)},
    [0x5] = {BYTES(0), BYTES(2)},
    [0x6] = {BYTES(1), BYTES(2)},
    [0x7] = {BYTES(0), BYTES(1), BYTES(2)},
    [0x8] = {BYTES(3)},
    [0x9] = {BYTES(0), BYTES(3)},
    [0xa] = {BYTES(1), BYTES(3)},
    [0xb] = {BYTES(0), BYTES(1), BYTES(3)},
    [0xc] = {BYTES(2), BYTES(3)},
    [0xd] = {BYTES(0), BYTES(2), BYTES(3)},
    [0xe] = {BYTES(1), BYTES(2), BYTES(3)},
    [0xf] = {BYTES(0), BYTES(1), BYTES(2), BYTES(3)},
};
#undef BYTES

static inline int v_keep_nonzero(real *values, int32_t *indices, vec a, ivec index, int lanes)
{
    const __m256 all = (__m256)a;
    const unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(all, _mm256_setzero_ps(), _CMP_NEQ_UQ));
    int count = 0;

    if (!mask)
        return 0;
    for (int half = 0; half < 2; half++) {
        const unsigned bits = mask >> 4 * half & 0xf;
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)keep_bytes[bits]);
        const __m128i numbers =
            half ? _mm256_extracti128_si256((__m256i)index, 1) : _mm256_castsi256_si128((__m256i)index);
        const __m128 four = half ? _mm256_extractf128_ps(all, 1) : _mm256_castps256_ps128(all);
        const __m128i kept = _mm_shuffle_epi8(_mm_castps_si128(four), bytes);
        const __m128i kept_index = _mm_shuffle_epi8(numbers, bytes);
        if (count + 4 <= lanes) {
            _mm_storeu_si128((__m128i *)(void *)(values + count), kept);
            _mm_storeu_si128((__m128i *)(void *)(indices + count), kept_index);
        } else {
            const __m128i some = _mm_cmpgt_epi32(_mm_set1_epi32(lanes - count), _mm_setr_epi32(0, 1, 2, 3));
            _mm_maskstore_ps(values + count, some, _mm_castsi128_ps(kept));
            _mm_maskstore_epi32(indices + count, some, kept_index);
        }
        count += __builtin_popcount(bits);
    }
    return count;
}

#define V_LIST_NONZERO

static inline int v_list_nonzero(int32_t *indices, vec a, ivec index)
{
    const __m256 is = _mm256_cmp_ps((__m256)a, _mm256_setzero_ps(), _CMP_NEQ_UQ);
    const unsigned mask = (unsigned)_mm256_movemask_ps(is), low = mask & 0xf, high = mask >> 4;
    const __m128i first = _mm256_castsi256_si128((__m256i)index), second = _mm256_extracti128_si256((__m256i)index, 1);
    const int count = __builtin_popcount(low);

    _mm_storeu_si128((__m128i *)(void *)indices,
                     _mm_shuffle_epi8(first, _mm_loadu_si128((const __m128i *)(const void *)keep_bytes[low])));
    _mm_storeu_si128((__m128i *)(void *)(indices + count),
                     _mm_shuffle_epi8(second, _mm_loadu_si128((const __m128i *)(const void *)keep_bytes[high])));
    return count + __builtin_popcount(high);
}
#endif
