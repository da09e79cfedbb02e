/* 64-byte vectors, 32 registers, masks: AVX-512 F, VL, DQ, BW. What each name means: simd_generic.h. */
#define LANES (64 / (int)sizeof(real))
enum { TILE_ROWS = 12 };

typedef real vec __attribute__((vector_size(64)));
typedef sint ivec __attribute__((vector_size(64)));
typedef real unaligned_vec __attribute__((vector_size(64), aligned(sizeof(real)), may_alias));

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

static inline vec v_load_part(const real *p, int count, real fill)
{
#ifdef BD_SINGLE
    return (vec)_mm512_mask_loadu_ps((__m512)v_set(fill), (__mmask16)((1u << count) - 1), p);
#else
    return (vec)_mm512_mask_loadu_pd((__m512d)v_set(fill), (__mmask8)((1u << count) - 1), p);
#endif
}

static inline void v_store_part(real *p, vec a, int count)
{
#ifdef BD_SINGLE
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)a);
#else
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << count) - 1), (__m512d)a);
#endif
}

static inline vec v_max(vec a, vec b)
{
#ifdef BD_SINGLE
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#else
    return (vec)_mm512_max_pd((__m512d)a, (__m512d)b);
#endif
}

static inline vec v_fma(vec a, vec b, vec c)
{
#ifdef BD_SINGLE
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#else
    return (vec)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#endif
}

#define V_ALL

static inline bool v_all(ivec mask)
{
#ifdef BD_SINGLE
    return _mm512_movepi32_mask((__m512i)mask) == 0xffff;
#else
    return _mm512_movepi64_mask((__m512i)mask) == 0xff;
#endif
}

static inline vec v_sqrt(vec a)
{
#ifdef BD_SINGLE
    return (vec)_mm512_sqrt_ps((__m512)a);
#else
    return (vec)_mm512_sqrt_pd((__m512d)a);
#endif
}

#ifdef BD_SINGLE
#define V_TRANSPOSE_ROWS

/* Rows p, p + row, p + 2 row and p + 3 row, four numbers of each. */
static inline __m512 v_quads(const real *p, bd_size row)
{
    const __m512 first = _mm512_castps128_ps512(_mm_loadu_ps(p));
    const __m512 two = _mm512_insertf32x4(first, _mm_loadu_ps(p + row), 1);
    return _mm512_insertf32x4(_mm512_insertf32x4(two, _mm_loadu_ps(p + 2 * row), 2), _mm_loadu_ps(p + 3 * row), 3);
}

static inline void v_transpose_rows(real *out, bd_size out_row, const real *x, bd_size x_row)
{
    const __m512 a = v_quads(x, 4 * x_row), b = v_quads(x + x_row, 4 * x_row);
    const __m512 c = v_quads(x + 2 * x_row, 4 * x_row), d = v_quads(x + 3 * x_row, 4 * x_row);
    const __m512d ab_low = (__m512d)_mm512_unpacklo_ps(a, b), ab_high = (__m512d)_mm512_unpackhi_ps(a, b);
    const __m512d cd_low = (__m512d)_mm512_unpacklo_ps(c, d), cd_high = (__m512d)_mm512_unpackhi_ps(c, d);

    v_store(out, (vec)_mm512_unpacklo_pd(ab_low, cd_low));
    v_store(out + out_row, (vec)_mm512_unpackhi_pd(ab_low, cd_low));
    v_store(out + 2 * out_row, (vec)_mm512_unpacklo_pd(ab_high, cd_high));
    v_store(out + 3 * out_row, (vec)_mm512_unpackhi_pd(ab_high, cd_high));
}
#endif

#define V_KEEP_NONZERO

/* Whole vectors are stored whole, because parts are slow: what lies beyond those kept is written later, or not used. */
static inline int v_keep_nonzero(real *values, int32_t *indices, vec a, ivec index, int lanes)
{
#ifdef BD_SINGLE
    const __mmask16 mask = _mm512_cmp_ps_mask((__m512)a, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    const int count = __builtin_popcount(mask);
    const vec kept = (vec)_mm512_maskz_compress_ps(mask, (__m512)a);
    const __m512i kept_index = _mm512_maskz_compress_epi32(mask, (__m512i)index);
    if (lanes == LANES) {
        v_store(values, kept);
        _mm512_storeu_si512(indices, kept_index);
        return count;
    }
    _mm512_mask_storeu_epi32(indices, (__mmask16)((1u << count) - 1), kept_index);
#else
    const __mmask8 mask = _mm512_cmp_pd_mask((__m512d)a, _mm512_setzero_pd(), _CMP_NEQ_UQ);
    const int count = __builtin_popcount(mask);
    const vec kept = (vec)_mm512_maskz_compress_pd(mask, (__m512d)a);
    const __m256i kept_index = _mm256_maskz_compress_epi32(mask, _mm512_cvtepi64_epi32((__m512i)index));
    if (lanes == LANES) {
        v_store(values, kept);
        _mm256_storeu_si256((__m256i *)(void *)indices, kept_index);
        return count;
    }
    _mm256_mask_storeu_epi32(indices, (__mmask8)((1u << count) - 1), kept_index);
#endif
    v_store_part(values, kept, count);
    return count;
}

#define V_LIST_NONZERO

static inline int v_list_nonzero(uint8_t *places, vec a, int first)
{
#ifdef BD_SINGLE
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __mmask16 mask = _mm512_cmp_ps_mask((__m512)a, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    const __m512i kept = _mm512_maskz_compress_epi32(mask, _mm512_add_epi32(lanes, _mm512_set1_epi32(first)));
    _mm_storeu_si128((__m128i *)(void *)places, _mm512_cvtepi32_epi8(kept));
#else
    const __m512i lanes = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    const __mmask8 mask = _mm512_cmp_pd_mask((__m512d)a, _mm512_setzero_pd(), _CMP_NEQ_UQ);
    const __m512i kept = _mm512_maskz_compress_epi64(mask, _mm512_add_epi64(lanes, _mm512_set1_epi64(first)));
    _mm_storel_epi64((__m128i *)(void *)places, _mm512_cvtepi64_epi8(kept));
#endif
    return __builtin_popcount(mask);
}
