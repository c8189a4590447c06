/* What musl does byte by byte on x86-64: copying and comparing memory. A plan for ten thousand servers is a million short
 * texts, and took four times as long for it. Linked into what is shipped alone, by --wrap, for musl's own are in the same
 * archive as all the rest.
 *
 * Everything up to 64 bytes is read before anything is written, so that what overlaps is copied right; longer pieces go
 * forward or backward by 64. Built without the compiler's own idea of these functions, or they would call themselves.
 */
#include <stddef.h>
#include <stdint.h>

typedef uint64_t quad __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t u64 __attribute__((aligned(1), may_alias));
typedef uint32_t u32 __attribute__((aligned(1), may_alias));
typedef uint16_t u16 __attribute__((aligned(1), may_alias));

/* From here on the processor's own way is the quickest. */
enum { LONG = 2048, CHUNK = 64 };

/* The first and the last of these bytes, which may be the same in part. */
#define ENDS(type)                                                   \
    do {                                                             \
        type first = *(const type *)s;                               \
        type last = *(const type *)(s + n - sizeof(type));           \
        *(type *)d = first;                                          \
        *(type *)(d + n - sizeof(type)) = last;                      \
    } while (0)

static inline void up_to_64(char *d, const char *s, size_t n) {
    if (n > 32) {
        quad a = *(const quad *)s, b = *(const quad *)(s + 16);
        quad y = *(const quad *)(s + n - 32), z = *(const quad *)(s + n - 16);
        *(quad *)d = a;
        *(quad *)(d + 16) = b;
        *(quad *)(d + n - 32) = y;
        *(quad *)(d + n - 16) = z;
    } else if (n >= 16) {
        ENDS(quad);
    } else if (n >= 8) {
        ENDS(u64);
    } else if (n >= 4) {
        ENDS(u32);
    } else if (n >= 2) {
        ENDS(u16);
    } else if (n) {
        *d = *s;
    }
}

static inline void chunk(char *d, const char *s) {
    quad a = *(const quad *)s, b = *(const quad *)(s + 16);
    quad y = *(const quad *)(s + 32), z = *(const quad *)(s + 48);
    *(quad *)d = a;
    *(quad *)(d + 16) = b;
    *(quad *)(d + 32) = y;
    *(quad *)(d + 48) = z;
}

static inline void forward(char *d, const char *s, size_t n) {
    for (; n > CHUNK; n -= CHUNK, d += CHUNK, s += CHUNK) chunk(d, s);
    up_to_64(d, s, n);
}

static inline void backward(char *d, const char *s, size_t n) {
    for (; n > CHUNK; n -= CHUNK) chunk(d + n - CHUNK, s + n - CHUNK);
    up_to_64(d, s, n);
}

void *__wrap_memcpy(void *restrict to, const void *restrict from, size_t n) {
    if (n < LONG) {
        forward(to, from, n);
        return to;
    }
    void *d = to;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
    return to;
}

void *__wrap_memmove(void *to, const void *from, size_t n) {
    if ((uintptr_t)to - (uintptr_t)from >= n) {
        if ((uintptr_t)from - (uintptr_t)to >= n) return __wrap_memcpy(to, from, n);
        forward(to, from, n);
    } else {
        backward(to, from, n);
    }
    return to;
}

static inline int in_order(uint64_t a, uint64_t b) {
    a = __builtin_bswap64(a);
    b = __builtin_bswap64(b);
    return a < b ? -1 : a > b;
}

int __wrap_memcmp(const void *left, const void *right, size_t n) {
    const unsigned char *a = left, *b = right;
    if (n >= 8) {
        const unsigned char *last = a + n - 8;
        for (; a < last; a += 8, b += 8)
            if (*(const u64 *)a != *(const u64 *)b) return in_order(*(const u64 *)a, *(const u64 *)b);
        b -= a - last;
        return in_order(*(const u64 *)last, *(const u64 *)b);
    }
    for (; n; n--, a++, b++)
        if (*a != *b) return *a - *b;
    return 0;
}

int __wrap_bcmp(const void *left, const void *right, size_t n) { return __wrap_memcmp(left, right, n); }
